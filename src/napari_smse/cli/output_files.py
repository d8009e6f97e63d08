"""The files of a model that a command is about to write."""

from __future__ import annotations

from pathlib import Path

from napari_smse.errors import OutputError
from napari_smse.models.card import CARD_SUFFIX, WEIGHTS_SUFFIX, model_stem


def model_files(out: Path) -> list[Path]:
    """Return where weights and card will lie."""
    stem = model_stem(out)
    return [stem.with_name(stem.name + suffix) for suffix in (WEIGHTS_SUFFIX, CARD_SUFFIX)]


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raise `OutputError` if there is a model already that is not to be replaced."""
    for path in model_files(out):
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists already: give another --out, or --overwrite to replace it."
            )
