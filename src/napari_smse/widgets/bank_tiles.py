"""What of a bank of known tiles can be learnt from: those that were added to the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_smse.similarity.bank import ExemplarBank
from napari_smse.slides import Slide
from napari_smse.tiles.tile_notes import TileLink

if TYPE_CHECKING:
    from napari_smse.learning.added_tiles import AddedTile
    from napari_smse.learning.annotated_tiles import AnnotatedSlide, AnnotatedTiles
    from napari_smse.network import Model


def added_to(bank: ExemplarBank) -> ExemplarBank:
    """Return the exemplars that lie on slides; those that a model brings are its memory already."""
    return bank.take(np.flatnonzero([bool(slide) for slide in bank.slides]))


def drawn_and_known(
    slides: Sequence[AnnotatedSlide],
    classes: Sequence[str],
    links: Sequence[TileLink],
    bank: ExemplarBank,
    model: Model,
) -> AnnotatedTiles:
    """Return the tiles in regions, and exemplars of a bank besides.

    Parameters
    ----------
    slides, classes, links
        As for `napari_smse.learning.annotated_tiles.annotated_tiles`; slides may be bare.
    bank
        Exemplars that lie on slides.
    model
        That scored the slides.

    Raises
    ------
    BankError
        The exemplars are of another model.
    DataError
        No tile lies in any region, though some are drawn.
    """
    from napari_smse.learning.added_tiles import no_annotated_tiles, with_added
    from napari_smse.learning.annotated_tiles import annotated_tiles

    bank.require_model(model.card.weights_sha256, model.card.name)
    some = [one for one in slides if one.regions]
    drawn = annotated_tiles(some, classes, links) if some else no_annotated_tiles(classes)
    return with_added(drawn, _tiles_of(bank, [one.slide for one in slides]), model)


def _tiles_of(bank: ExemplarBank, slides: Sequence[Slide]) -> list[AddedTile]:
    """Return exemplars as tiles; those of a slide that is open are the same as ones drawn there."""
    from napari_smse.learning.added_tiles import AddedTile

    open_now = {slide.quick_hash: slide for slide in slides}
    found = []
    for row in range(len(bank)):
        region, mpp = bank.region(row), round(float(bank.mpps[row]), 6)
        if region is None:
            continue
        slide = open_now.get(bank.slides[row])
        there = (
            (bank.sources[row], Path(bank.slides[row]), mpp)
            if slide is None
            else (slide.name, slide.path, slide.mpp)
        )
        what = bank.embeddings[row], bank.class_name(row), mpp
        found.append(AddedTile(*what, *there, region, bank.drawn[row]))
    return found
