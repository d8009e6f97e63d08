"""What results can be exported to; a target is one line here and a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from napari_smse.atomic_write import output_error
from napari_smse.errors import RequestError
from napari_smse.results.exchange.result_folder import ResultFolder

Export = Callable[..., list[Path]]
"""Takes a `ResultFolder`, the folder to write into and ``overwrite``; gives what it wrote."""


@dataclass(frozen=True)
class ExportTarget:
    """Another program's format.

    Attributes
    ----------
    module
        Module of this package that writes it; imported when it is asked for.
    opens_in
        What reads it, for a user.
    function
        Name of the function in it.
    """

    module: str
    opens_in: str
    function: str = "export"

    def load(self) -> Export:
        """Return what writes it."""
        export: Export = getattr(import_module(f"{__package__}.{self.module}"), self.function)
        return export


TARGETS: Final[dict[str, ExportTarget]] = {
    "trident": ExportTarget("trident", "TRIDENT"),
    "clam": ExportTarget("clam", "CLAM"),
    "anndata": ExportTarget("tile_anndata", "AnnData, as Scanpy reads it"),
    "spatialdata": ExportTarget("spatialdata_store", "SpatialData, as LazySlide reads it"),
    "ome-zarr": ExportTarget("ome_zarr", "QuPath, OMERO, Fiji and napari"),
    "ome-zarr-0.5": ExportTarget("ome_zarr", "readers of OME-Zarr 0.5", "export_0_5"),
    "ome-tiff": ExportTarget("ome_tiff", "QuPath, Fiji and whatever reads OME-TIFF"),
    "qupath": ExportTarget("qupath", "QuPath, by the script in it"),
    "dicom": ExportTarget("dicom", "Slim and other viewers of DICOM"),
    "dzi": ExportTarget("dzi", "OpenSeadragon and other viewers of Deep Zoom"),
}
"""By the name that a user gives."""


def export_results(
    folder: Path, target: str, out: Path, *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write the results of a slide for another program.

    Parameters
    ----------
    folder
        Of the results: ``run.json``, ``scores.zarr``, ``tiles.parquet``.
    target
        One of `TARGETS`.
    out
        Folder to write into; it is made. Several slides may share it.
    overwrite
        An export of this slide that lies there may be replaced.

    Returns
    -------
    tuple of Path
        The files, or folders that are one file to that program.

    Raises
    ------
    OutputError
        There are no whole results, something lies there already, it cannot be written, or what
        writes it is not installed.
    RequestError
        There is no such target.
    """
    if target not in TARGETS:
        raise RequestError(f"Results are not exported to {target!r}: choose {', '.join(TARGETS)}.")
    results = ResultFolder.open(folder)
    export = TARGETS[target].load()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(out, error) from error
    return tuple(export(results, out, overwrite=overwrite))
