"""Slides on DICOMweb servers, of which only the frames that are looked at are fetched.

An extra brings wsidicom, whose client and knowledge of DICOM are used.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import NotASlideError, SlideError
from napari_smse.slides.backends.base import WHITE, Level, SlideFacts, levels_from_sizes
from napari_smse.slides.backends.dicomweb_level import DicomwebLevel
from napari_smse.slides.backends.level_steps import placed_levels
from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.dicomweb_series import REQUESTS_AT_ONCE, DicomwebSeries, remember_frames
from napari_smse.slides.image_number import chosen_index
from napari_smse.slides.region import Region
from napari_smse.slides.remote_path import RemotePath
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio

logger = logging.getLogger(__name__)

CACHE_BYTES: Final = 128 * 2**20
"""Of decoded frames of all slides together."""
FRAMES_A_REQUEST: Final = 8

_LEVELS: Final = frozenset({"VOLUME", ""})
_PICTURES: Final = {"LABEL": "label", "OVERVIEW": "macro", "THUMBNAIL": "thumbnail"}
_IMAGE_TYPE: Final = "00080008"
_MAX_PICTURE_PIXELS: Final = 2**26
_cache: Final = ArrayCache(CACHE_BYTES)


class DicomwebBackend:
    """Reads a series on a DICOMweb server.

    Its levels are its images of the kind VOLUME; label, overview and thumbnail are pictures that
    belong to it.

    Parameters
    ----------
    path : RemotePath
        Address of the series.
    image : int, optional
        1 or None, as it is one slide.

    Raises
    ------
    MissingReaderError
        When wsidicom is not installed.
    NotASlideError
        When it is no slide, or of a kind that is not read.
    DamagedSlideError
        When what the server states of it cannot be.
    SlideError
        One of its other classes: it cannot be reached.
    """

    name = "dicomweb"

    def __init__(self, path: RemotePath, image: int | None = None) -> None:
        series = DicomwebSeries(path.url, str(path))
        available = series.instances()
        stated = {uid: series.metadata(uid) for uid in available}
        for uid, metadata in stated.items():
            remember_frames(series.place, uid, metadata)
        images = [
            one
            for uid, metadata in stated.items()
            if (one := _image(series, uid, metadata, available[uid])) is not None
        ]
        self._stored = _by_size([one for one in images if one.flavour in _LEVELS], path)
        self._pictures = {_PICTURES[one.flavour]: one for one in images if one.flavour in _PICTURES}
        full = self._stored[0]
        chosen_index([f"{full.width} x {full.height} px"], path, image)
        syntax = ""
        for level in self._stored:
            syntax = level.prepare(syntax)
        self.levels = _levels(self._stored)
        self._frames = _Frames(series)
        self.facts = _facts(full, series, stated[full.uid], tuple(self._pictures))

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        return self._frames.read(self._stored[level], Region(x, y, width, height))

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a label, macro or thumbnail, (height, width, 3)."""
        picture = self._pictures[name]
        if picture.width * picture.height > _MAX_PICTURE_PIXELS:
            raise SlideError(f"the picture {name!r} is too large to be shown")
        picture.prepare()
        return self._frames.read(picture, Region(0, 0, picture.width, picture.height))

    def close(self) -> None:
        """Ask no more; a read after this fails."""
        self._frames.close()


class _Frames:
    """Frames of a series, each fetched once by whichever thread wants it first.

    Parameters
    ----------
    series : DicomwebSeries
        Closed with it.
    """

    def __init__(self, series: DicomwebSeries) -> None:
        self._series = series
        self._pool = ThreadPoolExecutor(REQUESTS_AT_ONCE, "dicomweb")
        self._pending: dict[tuple[str, int], Future[NDArray[np.uint8]]] = {}
        self._lock = threading.Lock()

    def read(self, level: DicomwebLevel, box: Region) -> NDArray[np.uint8]:
        """Return the pixels of a box, (height, width, 3); white where nothing is stored."""
        out = np.empty((box.height, box.width, 3), dtype=np.uint8)
        out[:] = WHITE
        places = dict(level.frames_in(box))
        for number, pixels in self._pixels(level, places).items():
            tile = places[number]
            part = tile.intersection(box)
            out[part.y - box.y : part.bottom - box.y, part.x - box.x : part.right - box.x] = pixels[
                part.y - tile.y : part.bottom - tile.y, part.x - tile.x : part.right - tile.x
            ]
        return out

    def close(self) -> None:
        """Ask no more; what waits is given up."""
        self._series.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pixels(self, level: DicomwebLevel, numbers: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
        found: dict[int, NDArray[np.uint8]] = {}
        waits: dict[int, Future[NDArray[np.uint8]]] = {}
        mine: dict[int, Future[NDArray[np.uint8]]] = {}
        with self._lock:
            for number in numbers:
                pixels = _cache.get((self._series.place, level.uid, number))
                if pixels is not None:
                    found[number] = pixels
                elif (level.uid, number) in self._pending:
                    waits[number] = self._pending[level.uid, number]
                else:
                    mine[number] = self._pending[level.uid, number] = Future()
        if mine:
            self._fetch(level, mine)
        return found | {number: future.result() for number, future in (mine | waits).items()}

    def _fetch(self, level: DicomwebLevel, futures: dict[int, Future[NDArray[np.uint8]]]) -> None:
        """Fetch frames, several requests at once, for whoever waits for them."""
        numbers = list(futures)
        starts = range(0, len(numbers), FRAMES_A_REQUEST)
        parts = [numbers[start : start + FRAMES_A_REQUEST] for start in starts]
        try:
            for part, frames in zip(parts, self._fetched(level, parts), strict=True):
                for number, pixels in zip(part, frames, strict=True):
                    _cache.put((self._series.place, level.uid, number), pixels)
                    futures[number].set_result(pixels)
        except BaseException as error:
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
            raise
        finally:
            with self._lock:
                for number in futures:
                    del self._pending[level.uid, number]

    def _fetched(
        self, level: DicomwebLevel, parts: Sequence[Sequence[int]]
    ) -> Iterator[list[NDArray[np.uint8]]]:
        try:
            yield from self._pool.map(level.fetch, parts)
        except (CancelledError, RuntimeError) as error:  # the pool was shut down meanwhile
            raise self._series.closed_error() from error


def _image(
    series: DicomwebSeries, uid: str, metadata: dict[str, Any], available: frozenset[str]
) -> DicomwebLevel | None:
    """Return an image of a series; None for one beside the slide that is not read."""
    flavour = "".join(metadata.get(_IMAGE_TYPE, {}).get("Value", [])[2:3])
    if flavour not in {*_LEVELS, *_PICTURES}:
        return None
    try:
        return DicomwebLevel(series, uid, metadata, available)
    except SlideError as error:
        if flavour in _LEVELS:
            raise
        logger.warning("a picture is left out: %s", error)
        return None


def _by_size(levels: Sequence[DicomwebLevel], path: RemotePath) -> list[DicomwebLevel]:
    """Return levels, the largest first."""
    if not levels:
        raise NotASlideError(
            f"{path} holds labels and overviews only; give the address of the series of the slide"
        )
    sizes = Counter((level.width, level.height) for level in levels)
    twice = [size for size, count in sizes.items() if count > 1]
    if twice:
        raise NotASlideError(
            f"{path} holds several images of {twice[0][0]} x {twice[0][1]} px, and it is not known "
            "which of them is the slide; export one"
        )
    return sorted(levels, key=lambda level: level.width * level.height, reverse=True)


def _levels(stored: Sequence[DicomwebLevel]) -> tuple[Level, ...]:
    sizes = [(one.width, one.height) for one in stored]
    tiles = [(one.tile_width, one.tile_height) for one in stored]
    spacings = [(one.width, one.height, one.header.spacing) for one in stored]
    return placed_levels(levels_from_sizes(sizes, tiles), spacings)


def _facts(
    full: DicomwebLevel,
    series: DicomwebSeries,
    metadata: Mapping[str, Any],
    pictures: tuple[str, ...],
) -> SlideFacts:
    across, down = full.header.spacing or (None, None)
    return SlideFacts(
        vendor="dicom",
        properties=full.properties,
        stated_scale=StatedScale(
            vendor=mean_mpp(across, down, series.place),
            objective_power=full.objective_power,
            pixel_ratio=pixel_ratio(across, down),
        ),
        associated_images=pictures,
        icc_profile=series.icc_profile(metadata),
    )
