"""One row a tile, as Parquet and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from napari_smse.atomic_write import atomic_path

_PLACE_TYPES = {
    "x": pa.int32(),
    "y": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
    "mpp": pa.float64(),
    "tissue": pa.float32(),
}
_CALL_TYPES = {
    "focus": pa.float32(),
    "ood": pa.float32(),
    "call": pa.string(),
    "model": pa.string(),
}


def probability_column(name: str) -> str:
    """Name the column that holds a class's probability."""
    return f"p_{name}"


def distinguished(classes: Sequence[str]) -> Sequence[str]:
    """Return the classes that tiles have probabilities of: none where there is but one.

    An encoder that embeds tiles alone has one class, in which every tile is.
    """
    return classes if len(classes) > 1 else ()


def tile_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Columns of a tile table for these classes, in order."""
    return (*_PLACE_TYPES, *map(probability_column, distinguished(classes)), *_CALL_TYPES)


TILE_COLUMNS = tile_columns(("benign", "malignant"))


@dataclass(frozen=True)
class TileRows:
    """The tiles of one scale and their probabilities.

    Attributes
    ----------
    mpp
        Scale at which they were scored, um/px.
    regions
        (n, 4) integers: x, y of the top-left corner, width, height, all in level-0 px.
    tissue
        (n,) fraction of each tile that is tissue, 0..1.
    probabilities
        (n, classes) in the order of the classes; NaN where a tile was not scored.
    focus
        (n,) sharpness, see `tiles.appearance.focus`; NaN where that is not known, as by default.
    ood
        (n,) out-of-distribution scores, above 1 out of it; NaN where that is not known, as by
        default.
    calls
        (n,) what is called of each tile, see `scoring.calls`; None where nothing was scored, and
        by default.
    model
        Name and version of the model.
    """

    mpp: float
    regions: NDArray[np.integer[Any]]
    tissue: NDArray[np.floating[Any]]
    probabilities: NDArray[np.floating[Any]]
    ood: NDArray[np.floating[Any]] | None = None
    calls: Sequence[str | None] | None = None
    model: str = ""
    focus: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        n = len(self.regions)
        if self.regions.shape != (n, 4) or self.tissue.shape != (n,):
            raise ValueError(
                f"regions {self.regions.shape} and tissue {self.tissue.shape} do not fit: "
                "(n, 4) and (n,) are needed"
            )
        if self.probabilities.ndim != 2 or len(self.probabilities) != n:
            raise ValueError(f"{n} tiles, but probabilities of shape {self.probabilities.shape}")
        if any(part is not None and len(part) != n for part in (self.ood, self.calls, self.focus)):
            raise ValueError(f"out-of-distribution scores, calls or sharpness are not of {n} tiles")


def tile_schema(classes: Sequence[str]) -> pa.Schema:
    """Types of the columns of a tile table."""
    probabilities = {probability_column(name): pa.float32() for name in distinguished(classes)}
    return pa.schema(_PLACE_TYPES | probabilities | _CALL_TYPES)


def tile_table(scales: Iterable[TileRows], classes: Sequence[str]) -> pa.Table:
    """Put the tiles of all scales under each other.

    Parameters
    ----------
    scales
        The tiles of each scale.
    classes
        Names of the classes, in the order of the columns of the probabilities.

    Returns
    -------
    pyarrow.Table
        Columns `tile_columns(classes)`: positions and sizes as int32 level-0 px,
        `mpp` as float64 um/px, tissue, probabilities, `focus` and `ood` as float32, `call` and
        `model` as text.

    Raises
    ------
    ValueError
        If the number of classes and of probabilities differ.
    """
    schema = tile_schema(classes)
    batches = [_scale_batch(tiles, len(classes), schema) for tiles in scales]
    return pa.Table.from_batches(batches, schema)


def _scale_batch(tiles: TileRows, classes: int, schema: pa.Schema) -> pa.RecordBatch:
    if tiles.probabilities.shape[1] != classes:
        raise ValueError(
            f"{classes} classes, but {tiles.probabilities.shape[1]} probabilities a tile"
        )
    n = len(tiles.regions)
    numbers = [
        *tiles.regions.T,
        np.full(n, tiles.mpp),
        tiles.tissue,
        *(tiles.probabilities.T if classes > 1 else ()),
    ]
    measured = [
        np.full(n, np.nan) if values is None else values for values in (tiles.focus, tiles.ood)
    ]
    texts = [[None] * n if tiles.calls is None else list(tiles.calls), [tiles.model or None] * n]
    arrays = [pa.array(np.ascontiguousarray(column)) for column in numbers]
    # Nothing where it is not known: a NaN would be told apart from itself.
    arrays += [pa.array(np.asarray(one, dtype=np.float64), from_pandas=True) for one in measured]
    arrays += [pa.array(column, type=pa.string()) for column in texts]
    arrays = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a tile table as Parquet, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    # pyarrow itself takes no path that is not UTF-8.
    with atomic_path(path) as part, part.open("wb") as stream:
        pa.parquet.write_table(table, stream)


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a tile table as CSV with a header, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as part, part.open("wb") as stream:
        pa.csv.write_csv(table, stream)
