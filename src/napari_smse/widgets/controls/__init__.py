"""Controls that several docks have in common."""
