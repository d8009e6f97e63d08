"""Annotations of a slide, and how functions take them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from shapely import box
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations import AnnotationSet
from napari_smse.annotations import read_annotations as read_geojson
from napari_smse.errors import RegionError
from napari_smse.slides import Region, Slide

Area: TypeAlias = BaseGeometry | Region
"""A shapely geometry, (x, y) in level-0 px, or a rectangle in level-0 px."""


def read_annotations(path: str | Path, slide: Slide) -> AnnotationSet:
    """Read the annotations of a slide from GeoJSON, as QuPath and the viewer write it.

    Parameters
    ----------
    path
        The file.
    slide
        The slide that it is of: QuPath counts from the corner of what was scanned.

    Returns
    -------
    AnnotationSet
        ``annotations``, in the order drawn, and ``regions()``, by class name what is drawn of it,
        (x, y) in level-0 px; also what was said of single tiles.

    Raises
    ------
    RegionError
        The file cannot be read, is not GeoJSON, or holds detections only.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> notes = smse.read_annotations("sample_data/sample_annotations.geojson", slide)
    >>> sorted(notes.regions())
    ['Benign-like', 'Fat-like', 'Malignant-like', 'Pen']
    """
    origin = (slide.bounds.x, slide.bounds.y)
    return read_geojson(Path(path), bounds_origin=origin)


def geometries(areas: Area | Iterable[Area]) -> list[BaseGeometry]:
    """Return one or several areas as shapely geometries.

    Raises
    ------
    RegionError
        One is none.
    """
    if isinstance(areas, BaseGeometry | Region):
        return [_geometry(areas)]
    if not isinstance(areas, Iterable):
        raise _no_region(areas)
    return [_geometry(area) for area in areas]


def _geometry(area: object) -> BaseGeometry:
    if isinstance(area, Region):
        return box(area.x, area.y, area.right, area.bottom)
    if isinstance(area, BaseGeometry):
        return area
    raise _no_region(area)


def _no_region(area: object) -> RegionError:
    return RegionError(
        f"{area!r} is no region: give a shapely geometry in level-0 px, such as "
        'read_annotations(path, slide).regions()["tumour"].'
    )
