"""The exemplar bank: labelled tiles by their embeddings, which tiles of a slide are compared with.

It holds no pixel of a patient unless thumbnails were added on purpose. The exemplars that lie
beside a model are a bank, too: what a later training must not forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import BankError
from napari_smse.models.card import ModelCard
from napari_smse.slides import Region
from napari_smse.tiles.appearance import MEASURES

THUMBNAIL_PX: Final = 56
"""Edge of an exemplar's picture, px."""

_NOWHERE: Final = (-1, -1, 0, 0)


@dataclass(frozen=True)
class ExemplarBank:
    """Labelled tiles by their embeddings.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    labels
        ``(n,)`` int64, indices into `classes`.
    mpps
        ``(n,)`` float32, um/px of the tiles.
    classes
        Names.
    cases, sources
        Of each tile; a source is a data set, or the name of a slide.
    model
        sha256 of the weights that made the embeddings; those of two models do not compare.
    slides
        Of each tile, its slide's quick hash; empty where there is none to fly to.
    places
        ``(n, 4)`` int32: x, y, width, height on that slide, level-0 px.
    thumbnails
        ``(n, THUMBNAIL_PX, THUMBNAIL_PX, 3)`` uint8; black where there is none. None if no tile
        has one.
    licence
        What the thumbnails may be used for, as their data set says.
    appearances
        ``(n, k)`` float32, what the tiles look like (`tiles.appearance`); NaN where that
        is not known.
    drawn
        Of each tile, which of the areas drawn on its slide it is of; empty where that is not known.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    mpps: NDArray[np.float32]
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    sources: tuple[str, ...]
    model: str
    slides: tuple[str, ...] = ()
    places: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 4), np.int32))
    thumbnails: NDArray[np.uint8] | None = None
    licence: str = ""
    appearances: NDArray[np.float32] = field(default_factory=lambda: _no_appearances(0))
    drawn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the columns that were left out: no slides, places or appearances."""
        number = len(self.labels)
        for name in ("slides", "drawn"):
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * number)
        if not len(self.places):
            nowhere = np.tile(np.array(_NOWHERE, np.int32), (number, 1))
            object.__setattr__(self, "places", nowhere)
        if not len(self.appearances):
            object.__setattr__(self, "appearances", _no_appearances(number))

    def __len__(self) -> int:
        """Number of exemplars."""
        return len(self.labels)

    def class_name(self, row: int) -> str:
        """Class of an exemplar."""
        return self.classes[int(self.labels[row])]

    def counts(self) -> dict[str, int]:
        """Number of exemplars of each class, in the order of the classes."""
        numbers = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, numbers, strict=True))

    def region(self, row: int) -> Region | None:
        """Where an exemplar lies on its slide, level-0 px; None if it lies on none."""
        if not self.slides[row]:
            return None
        return Region(*(int(side) for side in self.places[row]))

    def thumbnail(self, row: int) -> NDArray[np.uint8] | None:
        """Picture of an exemplar, RGB; None if it has none."""
        if self.thumbnails is None or not self.thumbnails[row].any():
            return None
        picture: NDArray[np.uint8] = self.thumbnails[row]
        return picture

    def require_model(self, model: str, name: str) -> None:
        """Refuse to be compared with the embeddings of another model.

        Parameters
        ----------
        model
            sha256 of the weights that made the other embeddings.
        name
            What that model is called.

        Raises
        ------
        BankError
            They are of another model; the message names both.
        """
        if self.model != model:
            raise BankError(
                f"This bank was made by the model {self.model[:12] or 'of no name'}, the slide was "
                f"scored by {name} ({model[:12]}): embeddings of two models do not compare. Score "
                "the slide with the bank's model, or take a bank of this one."
            )

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> ExemplarBank:
        """Return these exemplars, in this order."""
        index = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            embeddings=self.embeddings[index],
            labels=self.labels[index],
            mpps=self.mpps[index],
            cases=tuple(self.cases[row] for row in index),
            sources=tuple(self.sources[row] for row in index),
            slides=tuple(self.slides[row] for row in index),
            places=self.places[index],
            thumbnails=None if self.thumbnails is None else self.thumbnails[index],
            appearances=self.appearances[index],
            drawn=tuple(self.drawn[row] for row in index),
        )

    def without(self, rows: Sequence[int]) -> ExemplarBank:
        """Return all but these exemplars."""
        return self.take(np.setdiff1d(np.arange(len(self)), np.asarray(rows, dtype=np.intp)))

    def on_slides(self) -> ExemplarBank:
        """Return the exemplars that lie on slides: those added to what a model brought."""
        return self.take(np.flatnonzero([bool(slide) for slide in self.slides]))

    def embeddings_only(self) -> ExemplarBank:
        """Return the exemplars as a model brings them: on no slide, and without pictures."""
        return ExemplarBank(
            self.embeddings,
            self.labels,
            self.mpps,
            self.classes,
            self.cases,
            self.sources,
            self.model,
        )

    def joined(self, other: ExemplarBank) -> ExemplarBank:
        """Return these exemplars and then the other ones; classes that only those have come last.

        Exemplars of one slide are of one case, the one that the other bank gives it.

        Raises
        ------
        BankError
            They are of another model.
        """
        other.require_model(self.model, "another bank's model")
        classes = (*self.classes, *(name for name in other.classes if name not in self.classes))
        number = np.array([classes.index(name) for name in other.classes], dtype=np.int64)
        # The case of a slide may have been stated since these were added.
        named = [*zip(self.slides, self.cases, strict=True)]
        named += zip(other.slides, other.cases, strict=True)
        latest = {slide: case for slide, case in named if slide}
        thumbnails = None
        if self.thumbnails is not None or other.thumbnails is not None:
            thumbnails = np.concatenate([_pictures(self), _pictures(other)])
        return replace(
            self,
            embeddings=np.concatenate([self.embeddings, other.embeddings]),
            labels=np.concatenate([self.labels, number[other.labels]]),
            mpps=np.concatenate([self.mpps, other.mpps]),
            classes=classes,
            cases=tuple(latest.get(slide, case) for slide, case in named),
            sources=self.sources + other.sources,
            slides=self.slides + other.slides,
            places=np.concatenate([self.places, other.places]),
            thumbnails=thumbnails,
            licence="\n".join(dict.fromkeys(filter(None, (self.licence, other.licence)))),
            appearances=np.concatenate([self.appearances, other.appearances]),
            drawn=self.drawn + other.drawn,
        )


def empty_bank(card: ModelCard) -> ExemplarBank:
    """Return a bank of a model without any exemplar."""
    return ExemplarBank(
        np.empty((0, card.embedding_dim), np.float32),
        np.empty(0, np.int64),
        np.empty(0, np.float32),
        card.classes,
        (),
        (),
        card.weights_sha256,
    )


def _no_appearances(number: int) -> NDArray[np.float32]:
    return np.full((number, len(MEASURES)), np.nan, dtype=np.float32)


def _pictures(bank: ExemplarBank) -> NDArray[np.uint8]:
    if bank.thumbnails is not None:
        return bank.thumbnails
    return np.zeros((len(bank), THUMBNAIL_PX, THUMBNAIL_PX, 3), dtype=np.uint8)
