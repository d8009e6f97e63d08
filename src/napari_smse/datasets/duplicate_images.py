"""Images that lie in the data more than once, under whatever name: they are of one case."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from napari_smse.annotations.case_id import joined_cases
from napari_smse.datasets.image_header import UNREADABLE, open_header
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Skipped
from napari_smse.errors import DataError
from napari_smse.slides.identity import quick_hash

_PLAIN: Final = 8
"""A picture whose grey values all lie so near each other shows nothing: many of these are alike,
and of different patients."""


def merge_duplicate_images(labelled_set: LabelledSet) -> LabelledSet:
    """Return the images with each file and each field of a slide once, and cases to match.

    Cases that share a file are one, called as the first of them. Of files of the same content the
    first is kept, unless they have different labels: then none is. Pictures that show nothing say
    nothing of cases. No pixels are read but those of files that are there twice.

    Parameters
    ----------
    labelled_set
        Images of one source or several.
    """
    first_copy = _first_copies({image.path: None for image in labelled_set.images})
    if all(path == copy for path, copy in first_copy.items()):
        return labelled_set
    joined_case = joined_cases(
        (image.case, first_copy[image.path]) for image in labelled_set.images
    )
    same: dict[Hashable, list[LabelledImage]] = defaultdict(list)
    for image in labelled_set.images:
        same[first_copy[image.path], image.region].append(image)
    problems = dict(_problems(same.values()))
    images = tuple(
        replace(image, case=joined_case[image.case])
        for image in labelled_set.images
        if image not in problems
    )
    duplicates = dict.fromkeys(Skipped(image.path, why) for image, why in problems.items())
    return replace(labelled_set, images=images, skipped=(*labelled_set.skipped, *duplicates))


def _problems(same: Iterable[Sequence[LabelledImage]]) -> Iterator[tuple[LabelledImage, str]]:
    """Yield the images that cannot be used, and why."""
    for images in same:
        first, *copies = images
        if len({image.label for image in images}) > 1:
            for image in images:
                other = next(copy for copy in images if copy.label != image.label)
                yield image, f"is the same as {other.path}, which has another label"
        else:
            for image in copies:
                yield image, f"is the same as {first.path}: they are one case, and it is used once"


def _first_copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return for each file the first one of the same content."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    first = {path: path for path in paths}
    for path in first:
        sizes[_size(path)].append(path)
    for size, same_size in sizes.items():
        contents: dict[str, Path] = {}
        for path in same_size if size and len(same_size) > 1 else ():
            earlier = contents.setdefault(quick_hash(path), path)
            if (
                path != earlier
                and filecmp.cmp(path, earlier, shallow=False)
                and not _is_plain(path)
            ):
                first[path] = earlier
    return first


def _size(path: Path) -> int:
    """Return how long a file is; 0 for a folder, and for one that is gone."""
    return path.stat().st_size if path.is_file() else 0


def _is_plain(path: Path) -> bool:
    """Tell whether a picture shows nothing; not of a slide, which Pillow may not know."""
    try:
        with open_header(path) as picture:
            values = np.asarray(picture.convert("L"), dtype=np.int16)
    except (DataError, Image.DecompressionBombError, *UNREADABLE):
        return False
    return bool(values.max() - values.min() < _PLAIN)
