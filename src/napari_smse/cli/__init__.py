"""The command line: the same workflows as in napari, from a shell.

Each command is a function in the module of its name, and its options are written there; those that
several commands have are in `options`. `app` puts the commands together.
"""
