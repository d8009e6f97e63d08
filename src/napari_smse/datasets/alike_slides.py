"""Which slides show the same tissue, though their files differ, and so are of one case.

Compared are small pictures, block by block: what a slide is saved anew as, at another quality, in
another format or with fewer levels, has nearly the same detail everywhere, and another section has
not. Nothing is said of slides whose small picture shows no detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.annotations.case_id import joined_cases
from napari_smse.errors import SmseError
from napari_smse.slides import Slide

PICTURE_PX: Final = 256
"""Longer side of the small pictures, px."""

_BLOCK_PX: Final = 16
_ALIKE: Final = 0.8
"""A real slide reaches 0.99 with itself at JPEG quality 10 or at half the resolution, 0.96 with the
pyramid that another program made of it, 0.58 if it is moved by a pixel of the small picture; the
most alike two of 58 fields of as many patients, 0.08."""

_DETAIL: Final = 2.0
_GLASS: Final = 235.0
_FEWEST: Final = 8
_SAME_SHAPE: Final = 0.01
_MOST_PIXELS: Final = 30_000_000
"""Of the level a small picture is made of: a large slide without coarse levels takes too long."""


@dataclass(frozen=True)
class SlidePicture:
    """What two slides are compared by.

    Attributes
    ----------
    shape
        Height over width of the slide.
    detail
        ``(n, p)`` float32: the blocks of its small picture, each of mean 0 and length 1; 0 where a
        block shows nothing.
    """

    shape: float
    detail: NDArray[np.float32]

    def is_like(self, other: SlidePicture) -> bool:
        """Tell whether two slides show the same."""
        if abs(np.log(self.shape / other.shape)) > _SAME_SHAPE:
            return False
        if self.detail.shape != other.detail.shape:
            return False
        correlation = (self.detail * other.detail).sum(axis=1)
        shown = self.detail.any(axis=1) & other.detail.any(axis=1)
        return shown.sum() >= _FEWEST and float(np.median(correlation[shown])) >= _ALIKE


def has_small_picture(slide: Slide) -> bool:
    """Tell whether a small picture of a slide is read in no time."""
    level = slide.levels[slide.level_for(max(slide.width, slide.height) / PICTURE_PX)]
    return level.width * level.height <= _MOST_PIXELS


def picture_of(slide: Slide) -> SlidePicture | None:
    """Return what a slide is compared by; None if it shows no detail, or takes too long to read.

    Raises
    ------
    SlideError
        It cannot be read.
    """
    return compared_by(slide.thumbnail(PICTURE_PX)) if has_small_picture(slide) else None


def compared_by(thumbnail: NDArray[np.uint8]) -> SlidePicture | None:
    """Return what a slide is compared by; None if its picture shows no detail.

    Parameters
    ----------
    thumbnail
        Of the whole slide, RGB ``(h, w, 3)``, its longer side `PICTURE_PX`.
    """
    grey = thumbnail.astype(np.float32).mean(axis=2)
    rows, columns = (max(1, side // _BLOCK_PX) for side in grey.shape)
    if min(grey.shape) < _BLOCK_PX:
        return None
    blocks = grey[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
    blocks = blocks.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2)
    blocks = blocks.reshape(rows * columns, _BLOCK_PX**2)
    middle = blocks.mean(axis=1, keepdims=True)
    spread = blocks.std(axis=1)
    detailed = spread >= _DETAIL
    # Where most tissue is smooth, what remains is its outline, which others may have, too.
    tissue = detailed | (middle[:, 0] < _GLASS)
    if detailed.sum() < max(_FEWEST, tissue.sum() / 2):
        return None
    length = np.where(detailed, spread * _BLOCK_PX, 1.0)[:, np.newaxis]
    detail = np.where(detailed[:, np.newaxis], (blocks - middle) / length, 0.0)
    return SlidePicture(thumbnail.shape[0] / thumbnail.shape[1], detail.astype(np.float32))


def first_alike(pictures: Sequence[SlidePicture | None]) -> list[int]:
    """Return for each slide the number of the first that shows the same, if only itself."""
    first = list(range(len(pictures)))
    for number, picture in enumerate(pictures):
        for earlier in range(number):
            other = pictures[earlier]
            if first[earlier] != earlier or picture is None or other is None:
                continue
            if picture.is_like(other):
                first[number] = earlier
                break
    return first


class SlideCases(NamedTuple):
    """The cases of slides, in which those that share a slide are one.

    Attributes
    ----------
    joined
        For each case the one it is.
    alike
        Numbers of slides of other content that show the tissue of one before.
    """

    joined: dict[str, str]
    alike: list[int]


def slide_cases(slides: Sequence[Slide], cases: Sequence[str]) -> SlideCases:
    """Join the cases of slides that are the same, by the quick hash of their files or by tissue.

    Where all are of one case, tissue is not compared.

    Parameters
    ----------
    slides, cases
        Open slides, and the case of each.
    """
    several = len({slide.quick_hash for slide in slides}) > 1 and len(set(cases)) > 1
    pictures = [_picture(slide) if several else None for slide in slides]
    alike = first_alike(pictures)
    contents = [slide.quick_hash for slide in slides]
    shared = [*zip(cases, contents, strict=True), *zip(cases, alike, strict=True)]
    differing = [
        number for number, first in enumerate(alike) if contents[number] != contents[first]
    ]
    return SlideCases(joined_cases(shared), differing)


def _picture(slide: Slide) -> SlidePicture | None:
    try:
        return picture_of(slide)
    except SmseError:  # whoever reads its tiles says so
        return None
