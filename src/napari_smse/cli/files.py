"""Files that commands on labelled images read, and those that they are about to write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_smse.cli.console import Console
from napari_smse.errors import DataError

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
