"""What a store of scores consists of; anything else on disk is refused before it is decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import zarr
from pydantic import BaseModel, ConfigDict, Field
from zarr.core.metadata import ArrayV3Metadata

FORMAT: Final = "napari-smse scores"
VERSION: Final = 1

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
_TWO_AXES: Final = ("probability", "embedding")


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=(), strict=True)


class SlideFacts(_Facts):
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
    slide: SlideFacts | None = None
    model: ModelFacts | None = None
    request: dict[str, Any] = {}
    precision: str = ""
    runtime: str = ""
    tiles: str = ""


class ScaleFacts(_Facts):
    """Attributes of one scale."""

    mpp: float = Field(gt=0, allow_inf_nan=False)
    tile_px: int = Field(gt=0)
    slide_mpp: float = Field(gt=0, allow_inf_nan=False)
    overlap: float = Field(ge=0, lt=1)
    area: tuple[int, int, int, int]
    pixel: int = Field(1, gt=0)


def open_group(path: Path) -> zarr.Group:
    """Open a store's group for reading and writing; raises what zarr raises if there is none.

    Only what is of zarr's format 3 is seen: the filters of format 2 may unpickle. Consolidated
    metadata is not asked, as it may speak of arrays of format 2 in a group of format 3.
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
        for name, dtype in _TILE_ARRAYS.items():
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
    fits = len(shape) == array.ndim and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{array.name} has the type {array.dtype} and the shape {array.shape}")
