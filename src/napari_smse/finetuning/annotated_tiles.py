"""The tiles of annotated slides as labelled images, with the embeddings a run stored of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

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
    union_areas,
)
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.errors import DataError
from napari_smse.finetuning.exemplar_tiles import ExemplarTile
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.scoring import ScaleScores, ScoreStore
from napari_smse.slides import Region, Slide
from napari_smse.tiles import ScaleTiles, TissueMask
from napari_smse.training.prediction import TileOutputs

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
    remarks
        What was said of single tiles.
    """

    slide: Slide
    regions: Mapping[str, MultiPolygon]
    mask: TissueMask
    store: ScoreStore
    case: str
    remarks: Sequence[TileCorrection] = ()


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
    exemplars
        Tiles that must not be forgotten.
    links
        Tiles that must be alike or differ; none if there are no links.
    unmatched
        Links and remarks on tiles that were not scored or of no class that is learnt, and
        exemplars that have no class; they are left out.
    left_out
        Classes that no tile takes, and that the model does not know; they are not learnt.
    copies
        Files that show the same slide as another one; all of a slide are one case.
    looks
        What some of the images look like, ``(k,)``: those of which that was known before.
    """

    labelled_set: LabelledSet
    known: dict[LabelledImage, TileOutputs]
    conflicts: int
    exemplars: tuple[LabelledImage, ...] = ()
    links: PairConstraints | None = None
    unmatched: int = 0
    left_out: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    looks: Mapping[LabelledImage, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """What the user must know of it."""
        told = []
        if self.left_out:
            told.append(
                f"No tile takes the class {' or '.join(self.left_out)}, which was left out: its "
                "regions are small, or hold hardly any tissue."
            )
        if self.copies:
            told.append(
                f"{' and '.join(self.copies)} show a slide that is open under another name, too: "
                "they are one case, and their tiles were taken once."
            )
        if self.conflicts:
            told.append(
                f"{self.conflicts} tiles lie in regions of two classes and were not learnt from."
            )
        if self.unmatched:
            told.append(
                f"{self.unmatched} links or corrections are of tiles that this run did not score, "
                "or of other classes: they were left out."
            )
        return told


def annotated_tiles(
    slides: Sequence[AnnotatedSlide],
    classes: Sequence[str],
    links: Sequence[PairConstraint] = (),
    added: Sequence[ExemplarTile] = (),
) -> AnnotatedTiles:
    """Label the stored tiles of slides by the regions they lie in, and by what was said of them.

    Slides of the same content are one: what is drawn and said of any of them holds for all, they
    are one case, and each tile is taken once.

    Parameters
    ----------
    slides
        Scored by one model.
    classes
        In the order of the labels; tiles of others are left out.
    links
        Between tiles of these slides; one given twice counts once.
    added
        Tiles with a class of their own. Whatever is drawn or said of a tile now goes before that.

    Raises
    ------
    DataError
        No tile is of any of these classes.
    OutputError
        A store cannot be read.
    """
    links = tuple(dict.fromkeys(links))
    found = _Found(tuple(classes), links)
    copies = tuple(one.slide.path.name for one in _copies(slides))
    slides = _without_names(slides)
    for one in slides:
        for number in range(one.store.scale_count):
            found.take(one, one.store.scale(number))
    for tile in added:
        found.add(tile)
    if not found.known:
        raise DataError(
            "No scored tile lies in a region: draw regions on tissue that was scored, each at "
            "least as large as a tile."
        )
    labelled = LabelledSet(tuple(classes), tuple(found.known), {SOURCE: Source(SOURCE)})
    linked = found.linked()
    said = len({remark for one in slides for remark in one.remarks}) + len(links)
    return AnnotatedTiles(
        labelled,
        found.known,
        found.conflicts,
        tuple(found.exemplars),
        linked,
        said - len(found.heard) - (0 if linked is None else len(linked)),
        copies=copies,
        looks=found.looks,
    )


def _copies(slides: Sequence[AnnotatedSlide]) -> list[AnnotatedSlide]:
    """Return the slides of which another file comes before."""
    seen: dict[str, Path] = {}
    return [
        one
        for one in slides
        if seen.setdefault(one.slide.quick_hash, one.slide.path) != one.slide.path
    ]


def _without_names(slides: Sequence[AnnotatedSlide]) -> list[AnnotatedSlide]:
    """Give all that are the same slide one file, one case, and what is drawn and said of any."""
    same: dict[str, list[AnnotatedSlide]] = defaultdict(list)
    for one in slides:
        same[one.slide.quick_hash].append(one)
    return [_as_one(one, same[one.slide.quick_hash]) for one in slides]


def _as_one(one: AnnotatedSlide, same: Sequence[AnnotatedSlide]) -> AnnotatedSlide:
    if len(same) == 1:
        return one
    names = dict.fromkeys(name for other in same for name in other.regions)
    regions = {
        name: union_areas(other.regions[name] for other in same if name in other.regions)
        for name in names
    }
    remarks = tuple(dict.fromkeys(remark for other in same for remark in other.remarks))
    first = same[0]
    return replace(one, slide=first.slide, case=first.case, regions=regions, remarks=remarks)


class _Found:
    """What is gathered from slide after slide, scale after scale."""

    def __init__(self, classes: tuple[str, ...], links: Sequence[PairConstraint]) -> None:
        self.known: dict[LabelledImage, TileOutputs] = {}
        self.looks: dict[LabelledImage, NDArray[np.float32]] = {}
        self.exemplars: list[LabelledImage] = []
        self.conflicts = 0
        self.heard: set[TileCorrection] = set()
        self._classes, self._links = classes, links
        self._ends: dict[TilePlace, Tensor] = {}
        self._images: dict[TilePlace, LabelledImage] = {}
        self._decided: set[_Place] = set()
        self._slides: dict[str, AnnotatedSlide] = {}
        self._scored: set[_Place] = set()

    def take(self, one: AnnotatedSlide, scores: ScaleScores) -> None:
        """Label the tiles of a slide at one scale."""
        tiles = scores.tiles
        classes = assign_classes(tiles, one.slide.quick_hash, one.regions, one.mask, one.remarks)
        self._slides[one.slide.quick_hash] = one
        scored = self._newly_scored(one.slide, scores)
        for row in np.flatnonzero(classes.is_annotated).tolist():
            self._decided.add(_place_of(one.slide, scores, row))
        found: dict[int, LabelledImage] = {}
        self.conflicts += int((scored & (classes.labels == CONFLICT)).sum())
        self.heard |= self._heard_of(classes, scored)
        for label, name in enumerate(self._classes):
            rows = np.flatnonzero(scored & (classes.class_names == name))
            areas = _areas(tiles, rows, one.regions.get(name))
            for row, area in zip(rows.tolist(), areas.tolist(), strict=True):
                # A tile that takes its class from what was said of it is of no region.
                region = f"tile {row}" if classes.corrected[row] else f"{name} {area}"
                image = found[row] = _image(one, tiles, row, label, region)
                self.known[image] = _judged(
                    scores.embedding[row], scores.probability[row], scores.mpp
                )
                if classes.exemplars[row]:
                    self.exemplars.append(image)
        self._note_ends(one, scores, found)

    def add(self, tile: ExemplarTile) -> None:
        """Take a tile with a class of its own, unless its place was decided on."""
        if (one := self._slides.get(tile.slide)) is not None:
            # Whatever the slide was called when the tile was added.
            tile = replace(tile, case=one.case, path=one.slide.path)
        region = tile.region
        place = tile.slide, round(tile.mpp, 4), region.x, region.y
        if tile.class_name not in self._classes or place in self._decided:
            return
        self._decided.add(place)
        image = tile.image(self._classes.index(tile.class_name), SOURCE)
        self.known[image] = tile.judged
        if tile.look is not None and np.isfinite(tile.look).all():
            self.looks[image] = tile.look
        for end in {end for link in self._links for end in (link.first, link.second)}:
            if (end.slide, round(end.mpp, 4), end.x, end.y) == place:
                self._ends[end] = tile.embedding
                self._images[end] = image

    def linked(self) -> PairConstraints | None:
        """Return the links whose tiles were both scored; None if there is none."""
        ends = self._ends
        whole = [one for one in self._links if one.first in ends and one.second in ends]
        if not whole:
            return None
        return PairConstraints(
            torch.stack([ends[one.first] for one in whole]),
            torch.stack([ends[one.second] for one in whole]),
            torch.tensor([one.must_link for one in whole]),
            tuple((self._images.get(one.first), self._images.get(one.second)) for one in whole),
        )

    def _newly_scored(self, slide: Slide, scores: ScaleScores) -> NDArray[np.bool_]:
        """Return which tiles have scores, ``(n,)``, and none by another run on the same slide."""
        tiles, key, mpp = scores.tiles, slide.quick_hash, round(scores.mpp, 4)
        found = ~np.isnan(scores.probability[:, 0])
        places = [(key, mpp, x, y) for x, y in zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)]
        found &= [place not in self._scored for place in places]
        self._scored.update(places[row] for row in np.flatnonzero(found).tolist())
        return found

    def _heard_of(self, classes: TileClasses, scored: NDArray[np.bool_]) -> set[TileCorrection]:
        """Return the remarks that say something of what is learnt."""
        learnt = np.isin(classes.class_names, self._classes)
        heard = set()
        for row, remark in classes.corrections:
            if remark.action == "class":
                is_heard = remark.class_name in self._classes
            else:
                # Of no class when all is said, a tile would be an exemplar of nothing.
                is_heard = remark.action == "ignore" or learnt[row]
            if scored[row] and is_heard:
                heard.add(remark)
        return heard

    def _note_ends(
        self, one: AnnotatedSlide, scores: ScaleScores, found: Mapping[int, LabelledImage]
    ) -> None:
        places = list({end for link in self._links for end in (link.first, link.second)})
        rows = rows_at(scores.tiles, one.slide.quick_hash, places)
        for place, row in zip(places, rows, strict=True):
            if row is not None and not np.isnan(scores.probability[row, 0]):
                vector = torch.from_numpy(scores.embedding[row].astype(np.float32))
                self._ends[place] = normalize(vector, dim=0)
                if row in found:
                    self._images[place] = found[row]


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
) -> TileOutputs:
    """Return what was stored; logits are probabilities' logarithms, the same to a softmax."""
    vector = torch.from_numpy(embedding.astype(np.float32))
    logits = torch.from_numpy(probability.astype(np.float32)).clamp(min=1e-7).log()
    return TileOutputs(
        torch.nn.functional.normalize(vector, dim=0)[None], logits[None], torch.tensor([mpp])
    )
