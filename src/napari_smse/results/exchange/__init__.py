"""Results of a slide in the formats of other programs: one module a target, and what it reads."""

from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.exchange.targets import TARGETS, ExportTarget, export_results
from napari_smse.results.exchange.tile_features import TileFeatures, read_tile_features

__all__ = [
    "TARGETS",
    "ExportTarget",
    "ResultFolder",
    "TileFeatures",
    "export_results",
    "read_tile_features",
]
