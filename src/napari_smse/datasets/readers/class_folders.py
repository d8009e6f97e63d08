"""A folder of images for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_smse.datasets.curation import Candidate, Reading, class_order, usable_images
from napari_smse.datasets.image_header import IMAGE_SUFFIXES, files_below, is_hidden
from napari_smse.datasets.labelled_set import LabelledSet, Skipped
from napari_smse.errors import DataError

_PARTS_OF_A_SPLIT: Final = frozenset(
    {"train", "training", "test", "testing", "val", "valid", "validation"}
)


def class_folders(folder: Path) -> list[Path]:
    """Return the sub-folders that are classes, in order of their names."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not is_hidden(path, folder)
    )


def holds_class_folders(folder: Path) -> bool:
    """Tell whether any sub-folder holds an image at any depth."""
    return any(
        path.suffix.lower() in IMAGE_SUFFIXES
        for class_folder in class_folders(folder)
        for path in files_below(class_folder)
    )


def read_class_folders(folder: Path, reading: Reading) -> LabelledSet:
    """Read images that lie in one sub-folder a class.

    A case is the next folder below the class's, wherever there is one
    (``malignant/patient 7/a.png``), else the image's name without suffix
    (``malignant/a.png``): then every image counts as a case of its own, and images of one
    patient may end up on both sides of a split. Cases of the same name are one case, also
    across classes.

    Parameters
    ----------
    folder
        Folder with at least two sub-folders.
    reading
        How to read it; its `mpp` is the um/px of all images.

    Raises
    ------
    DataError
        There is no um/px, or the sub-folders are the parts of a split.
    """
    classes = class_folders(folder)
    names = {path.name.lower() for path in classes}
    if names and names <= _PARTS_OF_A_SPLIT:
        raise DataError(
            f"The folders in {folder} ({', '.join(sorted(names))}) are the parts of a split, not "
            "classes: give one of them."
        )
    if reading.mpp is None:
        raise DataError(
            f"{folder} holds images in class folders, which say nothing of their µm/px: "
            "state it with --source-mpp."
        )
    candidates: list[Candidate] = []
    skipped = [
        Skipped(path, "lies in no class folder")
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    for class_folder in classes:
        for path in files_below(class_folder):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                candidates.append(_candidate(path, class_folder))
            else:
                skipped.append(Skipped(path, "is not named as an image"))
    return usable_images(
        candidates,
        folder,
        reading,
        classes=class_order(path.name for path in classes),
        skipped=[file for file in skipped if not is_hidden(file.path, folder)],
    )


def _candidate(path: Path, class_folder: Path) -> Candidate:
    below = path.relative_to(class_folder).parts
    return Candidate(
        path=path,
        label=class_folder.name,
        case=below[0] if len(below) > 1 else path.stem,
        columns={"label": class_folder.name},
    )
