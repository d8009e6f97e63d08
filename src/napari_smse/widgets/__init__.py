"""The docks: what a person sees and presses."""
