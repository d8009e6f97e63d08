"""A viewer's session saved to a file, and opened again."""
