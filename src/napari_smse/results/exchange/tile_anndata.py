"""Scored tiles as an AnnData table: embeddings, places, what was called, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_smse.atomic_write import require_free
from napari_smse.errors import OutputError
from napari_smse.results.exchange.h5_files import new_h5
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.exchange.scored_scale import ScoredScale, scored_scales

if TYPE_CHECKING:
    import anndata
    import pandas

PROVENANCE_KEY: Final = "napari_smse"


def export(run: ResultFolder, out: Path, *, overwrite: bool) -> list[Path]:
    """Write the tiles of all scales as one ``.h5ad`` file.

    Raises
    ------
    OutputError
        A file lies there already, it cannot be written, or anndata is not installed.
    """
    path = out / f"{run.stem}.h5ad"
    require_free([path], overwrite=overwrite)
    table = tile_anndata(run, scored_scales(run))
    _write(table, path)
    return [path]


def _write(table: anndata.AnnData, path: Path) -> None:
    from anndata.io import write_elem

    with new_h5(path) as file:
        write_elem(file, "/", table)


def tile_anndata(run: ResultFolder, scales: Sequence[ScoredScale]) -> anndata.AnnData:
    """Return the tiles of some scales, one after the other, as AnnData.

    Parameters
    ----------
    run
        The results.
    scales
        Of these.

    Returns
    -------
    anndata.AnnData
        ``X`` ``(n, d)`` float32, embeddings; ``obs``, the columns of ``tiles.parquet``;
        ``obsm["spatial"]``, middles of the tiles, (x, y) in level-0 px; ``uns["napari_smse"]``,
        slide, model and run.

    Raises
    ------
    OutputError
        anndata is not installed.
    """
    try:
        from anndata import AnnData
    except ImportError as error:
        raise OutputError(
            'AnnData is written by the package anndata: run pip install "napari-smse[exchange]".'
        ) from error
    import pandas as pd

    embeddings = np.concatenate([scale.embedding for scale in scales])
    features = [f"embedding_{number}" for number in range(embeddings.shape[1])]
    return AnnData(
        embeddings,
        obs=_observations(scales),
        var=pd.DataFrame(index=features),
        obsm={"spatial": np.concatenate([scale.centres for scale in scales])},
        uns={PROVENANCE_KEY: provenance(run)},
    )


def _observations(scales: Sequence[ScoredScale]) -> pandas.DataFrame:
    import pandas as pd

    rows = pd.concat([scale.table.to_pandas() for scale in scales], ignore_index=True)
    rows.index = rows.index.astype(str)
    for name in {"call", "model"} & set(rows):
        rows[name] = pd.Categorical(rows[name])
    return rows


def provenance(run: ResultFolder) -> dict[str, Any]:
    """Return what a reader of results needs to know of them, as plain values."""
    record = run.record
    return {
        "notice": record.notice,
        "slide": record.slide.path,
        "slide_quick_hash": record.slide.quick_hash,
        "slide_width": record.slide.width,
        "slide_height": record.slide.height,
        "slide_mpp": record.slide.mpp,
        "slide_mpp_source": record.slide.mpp_source,
        "model": record.model.name,
        "model_version": record.model.version,
        "weights_sha256": record.model.weights_sha256,
        "classes": list(record.model.classes),
        "classifier": record.classifier,
        "device": record.device,
        "precision": record.precision,
        "finished": record.finished.isoformat(),
        "warnings": list(record.warnings),
        "napari_smse_version": record.versions.get("napari-smse", ""),
    }
