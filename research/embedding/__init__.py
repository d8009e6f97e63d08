"""What the embedding space holds: classes among the nearest tiles, and effects of the source."""
