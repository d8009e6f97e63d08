"""The Annotate next dock: which tiles to label, and which labels to doubt."""
