"""Slides of pink and red tissue, with annotations beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from generated import write_pyramid_tiff
from napari_smse.exchange import Annotation, AnnotationSet, write_annotations

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (200, 60, 120)


def write_red_slide(folder: Path, name: str = "slide", seed: int = 0) -> Path:
    """Pink tissue to x = 512, red to 1024, then glass; 1536 x 768 px at 0.5 um/px."""
    rgb = np.full((768, 1536, 3), PINK, np.float64)
    rgb[:, 512:1024], rgb[:, 1024:] = RED, GLASS
    rgb += np.random.default_rng(seed).normal(scale=6, size=rgb.shape)
    path = folder / f"{name}.tif"
    write_pyramid_tiff(path, np.clip(rgb, 0, 255).astype(np.uint8), mpp=0.5)
    return path


def annotate(slide: Path, **regions: BaseGeometry) -> Path:
    """Write a file of annotations beside a slide: two of either class, unless told others."""
    drawn = [(name, area) for name, area in regions.items()] or [
        ("benign", box(0, 0, 320, 256)),
        ("benign", box(0, 512, 320, 768)),
        ("malignant", box(576, 0, 896, 256)),
        ("malignant", box(576, 512, 896, 768)),
    ]
    found = AnnotationSet(tuple(Annotation(name, area) for name, area in drawn))
    write_annotations(slide.with_suffix(".geojson"), found)
    return slide
