"""Gathers the labelled tiles of annotated slides, slide after slide and scale after scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import MultiPolygon
from torch import Tensor
from torch.nn.functional import normalize

from napari_smse.annotations.tile_labels import (
    CONFLICT,
    TileClasses,
    assign_classes,
    nearest_areas,
    rows_at,
)
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.finetuning.annotated_slide import AnnotatedSlide
from napari_smse.finetuning.exemplar_tiles import ExemplarTile
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.scoring import ScaleScores, applies_icc
from napari_smse.slides import Region, Slide
from napari_smse.tiles import ScaleTiles
from napari_smse.training.prediction import TileOutputs

SOURCE = "annotations"


class TileCollector:
    """Gathers what there is to learn from, slide after slide and scale after scale.

    Parameters
    ----------
    classes
        In the order of the labels; tiles of others are left out.
    links
        Between tiles, each once.

    Attributes
    ----------
    outputs
        Stored embedding and logits of each labelled tile.
    appearances
        ``(k,)`` of the tiles of which they were known before.
    exemplars
        Tiles that must not be forgotten.
    conflicts
        Number of tiles that two classes claim.
    applied
        Corrections that changed what is learnt.
    """

    def __init__(self, classes: tuple[str, ...], links: Sequence[PairConstraint]) -> None:
        self.outputs: dict[LabelledImage, TileOutputs] = {}
        self.appearances: dict[LabelledImage, NDArray[np.float32]] = {}
        self.exemplars: list[LabelledImage] = []
        self.conflicts = 0
        self.applied: set[TileCorrection] = set()
        self._classes, self._links = classes, links
        self._constrained: dict[TilePlace, Tensor] = {}
        self._images: dict[TilePlace, LabelledImage] = {}
        self._decided: set[_Place] = set()
        self._slides: dict[str, AnnotatedSlide] = {}
        self._scored: set[_Place] = set()

    def take(self, annotated: AnnotatedSlide, scores: ScaleScores) -> None:
        """Label the tiles of a slide at one scale."""
        tiles = scores.tiles
        classes = assign_classes(
            tiles,
            annotated.slide.quick_hash,
            annotated.regions,
            annotated.mask,
            annotated.corrections,
        )
        self._slides[annotated.slide.quick_hash] = annotated
        scored = self._newly_scored(annotated.slide, scores)
        for row in np.flatnonzero(classes.is_annotated).tolist():
            self._decided.add(_place_of(annotated.slide, scores, row))
        collected: dict[int, LabelledImage] = {}
        self.conflicts += int((scored & (classes.labels == CONFLICT)).sum())
        self.applied |= self._applied_corrections(classes, scored)
        for label, name in enumerate(self._classes):
            rows = np.flatnonzero(scored & (classes.class_names == name))
            areas = _areas(tiles, rows, annotated.regions.get(name))
            for row, area in zip(rows.tolist(), areas.tolist(), strict=True):
                # A tile that takes its class from what was said of it is of no region.
                region = f"tile {row}" if classes.corrected[row] else f"{name} {area}"
                image = collected[row] = _image(annotated, tiles, row, label, region)
                self.outputs[image] = _stored_outputs(
                    scores.embedding[row], scores.probability[row], scores.mpp
                )
                if classes.exemplars[row]:
                    self.exemplars.append(image)
        self._note_constrained(annotated, scores, collected)

    def add(self, tile: ExemplarTile) -> None:
        """Take a tile with a class of its own, unless its place was decided on."""
        if (annotated := self._slides.get(tile.slide)) is not None:
            # Whatever the slide was called when the tile was added.
            tile = replace(tile, case=annotated.case, path=annotated.slide.path)
        region = tile.region
        place = tile.slide, round(tile.mpp, 4), region.x, region.y
        if tile.class_name not in self._classes or place in self._decided:
            return
        self._decided.add(place)
        image = tile.image(self._classes.index(tile.class_name), SOURCE)
        self.outputs[image] = tile.outputs
        if tile.appearance is not None and np.isfinite(tile.appearance).all():
            self.appearances[image] = tile.appearance
        for end in {end for link in self._links for end in (link.first, link.second)}:
            if (end.slide, round(end.mpp, 4), end.x, end.y) == place:
                self._constrained[end] = tile.embedding
                self._images[end] = image

    def constraints(self) -> PairConstraints | None:
        """Return the links whose tiles were both scored; None if there is none."""
        ends = self._constrained
        whole = [link for link in self._links if link.first in ends and link.second in ends]
        if not whole:
            return None
        return PairConstraints(
            torch.stack([ends[link.first] for link in whole]),
            torch.stack([ends[link.second] for link in whole]),
            torch.tensor([link.must_link for link in whole]),
            tuple((self._images.get(link.first), self._images.get(link.second)) for link in whole),
        )

    def _newly_scored(self, slide: Slide, scores: ScaleScores) -> NDArray[np.bool_]:
        """Return which tiles have scores, ``(n,)``, and none by another run on the same slide."""
        tiles, key, mpp = scores.tiles, slide.quick_hash, round(scores.mpp, 4)
        collected = ~np.isnan(scores.probability[:, 0])
        places = [(key, mpp, x, y) for x, y in zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)]
        collected &= [place not in self._scored for place in places]
        self._scored.update(places[row] for row in np.flatnonzero(collected).tolist())
        return collected

    def _applied_corrections(
        self, classes: TileClasses, scored: NDArray[np.bool_]
    ) -> set[TileCorrection]:
        """Return the corrections that change what is learnt."""
        is_trained_class = np.isin(classes.class_names, self._classes)
        applied = set()
        for row, correction in classes.corrections:
            if correction.action == "class":
                is_applied = correction.class_name in self._classes
            else:
                # Of no class when all is said, a tile would be an exemplar of nothing.
                is_applied = correction.action == "ignore" or is_trained_class[row]
            if scored[row] and is_applied:
                applied.add(correction)
        return applied

    def _note_constrained(
        self, annotated: AnnotatedSlide, scores: ScaleScores, collected: Mapping[int, LabelledImage]
    ) -> None:
        places = list({end for link in self._links for end in (link.first, link.second)})
        rows = rows_at(scores.tiles, annotated.slide.quick_hash, places)
        for place, row in zip(places, rows, strict=True):
            if row is not None and not np.isnan(scores.probability[row, 0]):
                vector = torch.from_numpy(scores.embedding[row].astype(np.float32))
                self._constrained[place] = normalize(vector, dim=0)
                if row in collected:
                    self._images[place] = collected[row]


_Place = tuple[str, float, int, int]
"""Quick hash of a slide, um/px, and the corner of a tile, level-0 px."""


def _place_of(slide: Slide, scores: ScaleScores, row: int) -> _Place:
    tiles = scores.tiles
    return slide.quick_hash, round(scores.mpp, 4), int(tiles.x[row]), int(tiles.y[row])


def _areas(
    tiles: ScaleTiles, rows: NDArray[np.integer], drawn: MultiPolygon | None
) -> NDArray[np.int64]:
    """Return which area of a class each tile lies in, or is nearest to."""
    if drawn is None or not len(rows):
        return np.zeros(len(rows), dtype=np.int64)
    return nearest_areas(tiles.x[rows], tiles.y[rows], tiles.grid.edge, drawn)


def _image(
    annotated: AnnotatedSlide, tiles: ScaleTiles, row: int, label: int, drawn: str
) -> LabelledImage:
    mpp = tiles.grid.spec.mpp
    x, y = int(tiles.x[row]), int(tiles.y[row])
    return LabelledImage(
        path=annotated.slide.path,
        label=label,
        case=f"{SOURCE} {annotated.case}",
        mpp=annotated.slide.mpp,
        mpp_range=(mpp, mpp),
        source=SOURCE,
        stratum=f"{SOURCE} {mpp:g}",
        region=Region(x, y, int(tiles.width[row]), int(tiles.height[row])),
        drawn=drawn,
        icc=applies_icc(annotated.store),
    )


def _stored_outputs(
    embedding: NDArray[np.float16], probability: NDArray[np.float32], mpp: float
) -> TileOutputs:
    """Return what was stored; logits are probabilities' logarithms, the same to a softmax."""
    vector = torch.from_numpy(embedding.astype(np.float32))
    logits = torch.from_numpy(probability.astype(np.float32)).clamp(min=1e-7).log()
    return TileOutputs(
        torch.nn.functional.normalize(vector, dim=0)[None], logits[None], torch.tensor([mpp])
    )
