"""Levels that show what level 0 shows: looked at where their sizes leave a doubt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.errors import SlideError
from napari_smse.slides.backends.base import Backend, Level

logger = logging.getLogger(__name__)

_PATCH: Final = 64
"""Side of what is looked for, px of the level that is in doubt."""
_MARGIN: Final = 16
"""How far around its place it is looked for."""
_PLACES: Final = 6
"""Along each side of a level where it is looked at."""
_MIN_CONTRAST: Final = 4.0
_MIN_LIKENESS: Final = 0.5
_CLEARLY: Final = 0.1
_NEAR: Final = 2
_MAX_WRONG: Final = 0.25
_BLUR: Final = 1.0


def with_true_levels(backend: Backend, name: str) -> Backend:
    """Leave out levels whose content lies elsewhere than their step says.

    Only those whose size is not level 0's over a whole number are looked at: at places all over
    such a level, it is compared with the coarsest level before it that is right.

    Parameters
    ----------
    backend
        Reads the file.
    name
        Of the file, for the warning.
    """
    levels = backend.levels
    kept = [0]
    for index in range(1, len(levels)):
        if is_doubtful(levels[0], levels[index]) and not shows_the_same(backend, kept[-1], index):
            logger.warning(
                "%s: level %d (%d x %d px) does not show what level %d shows at the same places; "
                "it is left out, and finer pixels are read for it",
                name,
                index,
                levels[index].width,
                levels[index].height,
                kept[-1],
            )
        else:
            kept.append(index)
    return backend if len(kept) == len(levels) else ChosenLevels(backend, kept)


def is_doubtful(full: Level, level: Level) -> bool:
    """Whether a level's size is other than level 0's over a whole number, rounded up or down."""
    step = round(level.downsample)
    return abs(level.downsample - step) > 1e-6 or any(
        not side // step <= reduced <= -(-side // step)
        for side, reduced in ((full.width, level.width), (full.height, level.height))
    )


def shows_the_same(backend: Backend, finer: int, coarser: int) -> bool:
    """Whether one level shows, reduced, what another shows; true where there is nothing to see.

    Parameters
    ----------
    backend
        Reads the file.
    finer, coarser
        Indices of levels.
    """
    found = list(_compared_places(backend, finer, coarser))
    return found.count(False) <= _MAX_WRONG * len(found)


def _compared_places(backend: Backend, finer: int, coarser: int) -> Iterator[bool]:
    """For each place with something to see, tell whether both levels show the same there."""
    level = backend.levels[coarser]
    margin = min(_MARGIN, min(level.width, level.height) // 6)
    side = min(_PATCH, min(level.width, level.height) - 2 * margin)
    for y in _starts(level.height, side, margin):
        for x in _starts(level.width, side, margin):
            try:
                patch = _grey(backend.read_level(coarser, x, y, side, side))
                if patch.std() < _MIN_CONTRAST:
                    continue
                around = _reduced(
                    backend, finer, coarser, (x - margin, y - margin, side + 2 * margin)
                )
            except SlideError:  # a damaged tile says nothing of the others
                continue
            yield around is not None and _is_centred(around, patch, margin)


def _starts(length: int, side: int, margin: int) -> list[int]:
    """Where patches begin, from one edge to the other, a margin apart from both."""
    places = np.linspace(margin, length - side - margin, _PLACES)
    return sorted({int(place) for place in places})


def _reduced(
    backend: Backend, finer: int, coarser: int, box: tuple[int, int, int]
) -> NDArray[np.float32] | None:
    """Return a square of the coarser level as the finer one shows it; None if that ends before.

    Parameters
    ----------
    backend, finer, coarser
        As `shows_the_same`.
    box
        x, y and side, px of the coarser level.
    """
    level = backend.levels[finer]
    ratio = backend.levels[coarser].downsample / level.downsample
    left, top, right, bottom = (
        place * ratio for place in (box[0], box[1], box[0] + box[2], box[1] + box[2])
    )
    x, y = int(left), int(top)
    x1, y1 = min(level.width, int(np.ceil(right))), min(level.height, int(np.ceil(bottom)))
    if right > level.width + ratio or bottom > level.height + ratio or ratio < 1:
        return None
    pixels = Image.fromarray(backend.read_level(finer, x, y, x1 - x, y1 - y))
    inside = (left - x, top - y, min(right, x1) - x, min(bottom, y1) - y)
    shrunk = pixels.resize((box[2], box[2]), Image.Resampling.BOX, box=inside)
    return _grey(np.asarray(shrunk))


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the brightness, a little blurred: levels are reduced by one filter or another."""
    from scipy import ndimage

    return np.asarray(
        ndimage.gaussian_filter(pixels.mean(axis=-1, dtype=np.float32), _BLUR), dtype=np.float32
    )


def _is_centred(around: NDArray[np.float32], patch: NDArray[np.float32], margin: int) -> bool:
    """Whether what surrounds a place shows the patch at its middle, or as well as anywhere."""
    from skimage.feature import match_template

    likeness = match_template(around, patch)
    near = slice(max(0, margin - _NEAR), margin + _NEAR + 1)
    best, here = float(likeness.max()), float(likeness[near, near].max())
    return here >= _MIN_LIKENESS and here >= best - _CLEARLY


class ChosenLevels:
    """Some levels of another backend.

    Parameters
    ----------
    backend : Backend
        Reads the file.
    indices : list of int
        Those levels of it that there are, level 0 first.
    """

    def __init__(self, backend: Backend, indices: list[int]) -> None:
        self._backend, self._indices = backend, indices
        self.name, self.facts = backend.name, backend.facts
        self.levels = tuple(backend.levels[index] for index in indices)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        return self._backend.read_level(self._indices[level], x, y, width, height)

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a picture that belongs to the slide."""
        return self._backend.associated_image(name)

    def close(self) -> None:
        """Close the file."""
        self._backend.close()
