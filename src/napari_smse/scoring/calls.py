"""What is called of a tile: a class, nothing for sure, or nothing at all.

One rule for maps, tables, files and summaries: a tile unlike everything its model was trained on is
never called, and neither is one whose probability lies in the band that the model's card leaves
undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.models.card import ModelCard
from napari_smse.palette import UNKNOWN_COLOUR, Colour, class_colours

INDETERMINATE: Final = "indeterminate"
OUT_OF_DISTRIBUTION: Final = "out of distribution"
NOT_SCORED: Final = -1
"""In place of the number of a call."""

OOD_LIMIT: Final = 1.0
"""Above this score a tile is less like the training tiles than 95 % of these are to each other."""

OOD_SHARE: Final = 0.5
"""A place under several tiles, or scales, is out of distribution if such a share of them is."""

_OOD_COLOUR: Colour = (70, 70, 70)


@dataclass(frozen=True)
class CallRule:
    """Calls tiles by their probabilities, and by how far they are from what a model knows.

    Parameters
    ----------
    classes
        Class names, in the order of the probabilities.
    band
        Probabilities of the second of two classes between which nothing is called; None if every
        tile takes the class that is the most probable.
    """

    classes: tuple[str, ...]
    band: tuple[float, float] | None = None

    @classmethod
    def from_card(cls, card: ModelCard) -> CallRule:
        """Return the rule that a model's card asks for."""
        band = card.undecided
        if band is None or len(card.classes) != 2:
            return cls(card.classes)
        return cls(card.classes, (band.low, band.high))

    @property
    def names(self) -> tuple[str, ...]:
        """All that may be called, by number: the classes, then what is no class."""
        return (*self.classes, INDETERMINATE, OUT_OF_DISTRIBUTION)

    def colours(self, given: Mapping[str, Colour] | None = None) -> dict[str, Colour]:
        """Return a colour for each of `names`, RGB 0..255."""
        neither = {INDETERMINATE: UNKNOWN_COLOUR, OUT_OF_DISTRIBUTION: _OOD_COLOUR}
        return {**class_colours(self.classes, given), **neither}

    def band_of(self, class_name: str) -> tuple[float, float] | None:
        """Return the undecided probabilities of one class; None if there are none."""
        if self.band is None:
            return None
        low, high = self.band
        return (low, high) if class_name == self.classes[1] else (1 - high, 1 - low)

    def call(
        self,
        probability: NDArray[np.floating],
        ood: ArrayLike = np.nan,
        *,
        in_range: ArrayLike = True,
    ) -> NDArray[np.int8]:
        """Return the number of each tile's call in `names`; `NOT_SCORED` where there is none.

        Parameters
        ----------
        probability
            ``(n, classes)``; NaN for a tile that was not scored.
        ood
            Out-of-distribution score of each tile, ``(n,)``: above 1, out of it; NaN where that
            is not known.
        in_range
            Whether the model was trained at the scale of the tiles, of all or of each, ``(n,)``.
        """
        scored = np.isfinite(probability).all(axis=1)
        calls = np.where(np.isfinite(probability), probability, -1).argmax(axis=1)
        if self.band is not None:
            low, high = self.band
            second = probability[:, 1]
            calls = np.where(second <= low, 0, np.where(second >= high, 1, len(self.classes)))
        unlike = np.broadcast_to(np.asarray(ood, dtype=np.float64) > OOD_LIMIT, calls.shape)
        calls[unlike | ~np.asarray(in_range, dtype=bool)] = len(self.classes) + 1
        calls[~scored] = NOT_SCORED
        return np.asarray(calls, dtype=np.int8)

    def named(self, calls: NDArray[np.integer]) -> list[str | None]:
        """Return the names of calls, None where there is none."""
        return [None if number == NOT_SCORED else self.names[number] for number in calls.tolist()]
