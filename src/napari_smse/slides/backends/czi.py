"""Zeiss CZI files as slides, read by Zeiss's own library, which an extra brings.

A scene is a slide. OpenSlide knows CZI, too, but is not asked: were its level 0 another one, the
coordinates of a slide would depend on what is installed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import (
    DamagedSlideError,
    MissingReaderError,
    NotASlideError,
    NotBrightfieldError,
    SlideError,
)
from napari_smse.slides.backends.base import Level, SlideFacts
from napari_smse.slides.backends.czi_heads import tile_positions
from napari_smse.slides.backends.czi_tiles import (
    SCENE,
    first_plane,
    stored_levels,
    stored_tiles,
    tile_heads,
)
from napari_smse.slides.backends.tiff_metadata import positive
from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.image_number import chosen_index
from napari_smse.slides.region import Region
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio

CZI_MAGIC: Final = b"ZISR"
READER_CACHE_BYTES: Final = 32 * 2**20
"""Of decoded tiles, for each reader."""
CACHE_BYTES: Final = 64 * 2**20
"""Of tiles of coarser levels."""
_MAX_TILE_PIXELS: Final = 2**26
_WHITE: Final = (1.0, 1.0, 1.0)
_BRIGHTFIELD: Final = "Bgr24"


class CziBackend:
    """Reads a scene of a CZI file.

    Its levels are those that the file stores for all of the scene; none is computed.

    Parameters
    ----------
    path : Path
        A CZI file.
    image : int, optional
        Which of its scenes, from 1; None where there is but one.

    Raises
    ------
    MissingReaderError
        When the library that reads it is not installed.
    SeveralSlidesError
        When it holds several scenes, and ``image`` is None.
    NotBrightfieldError
        When its pixels are grey, as of fluorescence.
    NotASlideError
        When its pixels are not 8-bit, or it has no such scene.
    DamagedSlideError
        When its directory or metadata cannot be followed.
    """

    name = "czi"

    def __init__(self, path: Path, image: int | None = None) -> None:
        self._path = path
        self._readers = _Readers(path)
        self._cache = ArrayCache(CACHE_BYTES)
        try:
            with _named_errors(path, "cannot be opened"), self._readers.borrowed() as reader:
                self._describe(reader, image)
        except BaseException:
            self.close()
            raise

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        box = Region(x, y, width, height)
        if level == 0:
            return self._read(0, box)
        # The library resamples parts of tiles, by up to one px; only whole ones come as stored.
        out = np.full((height, width, 3), 255, dtype=np.uint8)
        for tile in self._stored[level].tiles_in(box):
            pixels, part = self._tile(level, tile), tile.intersection(box)
            out[part.y - y : part.bottom - y, part.x - x : part.right - x] = pixels[
                part.y - tile.y : part.bottom - tile.y, part.x - tile.x : part.right - tile.x
            ]
        return out

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Raise, as the library reads no attachments."""
        raise SlideError(f"{self._path.name} has no image {name!r}")

    def close(self) -> None:
        """Close the file; a read after this fails."""
        self._readers.close()
        self._cache.clear()

    def _tile(self, level: int, tile: Region) -> NDArray[np.uint8]:
        key = (level, tile)
        pixels = self._cache.get(key)
        if pixels is None:
            if tile.width * tile.height > _MAX_TILE_PIXELS:
                raise DamagedSlideError(
                    f"{self._path.name} states a tile of {tile.width} x {tile.height} px; copy it "
                    "again"
                )
            pixels = self._read(level, tile)
            self._cache.put(key, pixels)
        return pixels

    def _read(self, level: int, box: Region) -> NDArray[np.uint8]:
        step = self._stored[level].step
        place = Region(
            self._box.x + box.x * step,
            self._box.y + box.y * step,
            box.width * step,
            box.height * step,
        )
        with (
            _named_errors(self._path, f"cannot be read at ({box.x}, {box.y}) of level {level}"),
            self._readers.borrowed() as reader,
        ):
            self._heads.require_sound(place, 1 / step)
            bgr = reader.read(
                roi=(place.x, place.y, place.width, place.height),
                plane=self._plane,
                scene=self._scene,
                zoom=1 / step,
                pixel_type=_BRIGHTFIELD,
                background_pixel=_WHITE,
            )
            if bgr.shape != (box.height, box.width, 3):
                raise ValueError(f"{bgr.shape[1]} x {bgr.shape[0]} px of it")
        return np.ascontiguousarray(bgr[..., ::-1])

    def _describe(self, reader: Any, image: int | None) -> None:
        scenes = _scenes(reader)
        described = [f"{box.width} x {box.height} px" for box in scenes.values()]
        number = chosen_index(described, self._path, image)
        self._scene, self._box = list(scenes.items())[number]
        tiles = stored_tiles(reader, tile_positions(self._path))
        tiles = [tile for tile in tiles if tile.place.get(SCENE) == self._scene]
        self._plane = first_plane(tiles, self._path)
        tiles = [tile for tile in tiles if tile.is_on(self._plane)]
        _require_brightfield({tile.pixel_type for tile in tiles if tile.step == 1}, self._path)
        self._heads = tile_heads(self._path, tiles)
        self._stored = stored_levels(self._box, tiles)
        self.levels: tuple[Level, ...] = tuple(one.level for one in self._stored)
        self.facts = SlideFacts(
            vendor="zeiss",
            properties={"czi.scene": str(number + 1)},
            stated_scale=_stated_scale(reader.raw_metadata, self._path.name),
        )


def scene_count(path: Path) -> int:
    """Return how many scenes a CZI file holds, at least 1; raises as `CziBackend` does."""
    readers = _Readers(path)
    try:
        with _named_errors(path, "cannot be opened"), readers.borrowed() as reader:
            return len(_scenes(reader))
    finally:
        readers.close()


class _Readers:
    """Readers of one file, each of which serves a thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[Any] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """Yield a reader that no other thread has."""
        with self._lock:
            if self._closed:
                raise SlideError(f"{self._path.name} was closed; open it again to read it")
            reader = self._free.pop() if self._free else None
        if reader is None:
            reader = _new_reader(self._path)
        try:
            yield reader
        finally:
            self._put_back(reader)

    def close(self) -> None:
        """Close those that are free now, and the others when they come back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for reader in free:
            reader.close()

    def _put_back(self, reader: Any) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(reader)
                return
        reader.close()


def _new_reader(path: Path) -> Any:
    try:
        from pylibCZIrw.czi import CacheOptions, CacheType, CziReader
    except ImportError as error:
        raise MissingReaderError(
            f"{path.name} is a CZI file, which is read by the package pylibCZIrw: "
            'run pip install "napari-smse[czi]".'
        ) from error
    tile_positions(path)
    return CziReader(str(path), cache_options=CacheOptions(CacheType.Standard, READER_CACHE_BYTES))


@contextmanager
def _named_errors(path: Path, problem: str) -> Iterator[None]:
    try:
        yield
    except SlideError:
        raise
    except Exception as error:  # the library has no errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedSlideError(f"{path.name} {problem} ({reason}); copy it again") from error


def _scenes(reader: Any) -> dict[int | None, Region]:
    """Return the box of each scene at level 0, by its number in the file."""
    found = reader.scenes_bounding_rectangle_no_pyramid
    boxes = dict(sorted(found.items())) or {None: reader.total_bounding_rectangle_no_pyramid}
    if any(min(box.w, box.h) < 1 for box in boxes.values()):
        raise ValueError("a scene has no size")
    return {number: Region(*box) for number, box in boxes.items()}


def _require_brightfield(pixel_types: set[str], path: Path) -> None:
    if not pixel_types:
        raise DamagedSlideError(f"{path.name} holds no tiles of this scene; copy it again")
    if grey := sorted(kind for kind in pixel_types if kind.startswith("Gray")):
        raise NotBrightfieldError(
            f"{path.name} is not a brightfield slide (it has {grey[0]} pixels, as in "
            "fluorescence): only H&E sections on bright glass can be scored."
        )
    if pixel_types != {_BRIGHTFIELD}:
        kinds = ", ".join(sorted(pixel_types))
        raise NotASlideError(f"{path.name} has {kinds} pixels, not 8-bit RGB; export it as 8-bit")


def _stated_scale(xml: str, name: str) -> StatedScale:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return StatedScale()
    across, down = (_micrometres(root, side) for side in "XY")
    return StatedScale(
        vendor=mean_mpp(across, down, name),
        objective_power=_objective_power(root),
        pixel_ratio=pixel_ratio(across, down),
    )


def _micrometres(root: ElementTree.Element, side: str) -> float | None:
    metres = positive(root.findtext(f".//Scaling/Items/Distance[@Id='{side}']/Value"))
    return None if metres is None else metres * 1e6


def _objective_power(root: ElementTree.Element) -> float | None:
    """Return the power of the objective that the image was taken with; of others, none."""
    objectives = root.findall(".//Instrument/Objectives/Objective")
    used = root.find(".//Image/ObjectiveSettings/ObjectiveRef")
    if used is not None:
        objectives = [one for one in objectives if one.get("Id") == used.get("Id")]
    return (
        positive(objectives[0].findtext("NominalMagnification")) if len(objectives) == 1 else None
    )
