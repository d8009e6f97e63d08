"""Tiles as Scanpy and its kind read them."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pytest

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder, export_results, tile_anndata


def test_a_slide_is_one_file_with_its_tiles_of_all_scales(saved: Path, tmp_path: Path) -> None:
    (path,) = export_results(saved, "anndata", tmp_path)
    assert path == tmp_path / "sample_slide.h5ad"
    found, results = anndata.read_h5ad(path), ResultFolder.open(saved)
    wanted = np.concatenate([one.embedding for one in results.scales]).astype(np.float32)
    np.testing.assert_array_equal(found.X, wanted)
    rows = results.table.to_pandas()
    assert list(found.obs) == list(rows)
    for name in ("x", "y", "width", "height", "mpp", "tissue", "p_benign", "p_malignant", "ood"):
        np.testing.assert_array_equal(found.obs[name], rows[name])
    assert found.obs["call"].tolist() == rows["call"].tolist()
    np.testing.assert_array_equal(
        found.obsm["spatial"],
        np.stack([rows["x"] + rows["width"] / 2, rows["y"] + rows["height"] / 2], axis=1),
    )
    assert found.obs_names.is_unique


def test_it_says_what_it_is_of_and_by_what(results: ResultFolder, tmp_path: Path) -> None:
    (path,) = tile_anndata.export(results, tmp_path, overwrite=False)
    about = anndata.read_h5ad(path).uns["napari_smse"]
    assert about["slide"] == results.record.slide.path
    assert about["slide_mpp"] == results.record.slide.mpp
    assert about["weights_sha256"] == results.record.model.weights_sha256
    assert about["classes"].tolist() == ["benign", "malignant"]
    assert about["notice"].startswith("Research use only")


def test_a_slide_without_tissue_has_a_file_without_rows(
    without_tissue: ResultFolder, tmp_path: Path
) -> None:
    (path,) = tile_anndata.export(without_tissue, tmp_path, overwrite=False)
    assert anndata.read_h5ad(path).shape == (0, 3)


def test_tiles_that_were_not_scored_are_left_out(half_scored: ResultFolder, tmp_path: Path) -> None:
    (path,) = tile_anndata.export(half_scored, tmp_path, overwrite=False)
    fine, coarse = half_scored.scales
    found = anndata.read_h5ad(path)
    assert len(found) == len(fine.tiles) // 2 + len(coarse.tiles)
    np.testing.assert_array_equal(found.obs["y"][: len(fine.tiles) // 2], fine.tiles.y[1::2])


def test_what_lies_there_stays_and_a_missing_package_is_named(
    results: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample_slide.h5ad").write_text("mine")
    with pytest.raises(OutputError, match="lies there already"):
        tile_anndata.export(results, tmp_path, overwrite=False)
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(OutputError, match=r"pip install \"napari-smse\[exchange\]\""):
        tile_anndata.export(results, tmp_path, overwrite=True)
    assert (tmp_path / "sample_slide.h5ad").read_text() == "mine"
