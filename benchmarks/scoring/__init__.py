"""The scoring engine: its pace, its memory, and what kills and worker processes change."""
