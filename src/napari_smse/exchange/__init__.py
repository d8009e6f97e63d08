"""Results and annotations in files that other programs read."""
