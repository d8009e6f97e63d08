"""Why a tile is called what it is: a run read back, and the bank it is compared with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon

from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.errors import SmseError
from napari_smse.models.card import require_embedding
from napari_smse.scoring import ScoreMaps, TileScores, fused_scales
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.annotated_exemplars import (
    annotated_rows,
    exemplars_of,
    with_newer,
    without_tiles,
)
from napari_smse.similarity.bank_file import bank_of
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank, empty_bank
from napari_smse.similarity.exemplar_classifier import (
    ExemplarClassifier,
    Method,
    class_probability,
    fitted_temperature,
)
from napari_smse.similarity.familiarity import near_limit
from napari_smse.similarity.leave_one_out import similar_without_own, tiles_with_own
from napari_smse.slides import Region, Slide
from napari_smse.workflows.out_of_distribution import appearance_of_tiles
from napari_smse.workflows.reference_pictures import with_cached_pictures
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.thumbnails import read_thumbnail

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedBank:
    """A bank, and where it is from.

    Attributes
    ----------
    bank
        Its exemplars now.
    name
        What it is called.
    own
        Whether it is the model's own, unchanged.
    origin
        As it was loaded; temperatures are fitted on that, so that they stay when exemplars come
        and go.
    file
        That holds just these; None if none does.
    """

    bank: ExemplarBank
    name: str
    own: bool
    origin: ExemplarBank
    file: Path | None = None

    @property
    def summary(self) -> str:
        """Name and size, for the record of what is saved."""
        return f"{self.name}: {len(self.bank):,} reference tiles"

    def changed(self, bank: ExemplarBank) -> NamedBank:
        """Return it with other exemplars."""
        name = self.name if self.name.endswith(_CHANGED) else self.name + _CHANGED
        return NamedBank(bank, name, False, self.origin)


_CHANGED = ", changed"


@dataclass(frozen=True)
class ScoredTiles:
    """A scored slide, read back.

    Attributes
    ----------
    slide, run
        The slide and its last run.
    tiles
        What the run stored so far.
    blocks
        How many blocks that was.
    own_bank
        The model's own.
    note
        What is wrong with that, if anything is.
    """

    slide: Slide
    run: Run
    tiles: TileTable
    blocks: int
    own_bank: NamedBank
    note: str = ""
    _scorings: dict[Method, tuple[ExemplarBank, ExemplarClassifier]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """sha256 of the weights that scored the slide."""
        return self.run.card.weights_sha256

    @cached_property
    def near_limit(self) -> float | None:
        """How far from its nearest reference tile a known tile may lie; None if nobody can tell."""
        return near_limit(self.own_bank.bank)

    @cached_property
    def _index(self) -> list[NDArray[np.int64]]:
        """Which of the plan's tiles the stored ones are, scale by scale."""
        return self.tiles.index_in(self.run.plan.scales)

    def maps(self, probability: NDArray[np.float32], classes: Sequence[str]) -> ScoreMaps:
        """Return the maps of these probabilities, ``(n, classes)``."""
        plan = self.run.plan
        mpps = [tiles.grid.spec.mpp for tiles in plan.scales]
        made = ScoreMaps(plan, classes, fused_scales(mpps, self.run.card))
        made.add(
            [
                TileScores(number, index, probability[self.tiles.rows_of(number)])
                for number, index in enumerate(self._index)
            ]
        )
        return made

    def head_maps(self) -> ScoreMaps:
        """Return the maps by the class head."""
        return self.maps(self.tiles.probability, self.tiles.classes)

    def exemplar_maps(self, known: NamedBank, way: Method) -> ScoreMaps:
        """Return the maps by a bank; what did not change since the last call is not taken again.

        A tile that is a reference tile itself is scored without that one.

        Raises
        ------
        BankError
            The bank holds no exemplar.
        """
        origin, scoring = self._scorings.get(way, (None, None))
        if scoring is None or origin is not known.origin:
            temperature = fitted_temperature(known.origin, way)
            scoring = ExemplarClassifier(self.tiles.embeddings, known.bank, way, temperature)
            self._scorings[way] = known.origin, scoring
        else:
            scoring.update(known.bank)
        probability = scoring.probability()
        own = tiles_with_own(known.bank, self.slide.quick_hash, self.tiles.places)
        if own:
            similar = similar_without_own(self.tiles.embeddings, known.bank, own, way)
            probability[list(own)] = class_probability(similar, scoring.temperature)
        return self.maps(probability, scoring.classes)


def read_tiles(slide: Slide, run: Run) -> ScoredTiles:
    """Read back a run, and the exemplars of its model.

    Raises
    ------
    ModelError
        The model gives no embeddings.
    OutputError
        The scores cannot be read.
    """
    require_embedding(run.card)
    blocks = int(run.store.blocks_done().sum())
    tiles = run.store.tile_table()
    bank, note = _own_bank(run)
    own = NamedBank(bank, f"{run.card.name}, the model's own", True, bank)
    return ScoredTiles(slide, run, tiles, blocks, own, note)


def with_annotated(
    bank: ExemplarBank,
    read: ScoredTiles,
    regions: Mapping[str, MultiPolygon],
    pictures: bool,
    corrections: Sequence[TileCorrection] = (),
    case: str = "",
) -> tuple[ExemplarBank, ExemplarBank]:
    """Add the tiles that have a class to a bank, with their pictures on request.

    They have it by the regions drawn on the slide and by corrections on them. Their case is the one
    given, or guessed from the slide's name.

    Returns
    -------
    tuple[ExemplarBank, ExemplarBank]
        The bank, in which every tile that is drawn or corrected has the class of that, and is
        left out if it has none; and what was added, of many tiles of a class some.

    Raises
    ------
    QueryError
        Nothing is drawn, or no scored tile has a class by it.
    SlideError
        A picture cannot be read.
    """
    slide = read.slide.quick_hash
    drawn = annotated_rows(
        read.tiles, regions, read.run.plan.mask, slide=slide, corrections=corrections
    )
    found = drawn.sample()
    rows = found.rows
    thumbnails = None
    if pictures:
        thumbnails = np.stack([_thumbnail(read.slide, read.tiles.region(row)) for row in rows])
    exemplars = partial(
        exemplars_of,
        read.tiles,
        classes=drawn.classes,
        model=read.model,
        slide=slide,
        name=read.slide.name,
        case=case,
    )
    new = exemplars(found, thumbnails=thumbnails, appearances=_appearances(read, rows))
    bank = without_tiles(bank, read.tiles, slide, drawn.classless)
    return with_newer(bank, new, exemplars(drawn)), new


def _appearances(read: ScoredTiles, rows: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """Return what tiles look like; None where their slide cannot be read, which is no reason."""
    try:
        return appearance_of_tiles(read.slide, read.run, read.tiles, rows)
    except SmseError as error:
        logger.warning("what added tiles look like is not known: %s", error)
        return None


def _own_bank(run: Run) -> tuple[ExemplarBank, str]:
    """Return the bank beside the model, or an empty one and why."""
    nothing = empty_bank(run.card)
    try:
        found = bank_of(run.model)
        if found is None:
            return nothing, "This model brings no reference tiles: add some from annotations."
        found.require_model(run.card.weights_sha256, run.card.name)
    except SmseError as error:
        return nothing, str(error)
    return with_cached_pictures(found), ""


def _thumbnail(slide: Slide, region: Region) -> NDArray[np.uint8]:
    """Read a tile as a square of `THUMBNAIL_PX`."""
    pixels = read_thumbnail(slide, region, THUMBNAIL_PX)
    rows, columns = (
        np.linspace(0, edge - 1, THUMBNAIL_PX).round().astype(np.intp) for edge in pixels.shape[:2]
    )
    return np.ascontiguousarray(pixels[np.ix_(rows, columns)])


def describe_bank(bank: ExemplarBank) -> str:
    """Return how many exemplars a bank holds of each class, for a person."""
    if not len(bank):
        return "no reference tile"
    return ", ".join(f"{name} {number:,}" for name, number in bank.counts().items())
