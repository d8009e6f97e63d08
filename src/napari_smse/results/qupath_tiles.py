"""Tiles as GeoJSON, the way QuPath reads and writes them.

QuPath crops a slide to OpenSlide's bounds and counts its pixels from there, while
everything in this package counts from the corner of level 0. `bounds_origin`, the
corner of the bounds in level-0 px, leads from one to the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from napari_smse.annotations.geojson import MEASURED, probability_name
from napari_smse.atomic_write import atomic_path
from napari_smse.palette import Colour
from napari_smse.results.tables import distinguished, probability_column
from napari_smse.scoring.calls import CallRule

OOD_MEASUREMENT: Final = "Out-of-distribution score"
_ROWS_AT_ONCE = 1000


def write_qupath_tiles(
    path: Path,
    table: pa.Table,
    classes: Sequence[str],
    *,
    bounds_origin: tuple[int, int] = (0, 0),
    colours: Mapping[str, Colour] | None = None,
) -> None:
    """Write scored tiles as QuPath tile objects, whole or not at all.

    Each tile is classified as it is called, which may be *indeterminate* or *out of
    distribution*, or by its most probable class if the table calls none; it carries all
    probabilities, and how far it is out of distribution, as measurements. A tile without
    probabilities stays unclassified. The collection names the model.

    Parameters
    ----------
    path
        The file, usually ending in `.geojson`.
    table
        A table as `tile_table` makes it, in level-0 px.
    classes
        The classes whose probabilities the table holds.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.
    colours
        Colours of the classes, RGB 0..255; classes without one get a usual colour.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    dyes = CallRule(tuple(classes)).colours(colours)
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as file:
        models = json.dumps(", ".join(filter(None, table["model"].unique().to_pylist())))
        file.write(f'{{"type": "FeatureCollection", "model": {models}, "features": [')
        separator = "\n"
        for row in _rows(table):
            feature = _tile_feature(row, classes, dyes, bounds_origin)
            file.write(separator + json.dumps(feature))
            separator = ",\n"
        file.write("\n]}\n")


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _tile_feature(
    row: Mapping[str, Any],
    classes: Sequence[str],
    colours: Mapping[str, Colour],
    origin: tuple[int, int],
) -> dict[str, Any]:
    probabilities = {name: row[probability_column(name)] for name in distinguished(classes)}
    measurements = dict(zip(MEASURED, (row["mpp"], row["tissue"]), strict=True))
    measurements |= {probability_name(name): p for name, p in probabilities.items()}
    measurements[OOD_MEASUREMENT] = row["ood"]
    properties: dict[str, Any] = {
        "objectType": "tile",
        "measurements": {k: round(v, 6) for k, v in measurements.items() if _is_number(v)},
    }
    scored = {name: p for name, p in probabilities.items() if _is_number(p)}
    if scored:
        called = row["call"] or max(scored, key=scored.__getitem__)
        properties["classification"] = {"name": called, "color": colours[called]}
    return {"type": "Feature", "geometry": _rectangle(row, origin), "properties": properties}


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _rectangle(row: Mapping[str, Any], origin: tuple[int, int]) -> dict[str, Any]:
    left, top = row["x"] - origin[0], row["y"] - origin[1]
    right, bottom = left + row["width"], top + row["height"]
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Polygon", "coordinates": [ring]}
