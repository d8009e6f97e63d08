"""The Evidence dock: what a tile is like, and why it is called so."""
