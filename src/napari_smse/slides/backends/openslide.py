"""Slides that OpenSlide reads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, LifoQueue

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import OpenSlideCache, OpenSlideError
from PIL import ImageCms

from napari_smse.errors import DamagedSlideError, SlideError
from napari_smse.slides.backends.base import (
    WHITE,
    Level,
    SlideFacts,
    as_rgb,
    level_downsample,
)
from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.region import Region
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio

MAX_HANDLES = 4
CACHE_BYTES = 64 * 2**20
MAX_TILE_PIXELS = 100_000_000
"""OpenSlide takes memory for whole tiles, and ends the process if there is not enough."""

_BLOCK = 1024


class OpenSlideBackend:
    """Reads through OpenSlide, with one handle a thread and a cache they share.

    OpenSlide latches the first error on a handle and refuses everything after it,
    so a handle that failed is thrown away: the rest of a slide with one damaged
    tile stays readable.

    Parameters
    ----------
    path : Path
        A file OpenSlide knows.

    Raises
    ------
    openslide.OpenSlideError
        When OpenSlide cannot open it.
    DamagedSlideError
        When its header claims tiles beyond 100 megapixels.
    """

    name = "openslide"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = OpenSlideCache(CACHE_BYTES)
        self._blocks = ArrayCache(CACHE_BYTES)
        self._idle: LifoQueue[openslide.OpenSlide] = LifoQueue()
        self._slots = threading.BoundedSemaphore(MAX_HANDLES)
        self._closed = False
        handle = self._open_handle()
        self.facts = _facts(handle, path)
        self.levels = _levels(handle)
        _check_tiles(self.levels, path.name)
        self._steps = tuple(handle.level_downsamples)
        self._idle.put(handle)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        if _is_whole(self._steps[level]):
            return self._read(level, x, y, width, height)
        return self._read_from_blocks(level, x, y, width, height)

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a label, macro or other picture, (height, width, 3)."""
        self._check_associated(name)
        with self._handle() as handle:
            image = handle.associated_images[name]
        return as_rgb(np.asarray(image), self.facts.background)

    def close(self) -> None:
        """Close the idle handles; a busy one closes when its read ends."""
        self._closed = True
        self._blocks.clear()
        with contextlib.suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _check_associated(self, name: str) -> None:
        width, height = (
            number(self.facts.properties.get(f"openslide.associated.{name}.{side}")) or 0
            for side in ("width", "height")
        )
        if width * height > MAX_TILE_PIXELS:
            raise DamagedSlideError(
                f"{self._path.name} claims {width:.0f} x {height:.0f} px for its picture {name!r}; "
                "copy it again from the scanner"
            )

    def _open_handle(self) -> openslide.OpenSlide:
        handle = openslide.OpenSlide(str(self._path))
        handle.set_cache(self._cache)
        return handle

    @contextlib.contextmanager
    def _handle(self) -> Iterator[openslide.OpenSlide]:
        """Hold a handle that no other thread uses for as long as the context lasts."""
        with self._slots:
            if self._closed:
                raise SlideError(f"{self._path.name} was closed; open it again to read it")
            try:
                handle = self._idle.get_nowait()
            except Empty:
                handle = self._open_handle()
            try:
                yield handle
            except OpenSlideError as error:
                handle.close()
                raise DamagedSlideError(
                    f"{self._path.name} cannot be read everywhere ({error}); "
                    "copy it again from the scanner"
                ) from error
            except BaseException:
                self._give_back(handle)
                raise
            self._give_back(handle)

    def _give_back(self, handle: openslide.OpenSlide) -> None:
        if self._closed:
            handle.close()
        else:
            self._idle.put(handle)

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        step = self._steps[level]
        with self._handle() as handle:
            image = handle.read_region((round(x * step), round(y * step)), level, (width, height))
        if image.getchannel("A").getextrema()[0] == 255:
            return np.array(image.convert("RGB"))  # three times as fast as picking out channels
        return as_rgb(np.asarray(image), self.facts.background)

    def _read_from_blocks(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Assemble a box from blocks on a fixed grid.

        OpenSlide takes whole level-0 positions and shifts pixels by the rest when a
        level's step is not whole, so the same pixel would differ from read to read.
        """
        out = np.empty((height, width, 3), dtype=np.uint8)
        for top in range(y - y % _BLOCK, y + height, _BLOCK):
            for left in range(x - x % _BLOCK, x + width, _BLOCK):
                block = self._block(level, left, top)
                x0, y0 = max(x, left), max(y, top)
                x1, y1 = min(x + width, left + _BLOCK), min(y + height, top + _BLOCK)
                out[y0 - y : y1 - y, x0 - x : x1 - x] = block[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return out

    def _block(self, level: int, left: int, top: int) -> NDArray[np.uint8]:
        block = self._blocks.get((level, left, top))
        if block is None:
            block = self._read(level, left, top, _BLOCK, _BLOCK)
            self._blocks.put((level, left, top), block)
        return block


def _is_whole(step: float) -> bool:
    return abs(step - round(step)) < 1e-6


def _levels(handle: openslide.OpenSlide) -> tuple[Level, ...]:
    full = handle.level_dimensions[0]
    levels = []
    for index, (size, step) in enumerate(
        zip(handle.level_dimensions, handle.level_downsamples, strict=True)
    ):
        tile = tuple(
            int(handle.properties.get(f"openslide.level[{index}].tile-{side}", 256))
            for side in ("width", "height")
        )
        # Where OpenSlide states a whole step (MIRAX, Philips) sizes may be padded.
        exact = float(round(step)) if _is_whole(step) else level_downsample(full, size)
        levels.append(Level(size[0], size[1], exact, tile[0], tile[1]))
    return tuple(levels)


def _check_tiles(levels: Sequence[Level], name: str) -> None:
    for level in levels:
        if level.tile_width * level.tile_height > MAX_TILE_PIXELS:
            raise DamagedSlideError(
                f"{name} claims tiles of {level.tile_width} x {level.tile_height} px; "
                "copy it again, or convert it to a TIFF of smaller tiles"
            )


def stated_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Return what a slide states; OpenSlide lists damaged names, too, which have no value."""
    stated = {}
    for name in properties:
        with contextlib.suppress(KeyError):
            stated[name] = properties[name]
    return stated


def _facts(handle: openslide.OpenSlide, path: Path) -> SlideFacts:
    properties = stated_properties(handle.properties)
    vendor = properties.get("openslide.vendor", "")
    across, down = (number(properties.get(f"openslide.mpp-{side}")) for side in "xy")
    mpp = mean_mpp(across, down, path.name)
    # OpenSlide derives a generic TIFF's um/px from its resolution tags: not stated by a vendor.
    from_tags = vendor == "generic-tiff"
    return SlideFacts(
        vendor=vendor,
        properties=properties,
        stated_scale=StatedScale(
            vendor=None if from_tags else mpp,
            tiff=mpp if from_tags else None,
            objective_power=number(properties.get("openslide.objective-power")),
            pixel_ratio=pixel_ratio(across, down),
        ),
        background=_background(properties),
        bounds=_bounds(properties),
        associated_images=tuple(handle.associated_images),
        icc_profile=_icc_profile(handle),
    )


def _icc_profile(handle: openslide.OpenSlide) -> bytes | None:
    try:
        profile = handle.color_profile
    except ImageCms.PyCMSError:
        return b""
    return None if profile is None else profile.tobytes()


def number(text: str | None) -> float | None:
    """Return the number a property states, or None."""
    try:
        return None if text is None else float(text.replace(",", "."))
    except ValueError:
        return None


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(properties["openslide.background-color"])
    except (KeyError, ValueError):
        return WHITE
    return red, green, blue


def _bounds(properties: Mapping[str, str]) -> Region | None:
    try:
        x, y, width, height = (
            int(properties[f"openslide.bounds-{side}"]) for side in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return None
    return Region(x, y, width, height)
