"""Heat maps as tiled OME-TIFF with coarser levels, float32, a channel a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import tifffile

from napari_smse.atomic_write import atomic_path, require_free
from napari_smse.results.exchange.map_stack import MapStack, map_stacks
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.slides.exported_maps import CREATOR

SLIDE_MPP: Final = "slide µm/px"
"""What OME has no word for, and is needed to lay the map on the slide."""
SLIDE: Final = "slide quick hash"
"""By which a viewer knows the slide that the map lies on."""
_TILE: Final = 256
_UM_PER_CM: Final = 1e4


def export(results: ResultFolder, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the maps of each scale, and their mean, as OME-TIFF.

    Parameters
    ----------
    results
        Of a slide.
    out
        Folder to write into.
    overwrite
        Maps of this slide that lie there may be replaced.

    Returns
    -------
    list of Path
        ``NAME_SCALE.ome.tif``, one a scale.

    Raises
    ------
    OutputError
        One lies there already, or cannot be written.
    """
    stacks = {out / f"{results.stem}_{one.file_name}.ome.tif": one for one in map_stacks(results)}
    require_free(stacks, overwrite=overwrite)
    for path, stack in stacks.items():
        write_map(path, stack)
    return list(stacks)


def write_map(path: Path, stack: MapStack) -> None:
    """Write maps as one OME-TIFF, whole or not at all; NaN where nothing was scored.

    A pixel is a cell; its size is stated as OME's PhysicalSize and in the resolution tags, and
    where the map begins, from the slide's corner, as the position of its planes.

    Parameters
    ----------
    path
        The file.
    stack
        The maps; a channel a class.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    first, *coarser = stack.pyramid()
    with atomic_path(path) as part, tifffile.TiffWriter(part, bigtiff=True, ome=True) as tiff:
        tiff.write(
            first.values,
            subifds=len(coarser),
            metadata=_metadata(first),
            **_layout(first),
        )
        for level in coarser:
            tiff.write(level.values, subfiletype=1, metadata=None, **_layout(level))


def _layout(level: MapStack) -> dict[str, Any]:
    return {
        "photometric": "minisblack",
        "tile": (_TILE, _TILE),
        "compression": "deflate",
        "resolution": (_UM_PER_CM / level.cell_um,) * 2,
        "resolutionunit": "CENTIMETER",
    }


def _metadata(stack: MapStack) -> dict[str, Any]:
    """Return what OME calls the parts of a picture; the position is of the map's corner."""
    planes = len(stack.classes)
    y, x = stack.corner_um
    um = "µm"
    return {
        "Creator": CREATOR,
        "axes": "CYX",
        "Name": stack.name,
        "MapAnnotation": {
            SLIDE_MPP: repr(stack.slide_mpp),
            **({} if stack.slide is None else {SLIDE: stack.slide}),
        },
        "PhysicalSizeX": stack.cell_um,
        "PhysicalSizeXUnit": um,
        "PhysicalSizeY": stack.cell_um,
        "PhysicalSizeYUnit": um,
        "Channel": {
            "Name": list(stack.classes),
            "Color": [_signed(*colour) for colour in stack.rgb],
        },
        "Plane": {
            "PositionX": [x] * planes,
            "PositionXUnit": [um] * planes,
            "PositionY": [y] * planes,
            "PositionYUnit": [um] * planes,
        },
    }


def _signed(red: int, green: int, blue: int) -> int:
    """Return a colour as OME has it: RGBA in a signed integer of 32 bits."""
    number = int.from_bytes(bytes((red, green, blue, 255)), "big")
    return number - 2**32 if number >= 2**31 else number
