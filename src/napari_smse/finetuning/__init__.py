"""A model tuned on regions that people drew: tiles, heads, comparison, history and files."""
