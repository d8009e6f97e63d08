"""What CLAM's data sets find in the files that are written for it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder, clam

FOLDERS = ("10x_64px_0px_overlap", "5x_64px_0px_overlap")


def test_patches_are_of_level_0(results: ResultFolder, tmp_path: Path) -> None:
    clam.export(results, tmp_path, overwrite=False)
    slide = results.record.slide
    for folder, scale in zip(FOLDERS, results.scales, strict=True):
        with h5py.File(tmp_path / folder / "patches" / "sample_slide.h5") as file:
            found, corners = dict(file["coords"].attrs), file["coords"][:]
        assert (found["patch_level"], found["name"]) == (0, "sample_slide")
        assert found["patch_size"] == round(64 * scale.mpp / slide.mpp)
        assert tuple(found["downsample"]) == (1.0, 1.0)
        assert tuple(found["level_dim"]) == (slide.width, slide.height)
        assert tuple(found["downsampled_level_dim"]) == (slide.width, slide.height)
        np.testing.assert_array_equal(corners, np.stack([scale.tiles.x, scale.tiles.y], axis=1))


def test_features_are_there_as_h5_and_as_a_bare_tensor(
    half_scored: ResultFolder, tmp_path: Path
) -> None:
    clam.export(half_scored, tmp_path, overwrite=False)
    wanted = half_scored.scales[0].embedding[1::2].astype(np.float32)
    with h5py.File(tmp_path / FOLDERS[0] / "h5_files" / "sample_slide.h5") as file:
        np.testing.assert_array_equal(file["features"][:], wanted)
        assert file["coords"].shape == (len(wanted), 2)
    tensor = torch.load(tmp_path / FOLDERS[0] / "pt_files" / "sample_slide.pt", weights_only=True)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), wanted)


def test_a_slide_without_tissue_has_files_without_rows(
    without_tissue: ResultFolder, tmp_path: Path
) -> None:
    clam.export(without_tissue, tmp_path, overwrite=False)
    tensor = torch.load(tmp_path / FOLDERS[0] / "pt_files" / "sample_slide.pt", weights_only=True)
    assert tensor.shape == (0, 3)


def test_what_lies_there_stays_unless_it_is_to_be_replaced(
    results: ResultFolder, tmp_path: Path
) -> None:
    kept = tmp_path / FOLDERS[1] / "pt_files" / "sample_slide.pt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(OutputError, match=r"sample_slide\.pt lies there already"):
        clam.export(results, tmp_path, overwrite=False)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [kept.name]
    clam.export(results, tmp_path, overwrite=True)
    assert len(torch.load(kept, weights_only=True)) == len(results.scales[1].tiles)


def test_a_folder_that_cannot_be_made_is_named(results: ResultFolder, tmp_path: Path) -> None:
    (tmp_path / FOLDERS[0]).mkdir()
    (tmp_path / FOLDERS[0] / "pt_files").touch()
    with pytest.raises(OutputError, match=r"cannot write .*sample_slide\.pt"):
        clam.export(results, tmp_path, overwrite=True)
