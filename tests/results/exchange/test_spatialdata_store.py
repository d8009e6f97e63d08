"""What wsidata, and so LazySlide, finds in the store that is written for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spatialdata
import wsidata

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder, export_results, spatialdata_store
from napari_smse.results.exchange.scored_scale import ScoredScale
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec

KEYS = ("tiles_10x", "tiles_5x")


@pytest.fixture(scope="module")
def opened(saved: Path, sample_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The slide with its store, by wsidata's own reader."""
    (path,) = export_results(saved, "spatialdata", tmp_path_factory.mktemp("store"))
    assert path.name == sample_slide.with_suffix(".zarr").name
    return wsidata.open_wsi(sample_slide, store=str(path.parent))


def test_tiles_of_each_scale_are_shapes(opened: Any, results: ResultFolder) -> None:
    assert set(opened.shapes) == {*KEYS, "tissues"}
    for key, scale in zip(KEYS, results.scales, strict=True):
        shapes, edge = opened.shapes[key], scale.tiles.grid.edge
        np.testing.assert_array_equal(shapes["x"], scale.tiles.x)
        np.testing.assert_array_equal(shapes["y"], scale.tiles.y)
        np.testing.assert_array_equal(shapes["tile_id"], np.arange(len(scale.tiles)))
        bounds = shapes.geometry.bounds
        np.testing.assert_array_equal(bounds["maxx"], scale.tiles.x + edge)
        np.testing.assert_array_equal(bounds["miny"], scale.tiles.y)
        spec = opened.tile_spec(key)
        assert (spec.mpp, spec.height, spec.width) == (scale.mpp, 64, 64)
        assert spec.base_height == spec.base_width == spec.ops_width == edge
        assert spec.stride_width == 64


def test_each_has_a_table_of_embeddings_and_probabilities(
    opened: Any, results: ResultFolder
) -> None:
    assert set(opened.tables) == {f"redness_{key}" for key in KEYS}
    for key, scale in zip(KEYS, results.scales, strict=True):
        table = opened.tables[f"redness_{key}"]
        np.testing.assert_array_equal(table.X, scale.embedding.astype(np.float32))
        np.testing.assert_array_equal(table.obs["p_malignant"], scale.probability[:, 1])
        np.testing.assert_array_equal(table.obs["tile_id"], opened.shapes[key]["tile_id"])
        assert set(table.obs["library_id"]) == {key}
        assert table.obs_names.tolist() == [str(number) for number in range(len(scale.tiles))]
        assert table.uns["napari_smse"]["model"] == "redness"
        assert table.obsm["spatial"][0].tolist() == [
            scale.tiles.x[0] + scale.tiles.width[0] / 2,
            scale.tiles.y[0] + scale.tiles.height[0] / 2,
        ]


def test_the_picture_of_a_tile_is_that_of_the_slide(opened: Any, results: ResultFolder) -> None:
    tile = next(iter(opened.iter.tile_images(KEYS[0])))
    fine = results.scales[0].tiles
    assert (tile.x, tile.y) == (fine.x[0], fine.y[0])
    assert tile.image.shape == (64, 64, 3)


def test_every_tile_lies_in_its_piece_of_tissue(opened: Any) -> None:
    tissues = opened.shapes["tissues"]
    assert len(tissues) > 1
    for key in KEYS:
        shapes = opened.shapes[key]
        pieces = tissues.geometry.to_numpy()[shapes["tissue_id"]]
        assert all(
            piece.contains(tile.centroid)
            for piece, tile in zip(pieces, shapes.geometry, strict=True)
        )


def test_the_slide_is_described(opened: Any, results: ResultFolder) -> None:
    slide = results.record.slide
    stored = spatialdata_store.slide_properties(results)
    assert stored["shape"] == [slide.height, slide.width] == list(opened.properties.shape)
    assert opened.properties.mpp == slide.mpp


def test_a_slide_without_tissue_has_a_store_without_tiles(
    without_tissue: ResultFolder, tmp_path: Path
) -> None:
    (path,) = spatialdata_store.export(without_tissue, tmp_path, overwrite=False)
    found = spatialdata.read_zarr(path)
    assert not found.shapes
    assert found.attrs["slide_properties"]["mpp"] == without_tissue.record.slide.mpp


@pytest.mark.parametrize("mpp", [0.499, 0.2527, 0.263, 0.19, 0.311])
def test_wsidata_finds_the_edge_of_a_tile_whatever_the_scale(mpp: float) -> None:
    for size, scale in ((224, 0.5), (224, 1.0), (96, 2.0), (299, 0.41)):
        grid = TileGrid(TileSpec(size, scale, mpp, 0.25), Region(0, 0, 9000, 9000))
        none = np.empty(0, np.int32)
        tiles = ScaleTiles(grid, none, none, none.astype(np.float32))
        spec = wsidata.TileSpec(
            **spatialdata_store.tile_spec(ScoredScale(tiles, np.empty((0, 3), np.float32), None))
        )
        assert spec.base_width == spec.base_height == grid.edge
        assert spec.stride_width == round(size * 0.75)


def test_what_lies_there_stays_and_a_missing_package_is_named(
    results: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "sample_slide.zarr" / "mine"
    kept.mkdir(parents=True)
    with pytest.raises(OutputError, match="lies there already"):
        spatialdata_store.export(results, tmp_path, overwrite=False)
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(OutputError, match=r"pip install \"napari-smse\[spatialdata\]\""):
        spatialdata_store.export(results, tmp_path, overwrite=True)
    assert kept.is_dir()
