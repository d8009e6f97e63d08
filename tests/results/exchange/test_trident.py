"""What TRIDENT's and CLAM's loaders find in the files that are written for TRIDENT."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder, export_results, trident
from napari_smse.results.exchange.scored_scale import (
    ScoredScale,
    scale_folders,
    scored_scales,
    warn_of_power,
)

FOLDERS = ("10x_64px_0px_overlap", "5x_64px_0px_overlap")
FEATURES, PATCHES = "features_redness/sample_slide.h5", "patches/sample_slide_patches.h5"


def test_each_scale_is_a_file_with_the_store_s_embeddings_and_places(
    results: ResultFolder, tmp_path: Path
) -> None:
    written = trident.export(results, tmp_path, overwrite=False)
    assert written == [tmp_path / one / name for name in (FEATURES, PATCHES) for one in FOLDERS]
    for folder, scale in zip(FOLDERS, results.scales, strict=True):
        with h5py.File(tmp_path / folder / FEATURES) as file:
            features, coordinates = file["features"], file["coords"]
            assert features.dtype == np.float32
            assert coordinates.dtype == np.int64
            assert features.maxshape == (None, 3)
            assert coordinates.chunks == (1, 2)
            np.testing.assert_array_equal(features[:], scale.embedding.astype(np.float32))
            np.testing.assert_array_equal(coordinates[:, 0], scale.tiles.x)
            np.testing.assert_array_equal(coordinates[:, 1], scale.tiles.y)
            assert features.attrs["encoder"] == "redness"
            assert features.attrs["weights_sha256"] == results.record.model.weights_sha256
        with h5py.File(tmp_path / folder / PATCHES) as file:
            assert list(file) == ["coords"]
            np.testing.assert_array_equal(file["coords"][:, 0], scale.tiles.x)


def test_attributes_say_what_a_tile_is(results: ResultFolder, tmp_path: Path) -> None:
    trident.export(results, tmp_path, overwrite=False)
    slide = results.record.slide
    for folder, power, mpp in zip(FOLDERS, (10, 5), (1.0, 2.0), strict=True):
        for name in (FEATURES, PATCHES):
            with h5py.File(tmp_path / folder / name) as file:
                found = dict(file["coords"].attrs)
            assert found.pop("savetodir") == str((tmp_path / folder / name).parent)
            assert found == {
                "patch_size": 64,
                "patch_size_level0": round(64 * mpp / slide.mpp),
                "level0_magnification": round(10 / slide.mpp),
                "target_magnification": power,
                "overlap": 0,
                "name": "sample_slide",
                "level0_width": slide.width,
                "level0_height": slide.height,
                "level0_mpp": slide.mpp,
                "target_mpp": mpp,
            }


def test_only_scored_tiles_are_written(half_scored: ResultFolder, tmp_path: Path) -> None:
    trident.export(half_scored, tmp_path, overwrite=False)
    fine = half_scored.scales[0]
    with h5py.File(tmp_path / FOLDERS[0] / FEATURES) as file:
        np.testing.assert_array_equal(file["features"][:], fine.embedding[1::2])
        np.testing.assert_array_equal(file["coords"][:, 1], fine.tiles.y[1::2])


def test_a_slide_without_tissue_has_files_without_rows(
    without_tissue: ResultFolder, tmp_path: Path
) -> None:
    trident.export(without_tissue, tmp_path, overwrite=False)
    with h5py.File(tmp_path / FOLDERS[0] / FEATURES) as file:
        assert file["coords"].shape == (0, 2)
        assert file["features"].shape == (0, 3)


def test_what_lies_there_stays_unless_it_is_to_be_replaced(saved: Path, tmp_path: Path) -> None:
    kept = tmp_path / FOLDERS[1] / PATCHES
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(OutputError, match=r"_patches\.h5 lies there already"):
        export_results(saved, "trident", tmp_path)
    assert kept.read_text() == "mine"
    assert not (tmp_path / FOLDERS[0]).exists()
    export_results(saved, "trident", tmp_path, overwrite=True)
    with h5py.File(kept) as file:
        assert "coords" in file


def test_scales_of_one_magnification_have_folders_of_their_own_and_others_a_warning(
    results: ResultFolder, caplog: pytest.LogCaptureFixture
) -> None:
    def at(scale: ScoredScale, mpp: float) -> ScoredScale:
        grid = replace(scale.tiles.grid, spec=replace(scale.spec, mpp=mpp))
        return replace(scale, tiles=replace(scale.tiles, grid=grid))

    scale = scored_scales(results)[0]
    assert scale_folders([at(scale, 0.5), at(scale, 0.51), at(scale, 0.8)]) == [
        "20x_0.5mpp_64px_0px_overlap",
        "20x_0.51mpp_64px_0px_overlap",
        "12x_64px_0px_overlap",
    ]
    with caplog.at_level(logging.WARNING):
        warn_of_power(at(scale, 0.5))
        assert not caplog.messages
        warn_of_power(at(scale, 0.8))
    assert "0.8 µm/px is called 12x" in caplog.messages[0]


def test_a_model_without_embeddings_has_no_features(
    results: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = tuple(
        type(one)(one.tiles, one.probability, one.embedding[:, :1]) for one in results.scales
    )
    monkeypatch.setattr(ResultFolder, "scales", property(lambda _self: scales))
    with pytest.raises(OutputError, match="redness, which gives no embeddings"):
        trident.export(results, tmp_path, overwrite=False)


def test_a_missing_package_and_a_full_disk_are_named(
    results: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "10x_64px_0px_overlap").touch()
    with pytest.raises(OutputError, match="cannot write"):
        trident.export(results, tmp_path, overwrite=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(OutputError, match=r"pip install \"napari-smse\[exchange\]\""):
        trident.export(results, tmp_path / "other", overwrite=False)
