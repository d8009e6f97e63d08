"""Embeddings and places of tiles as TRIDENT lays them out, one folder a scale."""

from __future__ import annotations

from pathlib import Path

from napari_smse.atomic_write import require_free
from napari_smse.results.exchange.h5_files import Attributes, add_rows, new_h5
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.exchange.scored_scale import (
    ScoredScale,
    require_features,
    scale_folders,
    scored_scales,
    warn_of_power,
    whole_power,
)
from napari_smse.results.folder import folder_name
from napari_smse.slides.identity import path_text


def export(run: ResultFolder, out: Path, *, overwrite: bool) -> list[Path]:
    """Write features and patches of each scale; `out` is TRIDENT's job folder.

    Raises
    ------
    OutputError
        The scores hold no embeddings, files lie there already, or they cannot be written.
    """
    scales = scored_scales(run)
    require_features(run, scales)
    folders = [out / name for name in scale_folders(scales)]
    encoder = folder_name(run.record.model.name, "model")
    features = [folder / f"features_{encoder}" / f"{run.stem}.h5" for folder in folders]
    patches = [folder / "patches" / f"{run.stem}_patches.h5" for folder in folders]
    require_free((*features, *patches), overwrite=overwrite)
    for scale, feature_path, patch_path in zip(scales, features, patches, strict=True):
        warn_of_power(scale)
        _write_patches(run, scale, patch_path)
        _write_features(run, scale, feature_path, encoder)
    return [*features, *patches]


def _write_patches(run: ResultFolder, scale: ScoredScale, path: Path) -> None:
    with new_h5(path) as file:
        add_rows(file, "coords", scale.corners, _coordinates(run, scale, path))


def _write_features(run: ResultFolder, scale: ScoredScale, path: Path, encoder: str) -> None:
    model = run.record.model
    named = {
        "name": run.stem,
        "savetodir": path_text(path.parent),
        "encoder": encoder,
        "encoder_version": model.version,
        "weights_sha256": model.weights_sha256,
    }
    with new_h5(path) as file:
        add_rows(file, "features", scale.embedding, named)
        add_rows(file, "coords", scale.corners, _coordinates(run, scale, path))


def _coordinates(run: ResultFolder, scale: ScoredScale, path: Path) -> Attributes:
    slide = run.record.slide
    return {
        "patch_size": scale.spec.size_px,
        "patch_size_level0": scale.tiles.grid.edge,
        "level0_magnification": whole_power(slide.mpp),
        "target_magnification": scale.power,
        "overlap": scale.overlap_px,
        "name": run.stem,
        "savetodir": path_text(path.parent),
        "level0_width": slide.width,
        "level0_height": slide.height,
        # Not known to TRIDENT, and what the magnifications are rounded from.
        "level0_mpp": slide.mpp,
        "target_mpp": scale.spec.mpp,
    }
