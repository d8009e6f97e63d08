"""What a store of scores consists of; anything else on disk is refused before it is decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from zarr.core.metadata import ArrayV3Metadata

from napari_smse.errors import OutputError
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.tiles.appearance import MEASURES

FORMAT: Final = "napari-smse scores"
VERSION: Final = 1
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
    version: Literal[1]
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
    known_scales: tuple[int, ...] = ()


class ScaleFacts(_Facts):
    """Attributes of one scale."""

    mpp: float = Field(gt=0, allow_inf_nan=False)
    tile_px: int = Field(gt=0)
    slide_mpp: float = Field(gt=0, allow_inf_nan=False)
    overlap: float = Field(ge=0, lt=1)
    area: tuple[int, int, int, int]
    pixel: int = Field(1, gt=0)
    inside: bool = False


def open_group(path: Path) -> zarr.Group:
    """Open a store's group for reading and writing; raises what zarr raises if there is none.

    Only what is of zarr's format 3 is seen: the filters of format 2 may unpickle. Consolidated
    metadata is not used, as it may list arrays of format 2 in a group of format 3.
    """
    return zarr.open_group(path, mode="r+", zarr_format=3, use_consolidated=False)


def check_facts(attributes: Mapping[str, Any]) -> StoreFacts:
    """Return attributes of a store; `ValueError` if some are missing or of another type."""
    return StoreFacts.model_validate_json(json.dumps(dict(attributes)))


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
    """Create an array of a group, in chunks of whole rows."""
    rows = max(1, min(shape[0], _ROWS_A_CHUNK))
    return group.create_array(
        name, shape=shape, chunks=(rows, *shape[1:]), dtype=dtype, fill_value=fill
    )


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
        }
    )
    count = len(tiles)
    for name, values in (
        ("column", tiles.columns),
        ("row", tiles.rows),
        ("x", tiles.x),
        ("y", tiles.y),
        ("tissue", tiles.tissue),
    ):
        create_array(group, name, (count,), values.dtype, 0)[:] = values
    create_array(group, "probability", (count, classes), np.float32, np.nan)
    create_array(group, "embedding", (count, embedding_dim), np.float16, 0)
    create_array(group, "appearance", (count, len(MEASURES)), np.float32, np.nan)


def read_tiles(group: Any) -> ScaleTiles:
    """Read back where the tiles of a scale's group lie."""
    attrs = group.attrs
    spec = TileSpec(attrs["tile_px"], attrs["mpp"], attrs["slide_mpp"], attrs["overlap"])
    return ScaleTiles(
        # Stores of earlier versions know of neither.
        TileGrid(
            spec,
            Region(*attrs["area"]),
            attrs.get("pixel", 1),
            inside=attrs.get("inside", False),
        ),
        np.asarray(group["column"][:]),
        np.asarray(group["row"][:]),
        np.asarray(group["tissue"][:]),
    )


def read_appearance(group: Any) -> NDArray[np.float32]:
    """Return what the tiles of a scale look like; NaN if an earlier or later version wrote it."""
    tiles = group["column"].shape[0]
    stored = group.get("appearance")
    if stored is None or stored.shape[1] != len(MEASURES):
        return np.full((tiles, len(MEASURES)), np.nan, dtype=np.float32)
    return np.asarray(stored[:])


class writing:
    """Turn a failed write into a named error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise OutputError(
                f"Cannot go on writing {self.path}: {error.strerror or error}. What was scored "
                "so far is kept; make room and run again to continue."
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
