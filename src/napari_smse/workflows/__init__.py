"""What a person asks for, without a viewer: one function or job each, shared by docks and shell."""
