"""A session of the viewer in a file: which slides, runs, regions and view, to be opened again."""
