"""The commands that train and measure models: train, evaluate, crossval, finetune.

Only what `--help` needs is imported here; torch comes when a command runs.
"""

from __future__ import annotations

import typer

from napari_smse.learn_cli.crossval import crossval
from napari_smse.learn_cli.evaluate import evaluate
from napari_smse.learn_cli.finetune import finetune
from napari_smse.learn_cli.train import train


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    for command in (train, evaluate, crossval, finetune):
        app.command()(command)
