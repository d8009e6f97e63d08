"""Results in files that other programs read."""

from napari_smse.results.folder import (
    RECORD_NAME,
    REPORT_NAME,
    REPORT_PDF_NAME,
    STORE_NAME,
    folder_name,
    remove_results,
    remove_unfinished,
    result_folder_names,
)
from napari_smse.results.picture import MapPanel, heat_map_picture
from napari_smse.results.qupath_tiles import write_qupath_tiles
from napari_smse.results.remote import RemoteFolder
from napari_smse.results.run_context import RunContext, tile_rows
from napari_smse.results.run_record import (
    ModelRecord,
    RunRecord,
    ScaleRecord,
    SlideRecord,
    package_versions,
    write_run_json,
)
from napari_smse.results.save import save_results
from napari_smse.results.tables import (
    TILE_COLUMNS,
    TileRows,
    tile_columns,
    tile_table,
    write_csv,
    write_parquet,
)

__all__ = [
    "RECORD_NAME",
    "REPORT_NAME",
    "REPORT_PDF_NAME",
    "STORE_NAME",
    "TILE_COLUMNS",
    "MapPanel",
    "ModelRecord",
    "RemoteFolder",
    "RunContext",
    "RunRecord",
    "ScaleRecord",
    "SlideRecord",
    "TileRows",
    "folder_name",
    "heat_map_picture",
    "package_versions",
    "remove_results",
    "remove_unfinished",
    "result_folder_names",
    "save_results",
    "tile_columns",
    "tile_rows",
    "tile_table",
    "write_csv",
    "write_parquet",
    "write_qupath_tiles",
    "write_run_json",
]
