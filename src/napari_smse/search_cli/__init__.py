"""The commands that index slides from a shell, and search in them."""

from __future__ import annotations

import typer

from napari_smse.search_cli.index_command import index_slides
from napari_smse.search_cli.search_command import search_slides


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("index")(index_slides)
    app.command("search")(search_slides)
