"""The files of a model that is about to be written."""

from __future__ import annotations

from pathlib import Path

from napari_smse.errors import OutputError
from napari_smse.models.card import CARD_SUFFIX, WEIGHTS_SUFFIX, model_stem


def model_files(path: Path) -> list[Path]:
    """Return where weights and card will lie."""
    stem = model_stem(path)
    return [stem.with_name(stem.name + suffix) for suffix in (WEIGHTS_SUFFIX, CARD_SUFFIX)]


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a model, or to start what could not be written.

    Raises
    ------
    OutputError
        There is a model already that is not to be replaced, or the folder does not exist.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: its folder does not exist; make it first.")
    for file in model_files(path):
        if file.exists() and not overwrite:
            raise OutputError(
                f"{file} exists already: give another path, or overwrite=True to replace it."
            )
