"""Scored tiles as a SpatialData store, laid out as wsidata and LazySlide have it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from napari_smse.atomic_write import require_free
from napari_smse.errors import OutputError
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.exchange.scored_scale import (
    ScoredScale,
    scale_names,
    scored_scales,
    whole_power,
)
from napari_smse.results.exchange.tile_anndata import tile_anndata
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.tile_outlines import covered_regions
from napari_smse.slides.identity import text_path
from napari_smse.zarr_groups import zarr_folder

if TYPE_CHECKING:
    import anndata
    import geopandas
    import spatialdata

_TILES: Final = "tiles"
_TISSUES: Final = "tissues"
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_.-]")


def export(run: ResultFolder, out: Path, *, overwrite: bool) -> list[Path]:
    """Write the tiles of each scale as shapes, and a table of each, into one zarr store.

    Raises
    ------
    OutputError
        A store lies there already, it cannot be written, or spatialdata is not installed.
    """
    # As wsidata looks for it beside the slide: of a.ome.tif it is a.ome.zarr.
    name = text_path(run.record.slide.path).stem
    path = out / f"{_UNUSUAL.sub('_', name)}.zarr"
    require_free([path], overwrite=overwrite)
    store = tile_store(run)
    with zarr_folder(path, overwrite=overwrite) as part, warnings.catch_warnings():
        # anndata says of every array how a later version of it will write them.
        warnings.filterwarnings("ignore", message=".*autosharding")
        store.write(part)
    return [path]


def tile_store(run: ResultFolder) -> spatialdata.SpatialData:
    """Return the scored tiles as SpatialData, in memory.

    Raises
    ------
    OutputError
        spatialdata is not installed.
    """
    try:
        import spatialdata
    except ImportError as error:
        raise OutputError(
            "SpatialData is written by the package spatialdata: run pip install "
            '"napari-smse[spatialdata]".'
        ) from error
    scales = scored_scales(run)
    tissues = _tissues(scales)
    shapes = {_TISSUES: _tissue_shapes(tissues)} if tissues else {}
    tables, specs = {}, {}
    for key, scale in zip(tile_keys(scales), scales, strict=True):
        if not len(scale.tiles):  # SpatialData knows no empty shapes
            continue
        shapes[key] = _tile_shapes(scale, tissues)
        tables[_UNUSUAL.sub("_", f"{run.record.model.name}_{key}")] = _table(run, scale, key)
        specs[key] = tile_spec(scale)
    return spatialdata.SpatialData(
        shapes=shapes,
        tables=tables,
        attrs={"tile_spec": specs, "slide_properties": slide_properties(run)},
    )


def tile_keys(scales: Sequence[ScoredScale]) -> list[str]:
    """Name the tiles of each scale; those of the only one as other programs do by default."""
    return [_TILES] if len(scales) == 1 else [f"{_TILES}_{name}" for name in scale_names(scales)]


def tile_spec(scale: ScoredScale) -> dict[str, Any]:
    """Return what wsidata knows of the tiles of a scale, as its `TileSpec` takes it.

    They are read at level 0, as what other levels there are is not recorded.
    """
    size = scale.spec.size_px
    stride = round(size * (1 - scale.spec.overlap))
    downsample = scale.tiles.grid.edge / size
    if int(size * downsample) < scale.tiles.grid.edge:  # as wsidata rounds it
        downsample = float(np.nextafter(downsample, np.inf))
    return {
        "height": size,
        "width": size,
        "stride_height": stride,
        "stride_width": stride,
        "mpp": scale.spec.mpp,
        "ops_level": 0,
        "ops_downsample": downsample,
        "base_level": 0,
        "base_downsample": downsample,
        "tissue_name": _TISSUES,
    }


def slide_properties(run: ResultFolder) -> dict[str, Any]:
    """Return what wsidata knows of a slide; what it can read from the file, it takes from there."""
    slide = run.record.slide
    shape = [slide.height, slide.width]
    return {
        "shape": shape,
        "n_level": 1,
        "level_shape": [shape],
        "level_downsample": [1.0],
        "mpp": slide.mpp,
        "magnification": slide.objective_power or float(whole_power(slide.mpp)),
    }


def _tissues(scales: Sequence[ScoredScale]) -> list[Polygon]:
    """Return the pieces of tissue, as what the tiles of all scales cover."""
    none = np.empty((sum(len(scale.tiles) for scale in scales), 0), dtype=np.float32)
    tiles = TileTable(tuple(scale.tiles for scale in scales), none, none, ())
    return covered_regions(tiles, np.ones(len(tiles), dtype=bool))


def _tissue_shapes(tissues: Sequence[Polygon]) -> geopandas.GeoDataFrame:
    columns = {"tissue_id": np.arange(len(tissues)), "geometry": list(tissues)}
    return _shapes(columns)


def _tile_shapes(scale: ScoredScale, tissues: Sequence[Polygon]) -> geopandas.GeoDataFrame:
    x, y = scale.corners.T
    edge = scale.tiles.grid.edge
    return _shapes(
        {
            "tile_id": np.arange(len(scale.tiles)),
            "x": x,
            "y": y,
            "tissue_id": _tissue_of(scale.centres, tissues),
            "geometry": shapely.box(x, y, x + edge, y + edge),
        }
    )


def _shapes(columns: dict[str, Any]) -> geopandas.GeoDataFrame:
    import geopandas
    from spatialdata.models import ShapesModel

    return ShapesModel.parse(geopandas.GeoDataFrame(data=columns))


def _tissue_of(points: NDArray[np.float64], tissues: Sequence[Polygon]) -> NDArray[np.intp]:
    """Return the number of the piece of tissue that each point ``(n, 2)`` is nearest to."""
    return np.asarray(shapely.STRtree(tissues).nearest(shapely.points(points)), dtype=np.intp)


def _table(run: ResultFolder, scale: ScoredScale, key: str) -> anndata.AnnData:
    import pandas as pd
    from spatialdata.models import TableModel

    table = tile_anndata(run, [scale])
    table.obs["tile_id"] = np.arange(len(scale.tiles))
    table.obs["library_id"] = pd.Categorical([key] * len(scale.tiles))
    return TableModel.parse(table, region=key, region_key="library_id", instance_key="tile_id")
