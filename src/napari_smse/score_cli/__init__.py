"""The commands that score slides from a shell."""

from __future__ import annotations

import typer

from napari_smse.score_cli.command import score_slides
from napari_smse.score_cli.estimate_command import estimate_slides


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("score")(score_slides)
    app.command("estimate")(estimate_slides)
