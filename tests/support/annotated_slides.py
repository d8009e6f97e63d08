"""Slides of pink and red tissue, scored as the viewer does, with what is drawn on them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations import Annotation, AnnotationSet, write_annotations
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.progress import run_task
from napari_smse.slides import Region, open_slide
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.scored_slide import ScoredSlide
from napari_smse.workflows.settings.score import ScoreSettings
from support.slides import write_pyramid_tiff

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (200, 60, 120)
PINK_BOXES = ((0, 0, 320, 192), (0, 448, 320, 640))
RED_BOXES = ((576, 0, 896, 192), (576, 448, 896, 640))


def drawn(*, corrections=(), **regions):
    """Annotations: of each class, boxes in level-0 px."""
    found = [Annotation(name, box(*one)) for name, some in regions.items() for one in some]
    return AnnotationSet(tuple(found), corrections=tuple(corrections))


def asked(path: Path, annotations=None, *, mpp=0.5, overlap=0.0, model="redness"):
    """Score a slide at one scale."""
    slide = open_slide(path)
    run = run_task(ScoreJob(slide, model, ScoreSettings((mpp,), overlap)).run())
    return ScoredSlide(slide, run, annotations or AnnotationSet())


def red_slide(folder, name="slide", seed=0, **options):
    """Score a slide whose left third is pink and middle third red."""
    return asked(write_red_slide(folder, name, seed), **options)


def write_darker_slide(folder: Path, name: str = "darker", seed: int = 1) -> Path:
    """The same as of a laboratory that stains more."""
    rgb = np.full((768, 1536, 3), PINK, np.float64)
    rgb[:, 512:1024], rgb[:, 1024:] = RED, GLASS
    rgb += np.random.default_rng(seed).normal(scale=6, size=rgb.shape)
    dark = 255 * (np.clip(rgb, 1, 255) / 255) ** np.array([1.4, 1.3, 1.2])
    path = folder / f"{name}.tif"
    write_pyramid_tiff(path, dark.round().astype(np.uint8), mpp=0.5)
    return path


def write_red_slide(folder: Path, name: str = "slide", seed: int = 0) -> Path:
    """Pink tissue to x = 512, red to 1024, then glass; 1536 x 768 px at 0.5 um/px."""
    path = folder / f"{name}.tif"
    path.write_bytes(_red_slide(seed))
    return path


@cache
def _red_slide(seed: int) -> bytes:
    """The file, which many tests want and which takes long to compress."""
    rgb = np.full((768, 1536, 3), PINK, np.float64)
    rgb[:, 512:1024], rgb[:, 1024:] = RED, GLASS
    rgb += np.random.default_rng(seed).normal(scale=6, size=rgb.shape)
    with TemporaryDirectory() as folder:
        path = Path(folder, "slide.tif")
        write_pyramid_tiff(path, np.clip(rgb, 0, 255).astype(np.uint8), mpp=0.5)
        return path.read_bytes()


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


def write_tiles_beside(slide: Path, *, among_annotations: bool = False) -> Path:
    """Write what a run exports of a slide's tiles in place of annotations, or among them."""
    path = slide.with_suffix(".geojson")
    found = json.loads(path.read_text())["features"] if among_annotations else []
    for column in range(8):
        name = "benign" if column < 4 else "malignant"
        measured = {"µm/px": 0.5, "Tissue": 1.0, f"P({name})": 0.9}
        properties = {
            "objectType": "tile",
            "measurements": measured,
            "classification": {"name": name, "color": [1, 2, 3]},
        }
        area = box(128 * column, 256, 128 * column + 128, 384)
        found.append({"type": "Feature", "properties": properties, "geometry": mapping(area)})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": found}))
    return path


EDGE = 100


def field(x: int, y: int, label: int, slide: str = "a.svs") -> LabelledImage:
    region = Region(x, y, EDGE, EDGE)
    return LabelledImage(Path(slide), label, slide, 0.5, (0.5, 0.6), "s", "s", region=region)


def block(x: int, y: int, label: int, size: int = 2) -> list[LabelledImage]:
    return [field(x + EDGE * i, y + EDGE * j, label) for i in range(size) for j in range(size)]
