"""TIFF slides read as the segments their files store, decoded by tifffile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_smse.errors import DamagedSlideError, NotASlideError, SlideError
from napari_smse.slides.backends.base import as_rgb, levels_from_sizes
from napari_smse.slides.backends.level_steps import SizedSpacing, Spacing, placed_levels
from napari_smse.slides.backends.positional_file import PositionedBytes
from napari_smse.slides.backends.tiff_images import (
    describe_image,
    first_plane,
    open_tiff,
    pixel_count,
    slide_images,
)
from napari_smse.slides.backends.tiff_level import TiffLevel, cut_short, tiff_level
from napari_smse.slides.backends.tiff_metadata import page_spacing, tiff_facts
from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.image_number import chosen_index

CACHE_BYTES = 64 * 2**20
_ASSOCIATED_LIMIT = 50_000_000
_COLOURS = range(1, 5)


class TifffileBackend:
    """Reads the largest pyramid of a TIFF, segment by segment.

    Bytes are read at their positions without a lock and decoded in the thread that
    asks for them, so threads do not wait for each other.

    Parameters
    ----------
    path : Path
        A TIFF.
    image : int, optional
        Which of its slides, from 1; None where there is but one.

    Raises
    ------
    SeveralSlidesError
        When it holds several slides, and ``image`` is None.
    NotASlideError
        When its pixels are not 8-bit grey or RGB, or it has no such slide.
    DamagedSlideError
        When its header cannot be followed, or tiles would lie beyond its end.
    """

    name = "tifffile"

    def __init__(self, path: Path, image: int | None = None) -> None:
        self._path = path
        self._image = image
        self._files: dict[Path, PositionedBytes] = {}
        self._cache = ArrayCache(CACHE_BYTES)
        try:
            with open_tiff(path) as tiff:
                self._describe(tiff)
        except BaseException as error:
            self.close()
            # A damaged header makes tifffile fail in more ways than it names.
            if not isinstance(error, Exception) or isinstance(error, SlideError | PermissionError):
                raise
            raise DamagedSlideError(
                f"{path.name} has a damaged TIFF header ({error}); copy it again"
            ) from error

    def page_spacings(self) -> list[SizedSpacing]:
        """Return the spacing of each tiled page of the file, also those that are no level here."""
        with open_tiff(self._path) as tiff:
            return [
                (page.imagewidth, page.imagelength, _tiled_spacing(page))
                for page in tiff.pages
                if isinstance(page, tifffile.TiffPage) and page.is_tiled
            ]

    @property
    def plainly_tiled(self) -> bool:
        """Whether every level is tiled, has all its tiles and a codec without surprises."""
        return all(
            level.tiled and level.complete and level.plainly_coded for level in self._tiff_levels
        )

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        stored = self._tiff_levels[level]
        tile_width, tile_height = stored.tile_width, stored.tile_height
        out = np.empty((height, width, 3), dtype=np.uint8)
        rows = range(y // tile_height, (y + height - 1) // tile_height + 1)
        columns = range(x // tile_width, (x + width - 1) // tile_width + 1)
        for row, column in self._fetched(level, list(itertools.product(rows, columns))):
            left, top = column * tile_width, row * tile_height
            x0, y0 = max(x, left), max(y, top)
            x1, y1 = min(x + width, left + tile_width), min(y + height, top + tile_height)
            target = out[y0 - y : y1 - y, x0 - x : x1 - x]
            segment = self._segment(level, row, column)
            if segment is None:
                target[:] = self.facts.background
            else:
                target[:] = segment[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def _fetched(self, level: int, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield rows and columns of segments, after the bytes of many were made ready at once."""
        stored = self._tiff_levels[level]
        if not stored.is_remote:
            yield from places
            return
        missing = [place for place in places if self._cache.get((level, *place)) is None]
        ahead = iter(missing)
        made_ready = set(places) - set(missing)
        for place in places:
            if place not in made_ready:
                made_ready.update(stored.prefetch(ahead))
            yield place

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a smaller picture the file also holds, (height, width, 3)."""
        with open_tiff(self._path) as tiff:
            series = tiff.series[self._associated[name]]
            try:
                pixels = series.asarray()
            except Exception as error:  # each codec has its own errors, some plain ones
                raise DamagedSlideError(
                    f"{self._path.name}: its picture {name!r} cannot be decoded ({error}); "
                    "copy it again"
                ) from error
        return as_rgb(np.moveaxis(pixels, 0, -1) if series.axes in {"SYX", "CYX"} else pixels)

    def close(self) -> None:
        """Close the file; a read after this fails."""
        self._cache.clear()
        for file in self._files.values():
            file.close()

    def _describe(self, tiff: tifffile.TiffFile) -> None:
        images = slide_images(tiff)
        if not images:
            raise DamagedSlideError(f"{self._path.name} holds no image; copy it again")
        described = [describe_image(image) for image in images]
        series = first_plane(images[chosen_index(described, self._path, self._image)])
        self._tiff_levels = _usable_levels(series, self._files)
        self._check_length()
        sizes = [(level.width, level.height) for level in self._tiff_levels]
        self.levels = placed_levels(
            levels_from_sizes(
                sizes, [(level.tile_width, level.tile_height) for level in self._tiff_levels]
            ),
            [
                (*size, _tiled_spacing(stored.keyframe))
                for size, stored in zip(sizes, series.levels, strict=False)
            ],
        )
        self._associated = _associated(tiff, images)
        facts = tiff_facts(tiff, series)
        self.facts = replace(facts, associated_images=tuple(self._associated))

    def _check_length(self) -> None:
        needed = max(level.stored_end for level in self._tiff_levels)
        file = next(iter(self._files.values()))
        if len(self._files) == 1 and needed > file.size:
            raise DamagedSlideError(cut_short(file, needed))

    def _segment(self, level: int, row: int, column: int) -> NDArray[np.uint8] | None:
        key = (level, row, column)
        pixels = self._cache.get(key)
        if pixels is not None:
            return pixels
        try:
            stored = self._tiff_levels[level].segment(row, column)
        except SlideError:
            raise
        except Exception as error:  # each codec has its own errors, some plain ones
            raise DamagedSlideError(
                f"{self._path.name}: the tile in row {row}, column {column} of level {level} "
                f"cannot be decoded ({error}); copy it again"
            ) from error
        if stored is None:
            return None
        self._check_segment(level, row, column, stored.shape)
        pixels = as_rgb(stored, self.facts.background)
        self._cache.put(key, pixels)
        return pixels

    def _check_segment(self, level: int, row: int, column: int, shape: tuple[int, ...]) -> None:
        """Refuse a tile that decodes to fewer pixels than the level shows of it."""
        stored = self._tiff_levels[level]
        height = min(stored.tile_height, stored.height - row * stored.tile_height)
        width = min(stored.tile_width, stored.width - column * stored.tile_width)
        if shape[0] < height or shape[1] < width:
            raise DamagedSlideError(
                f"{self._path.name}: the tile in row {row}, column {column} of level {level} "
                f"has {shape[1]} x {shape[0]} px instead of {width} x {height}; copy it again"
            )


def _tiled_spacing(page: tifffile.TiffPage) -> Spacing | None:
    """Return the spacing of a page; only tiles are padded, so that others' sizes tell more."""
    return page_spacing(page) if page.is_tiled else None


def _sample_count(series: tifffile.TiffPageSeries) -> int:
    """Return the samples a pixel has; 0 for a stack of pictures."""
    if series.axes == "YX":
        return 1
    sides = dict(zip(series.axes, series.shape, strict=False))
    samples = sides.get("S", sides.get("C", 0))
    return int(samples) if series.axes in {"YXS", "SYX", "CYX"} else 0


def _usable_levels(
    series: tifffile.TiffPageSeries, files: dict[Path, PositionedBytes]
) -> tuple[TiffLevel, ...]:
    """Describe the levels; those below the first that cannot be read are left out."""
    levels = [tiff_level(series.levels[0], files)]
    for smaller in series.levels[1:]:
        try:
            level = tiff_level(smaller, files)
        except NotASlideError:
            break
        if not (0 < level.width < levels[-1].width or _is_padded_to_same_size(series, len(levels))):
            break
        levels.append(level)
    return tuple(levels)


def _is_padded_to_same_size(series: tifffile.TiffPageSeries, index: int) -> bool:
    """Whether a level is coarser than the one before, and both were padded to one size."""
    finer, coarser = series.levels[index - 1 : index + 1]
    if finer.shape != coarser.shape:
        return False
    finer_spacing, coarser_spacing = (
        _tiled_spacing(finer.keyframe),
        _tiled_spacing(coarser.keyframe),
    )
    return (
        finer_spacing is not None
        and coarser_spacing is not None
        and coarser_spacing > finer_spacing
    )


def _associated(
    tiff: tifffile.TiffFile, slides: Sequence[tifffile.TiffPageSeries]
) -> dict[str, int]:
    """Return the indices of the smaller 8-bit pictures by name."""
    of_slides = {id(series.keyframe) for series in slides}
    indices: dict[str, int] = {}
    for index, series in enumerate(tiff.series):
        small = id(series.keyframe) not in of_slides and pixel_count(series) <= _ASSOCIATED_LIMIT
        if series.keyframe.is_tiled and series.keyframe.is_reduced:
            continue  # a level, of whatever size: labels and macros are stored in strips
        if small and series.dtype == np.uint8 and _sample_count(series) in _COLOURS:
            indices.setdefault((series.name or f"image {index}").lower(), index)
    return indices
