"""Heat maps that this package wrote as OME-Zarr or OME-TIFF, read back as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_smse.errors import OutputError
from napari_smse.palette import Colour
from napari_smse.results.exchange.map_stack import MapStack
from napari_smse.results.exchange.ome_tiff import SLIDE, SLIDE_MPP
from napari_smse.slides.backends.ome_zarr import MAP_KEY, check_codecs, read_multiscales
from napari_smse.slides.exported_maps import map_description
from napari_smse.zarr_groups import open_group

_OME: Final = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
_FULL_BYTE: Final = 255


def read_map(path: Path) -> MapStack:
    """Read heat maps at their finest level; those of bytes are of steps of 1/255 again.

    Raises
    ------
    OutputError
        The file is no such map, or damaged.
    """
    try:
        return _read_zarr(path) if path.is_dir() else _read_tiff(path)
    except Exception as error:  # what is damaged makes a reader raise anything
        raise OutputError(
            f"{path} cannot be read as a heat map ({error}): export the results again."
        ) from error


def _read_zarr(path: Path) -> MapStack:
    (image,) = read_multiscales(path)
    about = image["metadata"][MAP_KEY]
    group = open_group(path, mode="r", use_consolidated=False)
    array: Any = group[str(image["datasets"][0]["path"])]
    check_codecs(array)
    values = np.asarray(array[:])
    if values.dtype == np.uint8:
        values = values / np.float32(_FULL_BYTE)
    attributes: dict[str, Any] = dict(group.attrs)
    channels = attributes.get("ome", attributes)["omero"]["channels"]
    x, y = map(float, about["corner_px"])
    return MapStack(
        str(about["scale"]),
        tuple(str(one["label"]) for one in channels),
        values.astype(np.float32),
        x,
        y,
        float(about["cell_px"]),
        float(about["slide_mpp"]),
        tuple(_colour(bytes.fromhex(one["color"])) for one in channels),
        str(about["slide"]) if "slide" in about else None,
    )


def _read_tiff(path: Path) -> MapStack:
    ome = map_description(path)
    if ome is None:
        raise ValueError("it was not written by napari-smse")
    image = _found(ome, f"{_OME}Image")
    pixels = _found(image, f"{_OME}Pixels")
    plane, channels = _found(pixels, f"{_OME}Plane"), pixels.findall(f"{_OME}Channel")
    values = np.asarray(tifffile.imread(path, series=0, level=0), dtype=np.float32)
    stated = {one.get("K"): one.text or "" for one in ome.iter(f"{_OME}M")}
    mpp = float(stated[SLIDE_MPP])
    return MapStack(
        image.attrib["Name"],
        tuple(one.attrib["Name"] for one in channels),
        values.reshape(len(channels), *values.shape[-2:]),  # which come without the axis of one
        float(plane.attrib["PositionX"]) / mpp,
        float(plane.attrib["PositionY"]) / mpp,
        float(pixels.attrib["PhysicalSizeX"]) / mpp,
        mpp,
        tuple(_colour((int(one.attrib["Color"]) % 2**32).to_bytes(4, "big")) for one in channels),
        stated.get(SLIDE),
    )


def _found(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = element.find(name)
    if found is None:
        raise ValueError(f"it has no {name.removeprefix(_OME)}")
    return found


def _colour(parts: bytes) -> Colour:
    return parts[0], parts[1], parts[2]
