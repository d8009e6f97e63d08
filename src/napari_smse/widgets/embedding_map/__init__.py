"""The Embedding map dock: all tiles by their place in the embedding space."""
