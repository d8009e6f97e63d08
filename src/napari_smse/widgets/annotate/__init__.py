"""The Annotate dock: classes, regions, pairs of tiles."""
