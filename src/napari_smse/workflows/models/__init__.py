"""Models to choose from, and whether one can be used."""
