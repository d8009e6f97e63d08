"""Layers of the viewer: slides, maps, regions, overlays, and where they lie."""
