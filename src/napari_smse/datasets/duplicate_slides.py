"""Which slides are the same under several names: copies, links, or the same pixels saved anew."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from napari_smse.errors import SlideError, SmseError
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.identity import quick_hash

_ACROSS: Final = 8
_PATCH: Final = 32


def first_copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return for each slide the first one that shows the same.

    These are of the same content (`quick_hash`), or of the same size in pixels with the same
    pixels wherever a sample is taken. A slide that cannot be read is taken for itself.

    Parameters
    ----------
    paths
        Paths of slides.
    """
    by_content: dict[Path, Path] = {}
    first_by_content: dict[str, Path] = {}
    for path in paths:
        by_content[path] = first_by_content.setdefault(_content(path), path)
    first_by_pixels: dict[str, Path] = {}
    same = {
        slide: first_by_pixels.setdefault(pixels, slide)
        for group in _with_shared_size(set(by_content.values()), by_content)
        for slide in group
        if (pixels := _property_of(slide, pixels_hash))
    }
    return {path: same.get(first, first) for path, first in by_content.items()}


def pixels_hash(slide: Slide) -> str:
    """Return a hash of the size of a slide and of samples of its finest pixels.

    Empty where all samples are of one colour, which tells no slide.
    """
    samples = [slide.read_level(0, x, y, _PATCH, _PATCH) for x, y in _corners(slide)]
    if all((sample == samples[0][0, 0]).all() for sample in samples):
        return ""
    digest = hashlib.sha256(f"{slide.width} {slide.height}".encode())
    for sample in samples:
        digest.update(np.ascontiguousarray(sample).tobytes())
    return digest.hexdigest()


def _corners(slide: Slide) -> Iterator[tuple[int, int]]:
    for row in range(_ACROSS):
        for column in range(_ACROSS):
            yield (
                int((column + 0.5) / _ACROSS * slide.width) - _PATCH // 2,
                int((row + 0.5) / _ACROSS * slide.height) - _PATCH // 2,
            )


def _content(path: Path) -> str:
    try:
        return quick_hash(path)
    except (OSError, SlideError):
        return str(path)


def _with_shared_size(paths: set[Path], order: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield those slides, in this order, of which another one has the same size in pixels."""
    sizes: dict[str, list[Path]] = defaultdict(list)
    if len(paths) < 2:
        return
    for path in order:
        if path in paths:
            sizes[_property_of(path, lambda slide: f"{slide.width} {slide.height}")].append(path)
    yield from (group for size, group in sizes.items() if size and len(group) > 1)


def _property_of(path: Path, read: Callable[[Slide], str]) -> str:
    """Return a property of an opened slide; empty if it cannot be read."""
    try:
        with open_slide(path) as slide:
            return read(slide)
    except (SmseError, OSError):
        return ""
