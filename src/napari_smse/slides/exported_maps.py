"""Heat maps that were exported as pictures, told from slides without reading their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import tifffile

from napari_smse.slides.backends.ome_zarr import MAP_KEY, read_multiscales

CREATOR: Final = "napari-smse"
"""Who wrote an OME-TIFF, in OME's own words."""
_TIFF_SUFFIXES: Final = (".ome.tif", ".ome.tiff")


def is_exported_map(path: Path) -> bool:
    """Whether a file or folder is a heat map that this package wrote; it never raises."""
    try:
        if path.is_dir():
            return any(MAP_KEY in image.get("metadata", {}) for image in read_multiscales(path))
        return path.name.lower().endswith(_TIFF_SUFFIXES) and map_description(path) is not None
    except Exception:  # what is damaged makes a reader raise anything
        return False


def map_description(path: Path) -> ElementTree.Element | None:
    """Return what a TIFF of this package says of itself in OME's words; None for any other TIFF."""
    with tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata
    ome = None if text is None else ElementTree.fromstring(text)
    return ome if ome is not None and ome.get("Creator") == CREATOR else None
