"""The command line: the same workflows as in napari, from a shell.

Each command is a function in the module of its name, and its options are written there; those that
several commands have are in `options`. `app` puts the commands together.
"""

from __future__ import annotations

import sys

from napari_smse.errors import is_out_of_memory, memory_error


def main() -> None:
    """Run the command line; that memory does not even suffice to load it is one line, too."""
    try:
        from napari_smse.cli.app import main as run_app

        run_app()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: {memory_error()}", file=sys.stderr)
        sys.exit(1)
