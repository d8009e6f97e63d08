"""Slides of pink and red tissue, scored as the viewer does, with what is drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from shapely.geometry import box

from annotated_folder import GLASS, PINK, RED, write_red_slide
from generated import write_pyramid_tiff
from napari_smse.exchange import Annotation, AnnotationSet
from napari_smse.scoring import ScoreRequest
from napari_smse.slides import open_slide
from napari_smse.widgets.asked_slides import AskedSlide
from napari_smse.widgets.score_job import ScoreJob, Started

PINK_BOXES = ((0, 0, 320, 192), (0, 448, 320, 640))
RED_BOXES = ((576, 0, 896, 192), (576, 448, 896, 640))


def drawn(*, remarks=(), **regions):
    """Annotations: of each class, boxes in level-0 px."""
    found = [Annotation(name, box(*one)) for name, some in regions.items() for one in some]
    return AnnotationSet(tuple(found), remarks=tuple(remarks))


def asked(path: Path, annotations=None, *, mpp=0.5, overlap=0.0, model="redness"):
    """Score a slide at one scale."""
    slide = open_slide(path)
    for said in ScoreJob(slide, model, ScoreRequest(mpps=(mpp,), overlap=overlap)).run():
        if isinstance(said, Started):
            said.shown.set()
            started = said
    return AskedSlide(slide, started, annotations or AnnotationSet())


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
