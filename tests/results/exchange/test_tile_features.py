"""Features that other programs wrote of a slide's tiles: read, searched, refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import box

import napari_smse as smse
from napari_smse.errors import DataError, MissingScaleError, OutputError, QueryError
from napari_smse.results.exchange import (
    ResultFolder,
    TileFeatures,
    clam,
    read_tile_features,
    trident,
)
from napari_smse.slides import Slide, open_slide
from support.slides import write_pyramid_tiff

TRIDENT = {"patch_size": 256, "patch_size_level0": 512, "overlap": 0}
SCALES = ("10x_64px_0px_overlap", "5x_64px_0px_overlap")


def write(
    path: Path,
    coords: Any,
    features: Any = None,
    about: dict[str, Any] = TRIDENT,
) -> Path:
    """Write a file as another program would."""
    coords = np.asarray(coords)
    if features is None:
        features = np.random.default_rng(0).random((len(coords), 4), dtype=np.float32)
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = features, coords
        file["coords"].attrs.update(about)
    return path


def corners(*columns: int) -> NDArray[np.int64]:
    return np.array([(512 * column, 512) for column in columns], dtype=np.int64)


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_exported_to_trident_is_read_back(
    results: ResultFolder, slide: Slide, tmp_path: Path, number: int
) -> None:
    written = trident.export(results, tmp_path, overwrite=False)
    found, scale = read_tile_features(written[number], slide), results.scales[number]
    np.testing.assert_array_equal(found.features, scale.embedding.astype(np.float32))
    np.testing.assert_array_equal(found.coords, np.stack([scale.tiles.x, scale.tiles.y], axis=1))
    assert found.tile_size == scale.tiles.grid.edge
    assert found.mpp == pytest.approx(scale.mpp, rel=1e-3)
    assert found.encoder == "redness"
    own, others = results.store.tile_table(), found.tiles
    np.testing.assert_allclose(others.embeddings, own.embeddings[own.rows_of(number)], atol=1e-6)
    np.testing.assert_array_equal(others.places, own.places[own.rows_of(number)])


def test_clam_says_beside_the_features_how_large_a_tile_is(
    results: ResultFolder, slide: Slide, tmp_path: Path
) -> None:
    clam.export(results, tmp_path, overwrite=False)
    path = tmp_path / SCALES[0] / "h5_files" / "sample_slide.h5"
    found = read_tile_features(path, slide)
    assert found.tile_size == results.scales[0].tiles.grid.edge
    assert found.encoder == "sample_slide"
    (tmp_path / SCALES[0] / "patches" / "sample_slide.h5").unlink()
    with pytest.raises(DataError, match="does not say how large a tile is"):
        read_tile_features(path, slide)
    assert read_tile_features(path, slide, tile_size=100).tile_size == 100


@pytest.mark.parametrize(
    ("about", "edge"),
    [
        ({"patch_size": 256, "level0_magnification": 40, "target_magnification": 20}, 512),
        ({"patch_size": 256, "patch_level": 1, "downsample": (4.0, 4.0)}, 1024),
        ({"patch_size_level0": 300}, 300),
        ({"patch_size": 512}, 512),  # which is the step
    ],
)
def test_a_tile_s_size_is_what_each_program_says(
    slide: Slide, tmp_path: Path, about: dict[str, Any], edge: int
) -> None:
    found = read_tile_features(write(tmp_path / "a.h5", corners(1, 2), about=about), slide)
    assert found.tile_size == edge
    assert (found.tiles.places[:, 2:] == edge).all()


@settings(max_examples=25)
@given(st.data())
def test_any_places_and_features_are_kept(
    slide: Slide, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = st.tuples(st.integers(0, slide.width - 1), st.integers(0, slide.height - 1))
    wanted = np.array(data.draw(st.lists(place, max_size=8)), dtype=np.int64).reshape(-1, 2)
    edge, overlap = data.draw(st.integers(64, 2000)), data.draw(st.integers(0, 300))
    about = {"patch_size": 256, "patch_size_level0": edge, "overlap": overlap}
    path = write(tmp_path_factory.mktemp("any") / "a.h5", wanted, about=about)
    found = read_tile_features(path, slide)
    np.testing.assert_array_equal(found.coords, wanted)
    np.testing.assert_array_equal(found.tiles.places[:, :2], wanted)
    assert len(found) == len(found.features) == len(wanted)
    values = found.tiles.heat_map(np.ones(len(wanted)), 0).values
    assert np.isfinite(values).any() == (len(wanted) > 0)


def test_a_tile_at_the_slide_s_far_edge_has_a_cell_of_its_own(slide: Slide, tmp_path: Path) -> None:
    coords = [(0, y) for y in (0, 512, 1024, 1100)]
    found = read_tile_features(write(tmp_path / "a.h5", coords), slide)
    assert found.placed.rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.tiles.heat_map(np.arange(4), 0).values[:, 0], range(4))


def test_half_precision_and_a_leading_one_are_read(slide: Slide, tmp_path: Path) -> None:
    features = np.ones((1, 2, 5), dtype=np.float16)
    found = read_tile_features(write(tmp_path / "a.h5", corners(1, 2), features), slide)
    assert found.features.shape == (2, 5)
    assert found.features.dtype == np.float32
    assert isinstance(found, TileFeatures)


def test_similar_tiles_are_found_among_features(slide: Slide, tmp_path: Path) -> None:
    features = np.array([(1, 0), (0, 5), (3, 0.2), (0, 1)], dtype=np.float32)
    path = write(tmp_path / "a.h5", corners(1, 2, 3, 4), features)
    found = smse.find_similar(smse.read_tile_features(path, slide), box(512, 512, 1024, 1024))
    assert found.like.rows.tolist() == [0]
    assert found.order.tolist() == [2, 1, 3]
    assert found.area(found.first_radius) == 4 * 512**2
    with pytest.raises(QueryError):
        smse.find_similar(smse.read_tile_features(path, slide), box(0, 0, 5, 5))


@pytest.mark.parametrize(
    ("coords", "features", "about", "words"),
    [
        ([(512, 512), (10**6, 512)], None, TRIDENT, "do not lie on sample_slide"),
        ([(-512, 512)], None, TRIDENT, "do not lie on sample_slide"),
        ([(5.5, 512.0)], None, TRIDENT, "do not lie on sample_slide"),
        (corners(1), None, {**TRIDENT, "level0_width": 7}, "it is of another slide"),
        (corners(1, 2), np.ones((3, 4), np.float32), TRIDENT, "3 features for 2 coordinates"),
        (corners(1), np.ones(4, np.float32), TRIDENT, r"features of shape \(4,\)"),
        (np.zeros((1, 3), int), None, TRIDENT, r"coordinates of \(1, 3\)"),
        (corners(1), np.full((1, 4), np.nan), TRIDENT, "no numbers"),
        (corners(1), np.array([[b"a"]]), TRIDENT, "no numbers"),
        (corners(1), None, {}, "does not say how large a tile is"),
        (corners(1, 2), None, {"patch_size": 256}, "does not say how large a tile is"),
        (corners(1), None, {"patch_size": "x"}, "does not say how large a tile is"),
        (corners(1), None, {"patch_size_level0": -1}, "does not say how large a tile is"),
    ],
)
def test_what_does_not_fit_the_slide_or_itself_is_refused(
    slide: Slide, tmp_path: Path, coords: Any, features: Any, about: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words) as refused:
        read_tile_features(write(tmp_path / "a.h5", coords, features, about), slide)
    assert "a.h5" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_files_and_damaged_ones_are_refused(
    slide: Slide, sample_slide: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_tile_features(tmp_path / "none.h5", slide)
    with pytest.raises(DataError, match="no whole HDF5 file"):
        read_tile_features(sample_slide, slide)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["coords"], file["labels"] = corners(1), [1]
        file.create_group("features")
    with pytest.raises(DataError, match="no datasets named coords and features, but coords, feat"):
        read_tile_features(path, slide)
    whole = write(path, corners(1, 2, 3), np.ones((3, 5000), np.float32)).read_bytes()
    for kept in (10, 1000, len(whole) - 2000):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match="no whole HDF5 file: copy it again"):
            read_tile_features(path, slide)


def test_a_slide_without_a_scale_and_a_missing_package_are_named(
    slide: Slide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.h5", [(0, 0)])
    image = np.zeros((600, 600, 3), np.uint8)
    with (
        open_slide(write_pyramid_tiff(tmp_path / "a.tif", image, mpp=None)) as unscaled,
        pytest.raises(MissingScaleError),
    ):
        read_tile_features(path, unscaled)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(OutputError, match=r"napari-smse\[exchange\]"):
        read_tile_features(path, slide)
