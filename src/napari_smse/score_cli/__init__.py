"""The command that scores slides from a shell."""

from __future__ import annotations

import typer

from napari_smse.score_cli.command import score_slides


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("score")(score_slides)
