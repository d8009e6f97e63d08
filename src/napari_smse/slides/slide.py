"""A slide: any file, read at any um/px."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import (
    ChangedSlideError,
    ImplausibleScaleError,
    MissingScaleError,
    RegionError,
    ScaleError,
    SlideError,
)
from napari_smse.slides.backends.base import Backend, Level
from napari_smse.slides.backends.srgb_pixels import SrgbPixels
from napari_smse.slides.identity import file_stamps, path_text, quick_hash, slide_name, stat_files
from napari_smse.slides.region import Region
from napari_smse.slides.scale import PhysicalScale, user_scale
from napari_smse.slides.window import Box, Window, filter_margin

logger = logging.getLogger(__name__)

MAX_WINDOW_PIXELS = 100_000_000
_PIECE_SIDE = 4096
_LEVEL_TOLERANCE = 1.01
_WARN_UPSAMPLING = 1.25


class Slide:
    """An open slide; every reading method may be called from several threads at once.

    Made by `open_slide`. Positions are level-0 pixels, (x, y) of the top-left corner;
    arrays are uint8 RGB of shape (height, width, 3); scales are um/px.

    Parameters
    ----------
    path : Path
        The file, or the folder, the slide was opened from.
    backend : Backend
        Reader of its pixels.
    scale : PhysicalScale
        um/px of level 0 and its source.
    """

    def __init__(self, path: Path, backend: Backend, scale: PhysicalScale) -> None:
        self.path = path
        self.scale = scale
        self._backend = backend
        self._stamps = file_stamps(path)
        self._warned_upsampling = False

    def __repr__(self) -> str:
        """Name the file, its size and its scale."""
        mpp = "unknown" if self.scale.mpp is None else f"{self.scale.mpp:.4g}"
        return f"<Slide {self.path.name} {self.width} x {self.height} px, {mpp} µm/px>"

    def __deepcopy__(self, memo: dict[int, object]) -> Slide:
        """Return itself: a copy would be of an open file; napari copies a layer's metadata."""
        return self

    def __enter__(self) -> Slide:
        """Return the slide."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the slide."""
        self.close()

    def close(self) -> None:
        """Close the file, also for slides made from this one by `with_mpp`."""
        self._backend.close()

    @property
    def name(self) -> str:
        """File name without suffix, as text; ``.ome.tif`` counts as one."""
        return path_text(slide_name(self.path))

    @property
    def backend_name(self) -> str:
        """Name of what reads the pixels: "openslide", "tifffile" or "image"."""
        return self._backend.name

    @property
    def mpp(self) -> float:
        """um/px of level 0.

        Raises
        ------
        MissingScaleError
            When the file states none.
        ImplausibleScaleError
            When what it states is no scale of a microscope.
        """
        if self.scale.mpp is not None:
            return self.scale.mpp
        fix = "pass --source-mpp or type it in the dock"
        if self.scale.rejected is not None:
            raise ImplausibleScaleError(
                f"{self.path.name} states {self.scale.rejected:g} µm/px, "
                f"which no microscope has; {fix}"
            )
        raise MissingScaleError(f"{self.path.name} does not state its µm/px; {fix}")

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels the file stores, level 0 first."""
        return self._backend.levels

    @property
    def width(self) -> int:
        """Width of level 0, px."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Height of level 0, px."""
        return self.levels[0].height

    @property
    def bounds(self) -> Region:
        """Area that was scanned, level-0 px; the whole slide if the file states none."""
        return self._backend.facts.bounds or Region(0, 0, self.width, self.height)

    @property
    def objective_power(self) -> float | None:
        """Magnification of the objective, or None."""
        return self._backend.facts.stated_scale.objective_power

    @property
    def vendor(self) -> str:
        """Vendor of the file, as OpenSlide names it, or the kind of image."""
        return self._backend.facts.vendor

    @property
    def properties(self) -> Mapping[str, str]:
        """All other metadata of the file."""
        return MappingProxyType(dict(self._backend.facts.properties))

    @property
    def background(self) -> tuple[int, int, int]:
        """RGB colour of what was not scanned."""
        return self._backend.facts.background

    @property
    def associated_images(self) -> tuple[str, ...]:
        """Names of the label, the macro and other pictures."""
        return self._backend.facts.associated_images

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return one of the `associated_images`.

        Raises
        ------
        SlideError
            When there is none of this name.
        """
        if name not in self.associated_images:
            names = ", ".join(self.associated_images) or "none"
            raise SlideError(f"{self.path.name} has no image {name!r}; it has: {names}")
        return self._backend.associated_image(name)

    @property
    def icc_profile(self) -> bytes | None:
        """ICC profile of the file, as it is stored; None if it has none."""
        return self._backend.facts.icc_profile

    @cached_property
    def quick_hash(self) -> str:
        """Hash of the file's content: of its size and a few blocks of it."""
        return quick_hash(self.path)

    def with_mpp(self, mpp: float) -> Slide:
        """Return the same open slide at a um/px the user states.

        Raises
        ------
        ScaleError
            When it lies outside 0.02-10 um/px.
        """
        return self._again(self._backend, user_scale(mpp))

    def with_icc(self) -> Slide:
        """Return the same open slide, its pixels brought to sRGB by the ICC profile of the file.

        Pictures that belong to the slide stay as they are.

        Raises
        ------
        ColourProfileError
            When the file has none, or one that does not convert RGB.
        """
        return self if isinstance(self._backend, SrgbPixels) else self._in_srgb

    @cached_property
    def _in_srgb(self) -> Slide:
        return self._again(SrgbPixels(self._backend, self.path.name), self.scale)

    def _again(self, backend: Backend, scale: PhysicalScale) -> Slide:
        slide = Slide(self.path, backend, scale)
        slide._stamps = self._stamps  # the file was opened then
        return slide

    def require_unchanged(self, *, content: bool = False) -> None:
        """Make sure that the file is still the one that was opened.

        Size and time of change are compared, which costs next to nothing.

        Parameters
        ----------
        content
            Compare the quick hash, too.

        Raises
        ------
        ChangedSlideError
            It is another one.
        SlideError
            It is gone, or cannot be read.
        """
        try:
            same = stat_files(self._stamps) == self._stamps
            same = same and (not content or quick_hash(self.path) == self.quick_hash)
        except OSError as error:
            raise SlideError(
                f"{self.path} cannot be read any more: put it back where it was, and run again."
            ) from error
        if not same:
            raise ChangedSlideError(
                f"{self.path} changed after it was opened: wait until it is whole, then score it "
                "again."
            )

    def level_for(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine as a downsample of level 0."""
        fine = [
            index
            for index, level in enumerate(self.levels)
            if level.downsample <= downsample * _LEVEL_TOLERANCE
        ]
        return max(fine, key=lambda index: self.levels[index].downsample, default=0)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read pixels of one level as they are.

        Parameters
        ----------
        level : int
            Index into `levels`.
        x, y, width, height : int
            Box in *level* px; what lies outside the level is background.

        Returns
        -------
        numpy.ndarray
            uint8 RGB of shape (height, width, 3).

        Raises
        ------
        RegionError
            When there is no such level or the box is empty.
        DamagedSlideError
            When the file cannot be read there.
        """
        if not 0 <= level < len(self.levels):
            raise RegionError(f"{self.path.name} has no level {level}; it has {len(self.levels)}")
        if width <= 0 or height <= 0:
            raise RegionError(f"a box of {width} x {height} px is empty; give it an area")
        full = Region(0, 0, self.levels[level].width, self.levels[level].height)
        box = Region(x, y, width, height)
        inside = box.intersection(full)
        if inside == box:
            return self._backend.read_level(level, x, y, width, height)
        out = np.empty((height, width, 3), dtype=np.uint8)
        out[:] = self.background
        if inside.width and inside.height:
            rows = slice(inside.y - y, inside.bottom - y)
            columns = slice(inside.x - x, inside.right - x)
            out[rows, columns] = self._backend.read_level(
                level, inside.x, inside.y, inside.width, inside.height
            )
        return out

    def window(self, region: Region, mpp: float) -> Window:
        """Read the level pixels that tiles of a region at a um/px are cut from.

        They come from the nearest finer level, with a margin for the filter, so that a
        tile cut from a large window equals the same tile read alone.

        Parameters
        ----------
        region : Region
            Level-0 px; may reach outside the slide, where background is given.
        mpp : float
            um/px the tiles will have.

        Raises
        ------
        MissingScaleError
            When the slide's own um/px is not known.
        ScaleError
            When ``mpp`` is not a positive number.
        RegionError
            When the region is empty or needs more than 100 megapixels.
        """
        downsample = self._downsample(mpp)
        return self._window((region.x, region.y, region.width, region.height), downsample)

    def read(self, region: Region, mpp: float) -> NDArray[np.uint8]:
        """Read a region at a um/px, anti-aliased down from the nearest finer level.

        Returns
        -------
        numpy.ndarray
            uint8 RGB of shape (h, w, 3), w = round(region.width * slide mpp / mpp).

        Raises
        ------
        MissingScaleError, ScaleError, RegionError, DamagedSlideError
            As `window`; large regions are read in pieces, up to a result of 100 megapixels.
        """
        downsample = self._downsample(mpp)
        size = (
            max(1, round(region.width / downsample)),
            max(1, round(region.height / downsample)),
        )
        return self._read((region.x, region.y, region.width, region.height), downsample, size)

    def thumbnail(self, max_side: int = 1024) -> NDArray[np.uint8]:
        """Return the whole slide, its longer side ``max_side`` px, never enlarged."""
        downsample = max(1.0, max(self.width, self.height) / max_side)
        size = (
            max(1, round(self.width / downsample)),
            max(1, round(self.height / downsample)),
        )
        return self._read((0, 0, self.width, self.height), downsample, size)

    def _downsample(self, mpp: float) -> float:
        if not (math.isfinite(mpp) and mpp > 0):
            raise ScaleError(f"{mpp} µm/px cannot be read; give a positive number")
        downsample = mpp / self.mpp
        if downsample * _WARN_UPSAMPLING < 1 and not self._warned_upsampling:
            self._warned_upsampling = True
            logger.warning(
                "%s has %g µm/px; reading it at %g enlarges it %.2g times without new detail",
                self.path.name,
                self.mpp,
                mpp,
                1 / downsample,
            )
        return downsample

    def _window(self, box: Box, downsample: float) -> Window:
        if box[2] <= 0 or box[3] <= 0:
            raise RegionError(f"a region of {box[2]:g} x {box[3]:g} px is empty; give it an area")
        index = self.level_for(downsample)
        x, y, width, height = self._level_box(index, box, downsample)
        if width * height > MAX_WINDOW_PIXELS:
            raise RegionError(
                f"{self.path.name}: a region of {box[2]:g} x {box[3]:g} px needs "
                f"{width * height / 1e6:.0f} megapixels at once; read smaller regions"
            )
        step = self.levels[index].downsample
        return Window(self.read_level(index, x, y, width, height), x * step, y * step, step)

    def _level_box(self, index: int, box: Box, downsample: float) -> tuple[int, int, int, int]:
        """Return the level px, margin included, from which a box is cut."""
        step = self.levels[index].downsample
        # Twice the reduction, so that tiles of a coarser scale find their margin too.
        margin = filter_margin(2 * downsample / step)
        x, y = math.floor(box[0] / step) - margin, math.floor(box[1] / step) - margin
        right = math.ceil((box[0] + box[2]) / step) + margin
        bottom = math.ceil((box[1] + box[3]) / step) + margin
        return x, y, right - x, bottom - y

    def _read(self, box: Box, downsample: float, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read a box in one window, or in pieces when it needs too many pixels."""
        if size[0] * size[1] > MAX_WINDOW_PIXELS:
            raise RegionError(
                f"{self.path.name}: {size[0]} x {size[1]} px are too many for one array; "
                "read smaller regions or a coarser scale"
            )
        if box[2] <= 0 or box[3] <= 0:
            raise RegionError(f"a region of {box[2]:g} x {box[3]:g} px is empty; give it an area")
        level = self.level_for(downsample)
        _, _, width, height = self._level_box(level, box, downsample)
        if width * height <= _PIECE_SIDE**2:
            return self._window(box, downsample).crop_box(box, size)
        # Squares, not bands: a band as wide as the slide pushes its tiles out of the cache.
        side = max(1, int(_PIECE_SIDE * self.levels[level].downsample / downsample))
        out = np.empty((size[1], size[0], 3), dtype=np.uint8)
        across, down = box[2] / size[0], box[3] / size[1]
        for top in range(0, size[1], side):
            for left in range(0, size[0], side):
                part = out[top : top + side, left : left + side]
                rows, columns = part.shape[:2]
                piece = (
                    box[0] + left * across,
                    box[1] + top * down,
                    columns * across,
                    rows * down,
                )
                part[:] = self._window(piece, downsample).crop_box(piece, (columns, rows))
        return out
