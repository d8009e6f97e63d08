"""Annotations of a slide: regions, notes on tiles, and the class that each tile takes."""

from napari_smse.annotations.annotation_set import (
    Annotation,
    AnnotationSet,
    annotations_as_geojson,
    annotations_from_geojson,
    read_annotations,
    write_annotations,
)
from napari_smse.annotations.geojson import (
    DrawnArea,
    read_areas,
    read_class_regions,
    read_regions,
)

__all__ = [
    "Annotation",
    "AnnotationSet",
    "DrawnArea",
    "annotations_as_geojson",
    "annotations_from_geojson",
    "read_annotations",
    "read_areas",
    "read_class_regions",
    "read_regions",
    "write_annotations",
]
