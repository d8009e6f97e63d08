"""A folder for QuPath: tiles, regions, heat maps, and a script that brings them into a project.

QuPath's own data files are serialised Java objects, and so the script has QuPath write them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

import pyarrow as pa

from napari_smse.annotations import AnnotationSet, read_annotations, write_annotations
from napari_smse.annotations.geojson import holds_annotations
from napari_smse.atomic_write import atomic_folder
from napari_smse.datasets.readers.annotated_slides import find_annotation
from napari_smse.errors import RegionError
from napari_smse.results.exchange import ome_tiff
from napari_smse.results.exchange.map_stack import map_stacks
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.qupath_tiles import write_qupath_tiles
from napari_smse.results.tables import tile_columns
from napari_smse.slides.backends.dicom_series import folder_series
from napari_smse.slides.identity import text_path
from napari_smse.slides.image_number import file_and_image
from napari_smse.slides.remote_path import RemotePath

logger = logging.getLogger(__name__)

TILES_NAME: Final = "tiles.geojson"
REGIONS_NAME: Final = "regions.geojson"
SCRIPT_NAME: Final = "import.groovy"
_TEMPLATE: Final = Path(__file__).with_name("qupath_import.groovy")


def export(results: ResultFolder, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a folder with all of a slide's results that QuPath shows, and a script.

    Parameters
    ----------
    results
        Of a slide. Regions are those beside it, if it is where it was scored.
    out
        Folder to write into.
    overwrite
        A folder of this slide that lies there may be replaced.

    Returns
    -------
    list of Path
        The folder, ``NAME_qupath``.

    Raises
    ------
    OutputError
        It lies there already, or cannot be written.
    """
    folder = out / f"{results.stem}_qupath"
    area = results.scales[0].tiles.grid.area  # of what was scanned, to which QuPath crops
    origin = area.x, area.y
    slide = text_path(results.record.slide.path)
    file = _copied_file(slide, folder) if isinstance(slide, RemotePath) else _slide_file(slide)
    regions = _regions_beside(slide, origin)
    with atomic_folder(folder, overwrite=overwrite) as part:
        part.mkdir()
        write_qupath_tiles(
            part / TILES_NAME,
            _with_calls(results.table),
            results.store.classes,
            bounds_origin=origin,
        )
        objects = [TILES_NAME]
        if regions is not None:
            write_annotations(part / REGIONS_NAME, regions, bounds_origin=origin)
            objects.insert(0, REGIONS_NAME)
        maps = _write_maps(results, part)
        script = _script(
            file.absolute(), folder.absolute(), (area.width, area.height), objects, maps
        )
        (part / SCRIPT_NAME).write_text(script, encoding="ascii")
    if isinstance(slide, RemotePath):
        logger.warning(
            "%s is at an address, where QuPath does not open it: copy it to %s, or set its path in "
            "%s",
            slide,
            file,
            folder / SCRIPT_NAME,
        )
    return [folder]


def _copied_file(slide: RemotePath, folder: Path) -> Path:
    """Return where the script looks for a copy of a slide at an address: beside its folder."""
    file = file_and_image(slide)[0]
    assert isinstance(file, RemotePath)
    return folder.with_name(file.file_name)


def _slide_file(path: Path) -> Path:
    """Return the file that QuPath opens: of a folder of DICOM files any, of several slides all."""
    file = file_and_image(path)[0]
    series = folder_series(file) if file.is_dir() and file.suffix != ".zarr" else {}
    return next((files[0] for files in series.values()), file)


def _with_calls(table: pa.Table) -> pa.Table:
    """Return a table with all columns: those of version 0.1 state no calls."""
    for name in tile_columns(()):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table)))
    return table


def _write_maps(results: ResultFolder, folder: Path) -> list[str]:
    """Write the maps there are; a model without classes has none, and its tiles are shown alone."""
    if len(results.store.classes) < 2:
        return []
    names = []
    for stack in map_stacks(results):
        names.append(f"{results.stem}_{stack.file_name}.ome.tif")
        ome_tiff.write_map(folder / names[-1], stack)
    return names


def _regions_beside(slide: Path, origin: tuple[int, int]) -> AnnotationSet | None:
    """Return what is drawn on a slide, if it and a file of regions are there and can be read."""
    path = find_annotation(slide)
    if path is None or not holds_annotations(path):
        return None
    try:
        return read_annotations(path, bounds_origin=origin)
    except RegionError as error:
        logger.warning("Left out the regions beside the slide: %s", error)
        return None


def _script(
    slide: Path, folder: Path, size: tuple[int, int], objects: Sequence[str], maps: Sequence[str]
) -> str:
    return Template(_TEMPLATE.read_text(encoding="ascii")).substitute(
        slide=groovy_text(str(slide)),
        folder=groovy_text(str(folder)),
        width=size[0],
        height=size[1],
        objects=", ".join(map(groovy_text, objects)),
        maps=", ".join(map(groovy_text, maps)),
    )


def groovy_text(text: str) -> str:
    """Return a text as Groovy writes it between single quotes, where a dollar is a dollar.

    Escapes are those of JSON, and all that is no ASCII has one, as QuPath reads a script in the
    computer's own encoding.
    """
    return "'" + json.dumps(text)[1:-1].replace("'", "\\'") + "'"
