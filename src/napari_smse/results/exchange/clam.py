"""Embeddings and places of tiles as CLAM lays them out, one folder a scale."""

from __future__ import annotations

from pathlib import Path

from napari_smse.atomic_write import require_free
from napari_smse.results.exchange.h5_files import Attributes, add_rows, new_file, new_h5
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.exchange.scored_scale import (
    ScoredScale,
    require_features,
    scale_folders,
    scored_scales,
    warn_of_power,
)
from napari_smse.slides.identity import path_text


def export(run: ResultFolder, out: Path, *, overwrite: bool) -> list[Path]:
    """Write patches, features and the features as a tensor, in a folder of each scale.

    Raises
    ------
    OutputError
        The scores hold no embeddings, files lie there already, or they cannot be written.
    """
    scales = scored_scales(run)
    require_features(run, scales)
    files = [_files(out / name, run.stem) for name in scale_folders(scales)]
    require_free((path for three in files for path in three), overwrite=overwrite)
    for scale, (patches, features, tensor) in zip(scales, files, strict=True):
        warn_of_power(scale)
        with new_h5(patches) as file:
            add_rows(file, "coords", scale.corners, _coordinates(run, scale, patches))
        with new_h5(features) as file:
            add_rows(file, "features", scale.embedding, {})
            add_rows(file, "coords", scale.corners, {})
        _write_tensor(scale, tensor)
    return [path for three in files for path in three]


def _files(folder: Path, stem: str) -> tuple[Path, Path, Path]:
    return (
        folder / "patches" / f"{stem}.h5",
        folder / "h5_files" / f"{stem}.h5",
        folder / "pt_files" / f"{stem}.pt",
    )


def _write_tensor(scale: ScoredScale, path: Path) -> None:
    # Results are plain arrays: torch is loaded for this file alone.
    from napari_smse.models.checkpoint import write_tensor

    with new_file(path) as part:
        write_tensor(part, scale.embedding)


def _coordinates(run: ResultFolder, scale: ScoredScale, path: Path) -> Attributes:
    """Say of level 0 what CLAM says of the level that it reads; tiles are cut from it."""
    size = (run.record.slide.width, run.record.slide.height)
    return {
        "patch_size": scale.tiles.grid.edge,
        "patch_level": 0,
        "downsample": (1.0, 1.0),
        "downsampled_level_dim": size,
        "level_dim": size,
        "name": run.stem,
        "save_path": path_text(path.parent),
    }
