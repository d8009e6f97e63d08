"""The tiles of annotated slides as labelled images, with the embeddings a run stored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import MultiPolygon

from napari_smse.errors import DataError
from napari_smse.learning.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.learning.prediction import JudgedTiles
from napari_smse.learning.region_tiles import CONFLICT, NO_CLASS, label_tiles, nearest_areas
from napari_smse.scoring import ScoreStore
from napari_smse.slides import Region, Slide
from napari_smse.tiles import TissueMask
from napari_smse.tiles.plan import ScaleTiles

SOURCE = "annotations"


@dataclass(frozen=True)
class AnnotatedSlide:
    """A slide, what was drawn on it, and what a run stored of it.

    Attributes
    ----------
    slide
        The open slide.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue.
    store
        Its scores by the model to tune.
    case
        The patient; the slide's name if that is not known.
    """

    slide: Slide
    regions: Mapping[str, MultiPolygon]
    mask: TissueMask
    store: ScoreStore
    case: str


@dataclass(frozen=True)
class AnnotatedTiles:
    """What the annotations of slides give to learn from.

    Attributes
    ----------
    labelled_set
        One image a tile, at the scale it was scored at.
    known
        What the model said of each tile.
    conflicts
        How many tiles two classes claim; they are left out.
    """

    labelled_set: LabelledSet
    known: dict[LabelledImage, JudgedTiles]
    conflicts: int


def annotated_tiles(slides: Sequence[AnnotatedSlide], classes: Sequence[str]) -> AnnotatedTiles:
    """Label the stored tiles of slides by the regions they lie in.

    Parameters
    ----------
    slides
        Scored by one model.
    classes
        In the order of the labels; regions of others are left out.

    Raises
    ------
    DataError
        No tile lies in a region of these classes.
    OutputError
        A store cannot be read.
    """
    known: dict[LabelledImage, JudgedTiles] = {}
    conflicts = 0
    for one in slides:
        regions = {name: area for name, area in one.regions.items() if name in classes}
        for number in range(one.store.scale_count):
            scores = one.store.scale(number)
            tiles = scores.tiles
            labels = label_tiles(tiles.x, tiles.y, tiles.grid.edge, regions, one.mask)
            labels[np.isnan(scores.probability[:, 0])] = NO_CLASS
            conflicts += int((labels == CONFLICT).sum())
            for which, (name, drawn) in enumerate(regions.items()):
                rows = np.flatnonzero(labels == which)
                areas = nearest_areas(tiles.x[rows], tiles.y[rows], tiles.grid.edge, drawn)
                for row, area in zip(rows.tolist(), areas.tolist(), strict=True):
                    label = list(classes).index(name)
                    image = _image(one, tiles, row, label, f"{name} {area}")
                    known[image] = _judged(
                        scores.embedding[row], scores.probability[row], scores.mpp
                    )
    if not known:
        raise DataError(
            "No scored tile lies in a region: draw regions on tissue that was scored, each at "
            "least as large as a tile."
        )
    labelled = LabelledSet(tuple(classes), tuple(known), {SOURCE: Source(SOURCE)})
    return AnnotatedTiles(labelled, known, conflicts)


def _image(
    one: AnnotatedSlide, tiles: ScaleTiles, row: int, label: int, drawn: str
) -> LabelledImage:
    mpp = tiles.grid.spec.mpp
    x, y = int(tiles.x[row]), int(tiles.y[row])
    return LabelledImage(
        path=one.slide.path,
        label=label,
        case=f"{SOURCE} {one.case}",
        mpp=one.slide.mpp,
        mpp_range=(mpp, mpp),
        source=SOURCE,
        stratum=f"{SOURCE} {mpp:g}",
        region=Region(x, y, int(tiles.width[row]), int(tiles.height[row])),
        drawn=drawn,
    )


def _judged(
    embedding: NDArray[np.float16], probability: NDArray[np.float32], mpp: float
) -> JudgedTiles:
    """Return what was stored; logits are probabilities' logarithms, the same to a softmax."""
    vector = torch.from_numpy(embedding.astype(np.float32))
    logits = torch.from_numpy(probability.astype(np.float32)).clamp(min=1e-7).log()
    return JudgedTiles(
        torch.nn.functional.normalize(vector, dim=0)[None], logits[None], torch.tensor([mpp])
    )
