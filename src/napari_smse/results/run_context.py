"""What a result is by, besides its scores: model, device, warnings, and so what is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import RequestError
from napari_smse.models.card import ModelCard
from napari_smse.results.run_record import CLASS_HEAD
from napari_smse.results.slide_summary import SlideSummary, summarise_slide
from napari_smse.results.tables import TileRows
from napari_smse.scoring import ScaleScores, ScoreStore, is_trained_scale, shown_class
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.ood.reference import OodReference
from napari_smse.tiles import ScaleTiles
from napari_smse.tiles.appearance import focus


@dataclass(frozen=True)
class RunContext:
    """The context of a result, besides the scores: model, device, warnings.

    Parameters
    ----------
    card
        The model's card.
    device
        Name of the device, as shown to the user.
    warnings
        Warnings for a reader of the results, one line each.
    classifier
        Classifier that gives the probabilities from the model's embeddings.
    reference
        What the model's training tiles look like; None if that is not known.
    positive
        The class that is looked for, in maps, summaries and ROC; by default the one whose map is
        shown first.
    """

    card: ModelCard
    device: str
    warnings: Sequence[str] = ()
    classifier: str = CLASS_HEAD
    reference: OodReference | None = None
    positive: str = ""

    @property
    def positive_class(self) -> str:
        """The class that is looked for.

        Raises
        ------
        RequestError
            The model does not know it.
        """
        if self.positive and self.positive not in self.rule.classes:
            raise RequestError(
                f"{self.model} knows no class {self.positive!r}: choose one of "
                f"{', '.join(self.rule.classes)}."
            )
        return self.positive or shown_class(self.rule.classes)

    @property
    def model(self) -> str:
        """Name and version of the model, and what gave the probabilities if not its class head."""
        by = "" if self.classifier == CLASS_HEAD else f", by {self.classifier}"
        return f"{self.card.label}{by}"

    @property
    def rule(self) -> CallRule:
        """How tiles are called; the card's undecided band is of the model's own class head."""
        if self.classifier == CLASS_HEAD:
            return CallRule.from_card(self.card)
        return CallRule(self.card.classes)

    def ood_scores(self, appearance: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
        """Return how far tiles ``(n, k)`` are out of distribution, ``(n,)``; NaN if unknown."""
        if self.reference is None:
            return np.full(len(appearance), np.nan, dtype=np.float32)
        return self.reference.ood_scores(appearance, np.full(len(appearance), mpp))

    def rows(
        self,
        tiles: ScaleTiles,
        probability: NDArray[np.float32],
        appearance: NDArray[np.float32],
    ) -> TileRows:
        """Return the rows of a tile table for tiles of one scale, with what is called of them.

        Parameters
        ----------
        tiles
            Where they lie.
        probability
            ``(n, classes)``; NaN for a tile that was not scored.
        appearance
            ``(n, k)``, see `tiles.appearance`.
        """
        mpp, rule = tiles.grid.spec.mpp, self.rule
        ood = self.ood_scores(appearance, mpp)
        calls = rule.call(probability, ood, in_range=is_trained_scale(mpp, self.card))
        regions = np.column_stack([tiles.x, tiles.y, tiles.width, tiles.height])
        named = rule.named(calls)
        return TileRows(
            mpp, regions, tiles.tissue, probability, ood, named, self.model, focus(appearance)
        )

    def summary(self, scales: Sequence[ScaleScores], class_name: str | None = None) -> SlideSummary:
        """Return what was called on a slide.

        Parameters
        ----------
        scales
            All that its store holds, fine to coarse.
        class_name
            The class whose probabilities and hottest spots are wanted; by default the one that is
            looked for.
        """
        # Scores that are not from a store may come without what their tiles look like.
        ood = [
            self.ood_scores(one.appearance, one.mpp)
            if len(one.appearance) == len(one.tiles)
            else np.full(len(one.tiles), np.nan, dtype=np.float32)
            for one in scales
        ]
        shown = class_name or self.positive_class
        return summarise_slide(scales, ood, self.card, self.rule, shown)


def tile_rows(store: ScoreStore, tiles: TileTable, context: RunContext | None) -> list[TileRows]:
    """Return the scored tiles of each scale as rows of a table.

    Parameters
    ----------
    store
        What they are of.
    tiles
        Its scored tiles.
    context
        What tiles are called by; None if the model's card is not known, and so what it calls.

    Raises
    ------
    OutputError
        The store cannot be read.
    """
    stored = tuple(store.scale(number).tiles for number in range(store.scale_count))
    rows = []
    for number, (part, index) in enumerate(zip(tiles.scales, tiles.index_in(stored), strict=True)):
        probability = tiles.probability[tiles.rows_of(number)]
        appearance = store.appearance(number)[index]
        if context is not None:
            rows.append(context.rows(part, probability, appearance))
            continue
        places = np.column_stack([part.x, part.y, part.width, part.height])
        name = store.facts["model"]["name"]
        sharpness = focus(appearance)
        rows.append(
            TileRows(
                part.grid.spec.mpp, places, part.tissue, probability, model=name, focus=sharpness
            )
        )
    return rows
