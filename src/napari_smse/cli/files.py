"""Files that commands on labelled images read, and those that they are about to write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_smse.cli.console import Console
from napari_smse.errors import DataError, OutputError
from napari_smse.models.card import CARD_SUFFIX, WEIGHTS_SUFFIX, model_stem

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet

_REASONS_SHOWN = 5


def read_images(path: Path, source_mpp: float | None, console: Console) -> LabelledSet:
    """Read labelled images, and report what was read and what was skipped.

    Parameters
    ----------
    path
        A folder of labelled images, or a list of sources.
    source_mpp
        um/px of images that state none.
    console
        Where to report it.

    Raises
    ------
    DataError
        There is nothing at the path, or nothing that can be used.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder of labelled images, or a list.")
    from napari_smse.datasets.loading import read_training_set

    images = read_training_set(path, mpp=source_mpp)
    report_images(images, console)
    return images


def report_images(labelled: LabelledSet, console: Console) -> None:
    """Report how many images and cases each class has, and what was skipped."""
    images, cases = labelled.count()
    for name in labelled.classes:
        console.report(f"{name}: {images[name]} images of {cases[name]} cases")
    reasons = Counter(skipped.reason for skipped in labelled.skipped)
    for reason, number in reasons.most_common(_REASONS_SHOWN):
        first = next(skipped.path for skipped in labelled.skipped if skipped.reason == reason)
        more = f" and {number - 1} more" if number > 1 else ""
        console.warn(f"skipped {first}{more}: {reason}")
    if len(reasons) > _REASONS_SHOWN:
        console.warn(f"{len(labelled.skipped)} files skipped in all, for {len(reasons)} reasons")


def skipped_values(labelled: LabelledSet) -> list[dict[str, Any]]:
    """Return what was skipped, and why, as JSON values."""
    return [{"path": str(skipped.path), "reason": skipped.reason} for skipped in labelled.skipped]


def check_folder(path: Path, what: str) -> None:
    """Refuse to start long work whose result could not be written.

    Raises
    ------
    OutputError
        The path's folder does not exist.
    """
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {what} {path}: its folder does not exist; create it first")


def model_files(out: Path) -> list[Path]:
    """Return where weights and card of a model will lie."""
    stem = model_stem(out)
    return [stem.with_name(stem.name + suffix) for suffix in (WEIGHTS_SUFFIX, CARD_SUFFIX)]


def check_model_out(out: Path, *, overwrite: bool) -> None:
    """Refuse to train a model that could not be written, or would replace another.

    Raises
    ------
    OutputError
        The path's folder does not exist, or there is a model already that is to be kept.
    """
    check_folder(out, "the model")
    for path in model_files(out):
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists already: give another --out, or --overwrite to replace it."
            )
