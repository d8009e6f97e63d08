"""The command line: the same workflows as in napari, from a shell."""
