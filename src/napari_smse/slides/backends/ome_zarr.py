"""OME-Zarr images, versions 0.4 and 0.5, read as slides."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.metadata import ArrayV2Metadata

from napari_smse.errors import (
    DamagedSlideError,
    NotASlideError,
    SlideError,
    SlideNotFoundError,
)
from napari_smse.slides.backends.base import Level, SlideFacts, as_rgb, level_downsample
from napari_smse.slides.backends.remote_zarr import METADATA, remote_files, remote_group
from napari_smse.slides.byte_ranges import trying
from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.remote_path import RemotePath
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio
from napari_smse.zarr_groups import open_group

CACHE_BYTES: Final = 64 * 2**20
MAX_CHUNK_BYTES: Final = 2**29
MAP_KEY: Final = "napari-smse"
"""Key of the metadata of an image that is a heat map which this package wrote, and no slide."""
_ATTRIBUTES: Final = ("zarr.json", ".zattrs")
_CODECS: Final = frozenset(
    {"bytes", "blosc", "crc32c", "gzip", "lz4", "sharding_indexed", "transpose", "zlib", "zstd"}
)
"""Others may run whatever the file asks for."""

_MICROMETRES: Final = {
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "angstrom": 1e-4,
}
_COLOURS: Final = (1, 3, 4)


def is_ome_zarr(path: Path) -> bool:
    """Whether a folder says that it is an OME-Zarr image that may be a slide; it never raises.

    At an address, a name that ends so is enough.
    """
    if isinstance(path, RemotePath):
        return path.is_dir()
    try:
        images = read_multiscales(path)
        return bool(images) and MAP_KEY not in images[0].get("metadata", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False


def identifying_files(path: Path) -> list[Path]:
    """Return the files of an OME-Zarr that tell it from others: metadata, and its coarsest level.

    None for any other folder.
    """
    if not is_ome_zarr(path):
        return []
    if isinstance(path, RemotePath):
        datasets = read_multiscales(path)[0]["datasets"]
        return remote_files(path, [_inside(one["path"]) for one in datasets])
    metadata = [
        file
        for folder in (path, *sorted(one for one in path.iterdir() if one.is_dir()))
        for file in sorted(folder.glob("*"))
        if file.name in METADATA
    ]
    try:
        coarsest = path / _inside(read_multiscales(path)[0]["datasets"][-1]["path"])
    except (ValueError, LookupError, TypeError):  # opening it says why
        return metadata
    chunks = sorted(file for file in coarsest.rglob("*") if file.is_file())
    return list(dict.fromkeys([*metadata, *chunks]))


class OmeZarrBackend:
    """Reads the levels of an OME-Zarr image, chunk by chunk.

    Parameters
    ----------
    path : Path
        The folder.

    Raises
    ------
    NotASlideError
        When it is no 8-bit grey or RGB image.
    DamagedSlideError
        When its metadata cannot be followed, or name a codec that is not known as harmless.
    """

    name = "ome-zarr"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = ArrayCache(CACHE_BYTES)
        self._closed = False
        try:
            self._describe()
        except (SlideError, PermissionError):
            raise
        except Exception as error:  # what is damaged makes zarr raise anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DamagedSlideError(
                f"{path.name} has damaged OME-Zarr metadata ({reason}); copy it again"
            ) from error

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        stored = self.levels[level]
        tile_width, tile_height = stored.tile_width, stored.tile_height
        out = np.empty((height, width, 3), dtype=np.uint8)
        for top in range(y - y % tile_height, y + height, tile_height):
            for left in range(x - x % tile_width, x + width, tile_width):
                chunk = self._chunk(level, left, top)
                x0, y0 = max(x, left), max(y, top)
                x1, y1 = min(x + width, left + tile_width), min(y + height, top + tile_height)
                out[y0 - y : y1 - y, x0 - x : x1 - x] = chunk[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return out

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Raise, as there is none."""
        raise SlideError(f"{self._path.name} has no image {name!r}")

    def close(self) -> None:
        """Let go of what was read; a read after this fails."""
        self._closed = True
        self._cache.clear()

    def _describe(self) -> None:
        images = read_multiscales(self._path)
        if not images:
            raise NotASlideError(f"{self._path.name} is no OME-Zarr image; open a slide file")
        image = images[0]
        names = [axis["name"] for axis in image["axes"]]
        datasets = image["datasets"]
        group = _group(self._path)
        self._arrays = [
            _level_array(group[_inside(one["path"])], names, self._path) for one in datasets
        ]
        sizes = [(array.width, array.height) for array in self._arrays]
        self.levels = tuple(
            Level(*size, level_downsample(sizes[0], size), *array.chunk)
            for size, array in zip(sizes, self._arrays, strict=True)
        )
        if any(later[0] > earlier[0] for earlier, later in itertools.pairwise(sizes)):
            raise DamagedSlideError(f"{self._path.name} has levels out of order; export it again")
        across, down = (_spacing(image, datasets[0], names, side) for side in "xy")
        self.facts = SlideFacts(
            vendor="ome-zarr",
            properties={"ome-zarr.name": str(image.get("name") or "")},
            stated_scale=StatedScale(
                vendor=mean_mpp(across, down, self._path.name),
                pixel_ratio=pixel_ratio(across, down),
            ),
        )

    def _chunk(self, level: int, left: int, top: int) -> NDArray[np.uint8]:
        key = (level, left, top)
        pixels = self._cache.get(key)
        if pixels is not None:
            return pixels
        if self._closed:
            raise SlideError(f"{self._path.name} was closed; open it again to read it")
        array = self._arrays[level]
        try:
            read = partial(array.read, left, top)
            remote = isinstance(self._path, RemotePath)
            pixels = as_rgb(trying(str(self._path), read) if remote else read())
        except SlideError:
            raise
        except Exception as error:  # each codec has its own errors
            raise DamagedSlideError(
                f"{self._path.name}: the chunk at ({left}, {top}) of level {level} cannot be read "
                f"({error}); copy it again"
            ) from error
        self._cache.put(key, pixels)
        return pixels


@dataclass(frozen=True)
class _LevelArray:
    """One level: an array, and which of its axes is what.

    Attributes
    ----------
    array
        Of zarr.
    rows, columns, colours
        Axes; None where there is no axis of colours.
    """

    array: Any
    rows: int
    columns: int
    colours: int | None

    @property
    def width(self) -> int:
        return int(self.array.shape[self.columns])

    @property
    def height(self) -> int:
        return int(self.array.shape[self.rows])

    @property
    def chunk(self) -> tuple[int, int]:
        return int(self.array.chunks[self.columns]), int(self.array.chunks[self.rows])

    def read(self, left: int, top: int) -> NDArray[np.uint8]:
        """Return the chunk of all colours that begins there, (h, w, colours) or (h, w)."""
        place: list[int | slice] = [0] * self.array.ndim
        width, height = self.chunk
        place[self.columns] = slice(left, left + width)
        place[self.rows] = slice(top, top + height)
        kept = [self.rows, self.columns]
        if self.colours is not None:
            place[self.colours] = slice(None)
            kept.append(self.colours)
        pixels = np.asarray(self.array[tuple(place)])
        order = [sorted(kept).index(axis) for axis in kept]
        return np.ascontiguousarray(pixels.transpose(order))


def read_multiscales(path: Path) -> list[dict[str, Any]]:
    """Return what an OME-Zarr says of its images; nothing for any other folder."""
    for name in _ATTRIBUTES:
        file = path / name
        try:
            if not file.is_file():
                continue
            content = json.loads(file.read_bytes())
        except SlideNotFoundError:
            continue
        attributes = content.get("attributes", {}) if name == "zarr.json" else content
        attributes = attributes.get("ome", attributes)
        found = attributes.get("multiscales")
        if isinstance(found, list):
            return found
    return []


def _group(path: Path) -> zarr.Group:
    if isinstance(path, RemotePath):
        return remote_group(path)
    return open_group(path, mode="r", use_consolidated=False)


def _inside(path: Any) -> str:
    # A backslash or a drive leads out on Windows.
    if not isinstance(path, str) or re.search(r"^/|[\\:]|(^|/)\.\.(/|$)", path):
        raise ValueError(f"a level lies at {path!r}, outside the folder")
    return path


def _level_array(array: Any, names: Sequence[str], path: Path) -> _LevelArray:
    if not isinstance(array, zarr.Array):
        raise ValueError("a level is no array")
    check_codecs(array)
    fix = "export it as 8-bit RGB"
    if array.dtype != np.uint8:
        raise NotASlideError(f"{path.name} has {array.dtype} pixels, not 8-bit RGB; {fix}")
    if len(names) != array.ndim or not {"x", "y"} <= set(names):
        raise ValueError(f"axes {', '.join(names)} do not fit {array.ndim} dimensions")
    colours = names.index("c") if "c" in names else None
    samples = 1 if colours is None else array.shape[colours]
    others = {name: array.shape[names.index(name)] for name in names if name not in "xyc"}
    if any(side > 1 for name, side in others.items() if name != "z"):
        raise NotASlideError(f"{path.name} is a stack of images ({others}), not a slide")
    if samples not in _COLOURS:
        raise NotASlideError(f"{path.name} has {samples} channels, not RGB; {fix}")
    if min(array.shape) < 1:
        raise ValueError("a level is empty")
    if math.prod(array.chunks) * samples > MAX_CHUNK_BYTES:
        raise NotASlideError(
            f"{path.name} is stored in pieces of {array.chunks} px; convert it to smaller chunks"
        )
    return _LevelArray(array, names.index("y"), names.index("x"), colours)


def check_codecs(array: zarr.Array[Any]) -> None:
    """Raise `ValueError` if an array names a codec that is not known as harmless."""
    if unknown := set(_codec_names(array.metadata)) - _CODECS:
        raise ValueError(f"codec {min(unknown)} is not read")


def _codec_names(metadata: Any) -> Iterator[str]:
    if isinstance(metadata, ArrayV2Metadata):
        for codec in (*(metadata.filters or ()), metadata.compressor):
            if codec is not None:
                yield str(codec.get_config()["id"])
        return
    for codec in metadata.codecs:
        yield from _named(codec.to_dict())


def _named(codec: Mapping[str, Any]) -> Iterator[str]:
    yield str(codec["name"])
    configuration = codec.get("configuration", {})
    for key in ("codecs", "index_codecs"):  # within shards
        for inner in configuration.get(key, ()):
            yield from _named(inner)


def _spacing(
    image: Mapping[str, Any], dataset: Mapping[str, Any], names: Sequence[str], side: str
) -> float | None:
    """Return um/px of level 0 along a side, as the transformations of dataset and image give it."""
    axis = names.index(side)
    unit = _MICROMETRES.get(str(image["axes"][axis].get("unit", "")).lower())
    if unit is None:
        return None
    spacing = unit
    for transformation in (
        *dataset.get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ):
        if transformation.get("type") == "scale":
            spacing *= float(transformation["scale"][axis])
    return spacing if math.isfinite(spacing) and spacing > 0 else None
