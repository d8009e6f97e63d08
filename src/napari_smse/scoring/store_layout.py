"""What a store of scores consists of; anything else on disk is refused before it is decoded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.metadata import ArrayV3Metadata

from napari_smse.checksum import facts_hash, files_hash
from napari_smse.errors import OutputError
from napari_smse.slides import Region
from napari_smse.tiles import PlacedTiles, ScaleTiles, TileGrid, TileSpec
from napari_smse.tiles.appearance import MEASURES
from napari_smse.zarr_groups import open_group

_log = logging.getLogger(__name__)

FORMAT: Final = "napari-smse scores"
VERSION: Final = 2
"""Stores of version 1 have no checksums; they are read, and gone on with, without."""
READABLE: Final = (1, VERSION)
_METADATA: Final = "*/**/zarr.json"
_LAYOUT_HASH: Final = "layout_sha256"
_FACTS_HASH: Final = "facts_sha256"
SCORED_TILES: Final = "scored_tiles"
"""Attribute with the number of scored tiles of each scale, once a run has come to its end."""
KNOWN_SCALES: Final = "known_scales"
"""Attribute with the numbers of the scales that an earlier run scored; absent if there is none."""

_ROWS_A_CHUNK: Final = 2048

_CODECS: Final = frozenset({"bytes", "crc32c", "zstd"})
"""Others may run whatever the file asks for: one of them unpickles."""

_TILE_ARRAYS: Final[Mapping[str, type[np.generic]]] = {
    "column": np.int32,
    "row": np.int32,
    "x": np.int32,
    "y": np.int32,
    "tissue": np.float32,
    "probability": np.float32,
    "embedding": np.float16,
}
_ALL_CHUNKS: Final[ArrayConfigParams] = {"write_empty_chunks": True}
"""Of arrays, so that a chunk that is not there was lost."""
_TWO_AXES: Final = ("probability", "embedding", "appearance")
_ADDED_ARRAYS: Final[Mapping[str, type[np.generic]]] = {"appearance": np.float32}
"""Stores of earlier versions lack these."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=(), strict=True)


class ScoredSlideFacts(_Facts):
    """Which slide was scored."""

    quick_hash: str


class ModelFacts(_Facts):
    """Which network scored it."""

    hash: str
    name: str
    classes: tuple[str, ...]


class StoreFacts(_Facts):
    """Attributes of a store as far as other code relies on their types."""

    format: Literal["napari-smse scores"]
    version: Literal[1, 2]
    signature: str
    classes: tuple[str, ...] = Field(min_length=1)
    scales: int = Field(ge=0)
    complete: bool
    started: datetime
    finished: datetime | None = None
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    slide: ScoredSlideFacts | None = None
    model: ModelFacts | None = None
    request: dict[str, Any] = {}
    precision: str = ""
    runtime: str = ""
    tiles: str = ""
    region: dict[str, Any] | None = None
    known_scales: tuple[int, ...] = ()
    scored_tiles: tuple[int, ...] = ()


class ScaleFacts(_Facts):
    """Attributes of one scale."""

    mpp: float = Field(gt=0, allow_inf_nan=False)
    tile_px: int = Field(gt=0)
    slide_mpp: float = Field(gt=0, allow_inf_nan=False)
    overlap: float = Field(ge=0, lt=1)
    area: tuple[int, int, int, int]
    pixel: int = Field(1, gt=0)
    inside: bool = False
    placed: bool = False


def open_store_group(path: Path) -> zarr.Group:
    """Open a store's group for reading and writing; raises what zarr raises if there is none.

    Only what is of zarr's format 3 is seen: the filters of format 2 may unpickle. Consolidated
    metadata is not used, as it may list arrays of format 2 in a group of format 3.
    """
    return open_group(path, mode="r+", zarr_format=3, use_consolidated=False)


def check_facts(attributes: Mapping[str, Any]) -> StoreFacts:
    """Return attributes of a store; `ValueError` if some are missing or of another type."""
    return StoreFacts.model_validate_json(json.dumps(dict(attributes)))


def has_checksums(attributes: Mapping[str, Any]) -> bool:
    """Whether a store was written with checksums."""
    return bool(attributes.get("version") != 1)


def with_checksum(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a store's attributes with the checksums of themselves and of how its arrays are made.

    Chunks have checksums of their own.

    Parameters
    ----------
    attributes
        To be written; those of a store of version 1 come back as they are.
    path
        The store's folder, with all its arrays.
    """
    if not has_checksums(attributes):
        return dict(attributes)
    layout = attributes.get(_LAYOUT_HASH) or files_hash(path, _METADATA)
    stated = {**attributes, _LAYOUT_HASH: layout}
    return {**stated, _FACTS_HASH: facts_hash(stated, _FACTS_HASH)}


def check_checksums(attributes: Mapping[str, Any], path: Path) -> None:
    """Compare a store's checksums with what there is; `ValueError` if they differ."""
    if not has_checksums(attributes):
        _log.info("%s is of an earlier version: it has no checksums, and is not checked", path)
        return
    if attributes.get(_FACTS_HASH) != facts_hash(attributes, _FACTS_HASH):
        raise ValueError("its attributes do not have their checksum")
    if attributes.get(_LAYOUT_HASH) != files_hash(path, _METADATA):
        raise ValueError("its arrays' metadata do not have their checksum")


def check_chunks(group: Any, scored: int, *, complete: bool) -> None:
    """Check that nothing of a scale is missing that was there when a run came to its end.

    Parameters
    ----------
    group
        Of the scale.
    scored
        How many of its tiles were scored then; a run that goes on scores more.
    complete
        Nothing writes to it any more.

    Raises
    ------
    ValueError
        A chunk is gone.
    """
    require_chunks(group, ("column", "row", "x", "y", "tissue"))
    if complete:
        require_chunks(group, [name for name in _TWO_AXES if name in group])
    if count_scored(group) < scored:
        raise ValueError("scores lack tiles")


def require_chunks(group: Any, names: Iterable[str]) -> None:
    """Raise `ValueError` if chunks of these arrays of a group were lost."""
    for name in names:
        if group[name].nchunks_initialized != group[name].nchunks:
            raise ValueError(f"{name} lacks chunks")


def count_scored(group: Any) -> int:
    """Return how many tiles of a scale were scored."""
    return int(np.count_nonzero(~np.isnan(group["probability"][:, 0])))


def check_arrays(group: zarr.Group, classes: int, scales: int) -> None:
    """Check arrays from their metadata alone, as decoding one may do harm.

    Raises
    ------
    ValueError
        One has a codec, type or shape that this product does not write.
    KeyError
        One is missing.
    """
    _check(group["blocks_done"], np.uint8, (None,))
    for number in range(scales):
        scale: Any = group[f"scale_{number}"]
        ScaleFacts.model_validate_json(json.dumps(dict(scale.attrs)))
        tiles = scale["column"].shape[0]
        added = {name: dtype for name, dtype in _ADDED_ARRAYS.items() if name in scale}
        for name, dtype in {**_TILE_ARRAYS, **added}.items():
            shape: tuple[int | None, ...] = (tiles,)
            if name in _TWO_AXES:
                shape = (tiles, classes if name == "probability" else None)
            _check(scale[name], dtype, shape)


def _check(array: Any, dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    metadata = getattr(array, "metadata", None)
    if not isinstance(metadata, ArrayV3Metadata):
        raise ValueError(f"{array} is no array of zarr's format 3")
    codecs = {str(codec.to_dict()["name"]) for codec in metadata.codecs}
    if not codecs <= _CODECS:
        raise ValueError(f"{array.name} has the codecs {', '.join(sorted(codecs - _CODECS))}")
    shape_fits = len(shape) == array.ndim and all(
        expected in (None, size) for expected, size in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not shape_fits:
        raise ValueError(f"{array.name} has the type {array.dtype} and the shape {array.shape}")


def create_array(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: Any, fill: float
) -> zarr.Array[Any]:
    """Create an array of a group, in chunks of whole rows, each with its checksum."""
    rows = max(1, min(shape[0], _ROWS_A_CHUNK))
    return group.create_array(
        name,
        shape=shape,
        chunks=(rows, *shape[1:]),
        dtype=dtype,
        fill_value=fill,
        compressors=(ZstdCodec(), Crc32cCodec()),
        config=_ALL_CHUNKS,
    )


def write(array: Any, rows: slice | NDArray[np.int64], values: Any) -> None:
    """Write rows of an array that was opened again, with chunks that hold its fill value alone."""
    array.with_config(_ALL_CHUNKS).oindex[rows] = values


def create_scale(
    root: zarr.Group, number: int, tiles: ScaleTiles, classes: int, embedding_dim: int
) -> None:
    """Create the group of one scale: where its tiles lie, and arrays for their scores.

    Parameters
    ----------
    root
        The store's group.
    number
        Number of the scale.
    tiles
        The tiles to be scored.
    classes, embedding_dim
        Number of classes, and length of an embedding.
    """
    group = root.create_group(f"scale_{number}")
    spec, area = tiles.grid.spec, tiles.grid.area
    group.attrs.update(
        {
            "mpp": spec.mpp,
            "tile_px": spec.size_px,
            "slide_mpp": spec.slide_mpp,
            "overlap": spec.overlap,
            "area": [area.x, area.y, area.width, area.height],
            "pixel": tiles.grid.pixel,
            "inside": tiles.grid.inside,
            "placed": isinstance(tiles, PlacedTiles),
        }
    )
    count = len(tiles)
    places = {"column": tiles.columns, "row": tiles.rows, "x": tiles.x, "y": tiles.y}
    for name, values in {**places, "tissue": tiles.tissue}.items():
        create_array(group, name, (count,), values.dtype, 0)[:] = values
    create_array(group, "probability", (count, classes), np.float32, np.nan)
    create_array(group, "embedding", (count, embedding_dim), np.float16, 0)
    create_array(group, "appearance", (count, len(MEASURES)), np.float32, np.nan)


def read_tiles(group: Any) -> ScaleTiles:
    """Read back where the tiles of a scale's group lie; `ValueError` if it contradicts itself."""
    attrs = group.attrs
    spec = TileSpec(attrs["tile_px"], attrs["mpp"], attrs["slide_mpp"], attrs["overlap"])
    area, pixel = Region(*attrs["area"]), attrs.get("pixel", 1)  # which earlier stores do not know
    grid = TileGrid(spec, area, pixel, inside=attrs.get("inside", False))
    names = "column", "row", "tissue", "x", "y"
    column, row, tissue, x, y = (np.asarray(group[name][:]) for name in names)
    if attrs.get("placed", False):  # by another program, see `PlacedTiles`
        tiles: ScaleTiles = PlacedTiles.near(grid, np.column_stack([x, y]), tissue)
    else:
        tiles = ScaleTiles(grid, column, row, tissue)
    known = (tiles.columns, column), (tiles.rows, row), (tiles.x, x), (tiles.y, y)
    if not all(np.array_equal(one, other) for one, other in known):
        raise ValueError("x and y are not where columns and rows say")
    return tiles


def read_appearance(group: Any) -> NDArray[np.float32]:
    """Return what the tiles of a scale look like; NaN if an earlier or later version wrote it."""
    tiles = group["column"].shape[0]
    stored = group.get("appearance")
    if stored is None or stored.shape[1] != len(MEASURES):
        return np.full((tiles, len(MEASURES)), np.nan, dtype=np.float32)
    return np.asarray(stored[:])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write into a named error."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Cannot go on writing {path}: {error.strerror or error}. What was scored so far is "
            "kept; make room and run again to continue."
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a failed read into a named error; what is not a store makes zarr raise anything."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        raise OutputError(
            f"{path} holds no readable scores: remove it and score the slide again."
        ) from error
