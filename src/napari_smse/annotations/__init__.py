"""What people draw and say on a slide: regions, remarks on tiles, and which class a tile takes."""

from napari_smse.annotations.annotation_set import (
    Annotation,
    AnnotationSet,
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
    "read_annotations",
    "read_areas",
    "read_class_regions",
    "read_regions",
    "write_annotations",
]
