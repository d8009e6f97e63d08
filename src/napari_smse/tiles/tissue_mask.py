"""What kind of ground a slide shows where, however it was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region
from napari_smse.tiles.stain import H_AND_E


class Ground(IntEnum):
    """Kind of ground that a pixel of the overview shows.

    Colours tell glass, tissue, pen and dark apart; the others only a network or a person does.
    """

    GLASS = 0
    TISSUE = 1
    PEN = 2
    DARK = 3
    FOLD = 4
    FOREIGN = 5
    BUBBLE = 6
    BLUR = 7

    @property
    def words(self) -> str:
        """What a person calls it."""
        return _WORDS[self]


_WORDS: Final = {
    Ground.GLASS: "glass",
    Ground.TISSUE: "tissue",
    Ground.PEN: "pen marking",
    Ground.DARK: "dark border",
    Ground.FOLD: "fold",
    Ground.FOREIGN: "dark spot or foreign object",
    Ground.BUBBLE: "air bubble or slide edge",
    Ground.BLUR: "out of focus",
}

ARTEFACTS: Final = {
    "fold": Ground.FOLD,
    "foreign": Ground.FOREIGN,
    "pen": Ground.PEN,
    "bubble": Ground.BUBBLE,
    "blur": Ground.BLUR,
}
"""The artefacts of a section, by the names that options have for them."""


@dataclass(frozen=True)
class TissueMask:
    """Kind of ground at each place of a slide.

    Parameters
    ----------
    ground
        A `Ground` per overview pixel, (h, w) uint8.
    region
        The part of the slide that the overview shows, level-0 px.
    stain
        As `name_stain` names it.
    left_out
        The artefacts that are no tissue to score; all others of `ARTEFACTS` count as tissue then,
        and a tile that shows more of these than of tissue is left out. None where the mask tells
        no artefacts apart, as by colour: then tissue alone is tissue.
    notice
        What a reader of the results must know of it, one line; nothing where it is by colour.
    """

    ground: NDArray[np.uint8]
    region: Region
    stain: str = H_AND_E
    left_out: frozenset[Ground] | None = None
    notice: str = ""

    @property
    def tissue(self) -> NDArray[np.bool_]:
        """Where there is tissue to score, (h, w)."""
        if self.left_out is None:
            return np.asarray(self.ground == Ground.TISSUE)
        kept = set(ARTEFACTS.values()) - self.left_out
        return np.isin(self.ground, [Ground.TISSUE, *kept])

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of an overview pixel, level-0 px."""
        height, width = self.ground.shape
        return self.region.width / width, self.region.height / height

    def ground_fraction(self, ground: Ground) -> float:
        """Fraction of the overview that shows this ground, 0..1."""
        return float((self.ground == ground).mean())

    def fraction(
        self, x: NDArray[np.integer], y: NDArray[np.integer], edge: int
    ) -> NDArray[np.float32]:
        """Fraction of what each square tile shows of the slide that is tissue.

        Exact for the mask: overview pixels count by the area they share with the tile.

        Parameters
        ----------
        x, y
            Top-left corners of the tiles, level-0 px, (n,).
        edge
            Edge of the tiles, level-0 px.

        Returns
        -------
        (n,) in 0..1; 0 for a tile beside the overview.
        """
        return self._fraction(self.tissue, x, y, edge)

    def ground_fractions(
        self, ground: Ground, x: NDArray[np.integer], y: NDArray[np.integer], edge: int
    ) -> NDArray[np.float32]:
        """Fraction of each square tile that shows one kind of ground; as `fraction`."""
        return self._fraction(np.asarray(self.ground == ground), x, y, edge)

    def _fraction(
        self,
        shown_there: NDArray[np.bool_],
        x: NDArray[np.integer],
        y: NDArray[np.integer],
        edge: int,
    ) -> NDArray[np.float32]:
        sums = np.pad(shown_there.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        cell_width, cell_height = self.cell
        left, right = ((x + d - self.region.x) / cell_width for d in (0, edge))
        top, bottom = ((y + d - self.region.y) / cell_height for d in (0, edge))
        inside = (
            _interpolate(sums, bottom, right)
            - _interpolate(sums, top, right)
            - _interpolate(sums, bottom, left)
            + _interpolate(sums, top, left)
        )
        width, height = self.ground.shape[1], self.ground.shape[0]
        shown = (np.clip(right, 0, width) - np.clip(left, 0, width)) * (
            np.clip(bottom, 0, height) - np.clip(top, 0, height)
        )
        fraction = np.divide(inside, shown, out=np.zeros_like(inside), where=shown > 0)
        return np.clip(fraction, 0, 1).astype(np.float32)


def _interpolate(
    sums: NDArray[np.float64], row: NDArray[np.float64], column: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear value of a summed-area table: exact for areas that cut pixels."""
    row = np.clip(row, 0, sums.shape[0] - 1)
    column = np.clip(column, 0, sums.shape[1] - 1)
    r0 = np.minimum(row.astype(np.intp), max(0, sums.shape[0] - 2))
    c0 = np.minimum(column.astype(np.intp), max(0, sums.shape[1] - 2))
    dr, dc = row - r0, column - c0
    upper = sums[r0, c0] * (1 - dc) + sums[r0, c0 + 1] * dc
    lower = sums[r0 + 1, c0] * (1 - dc) + sums[r0 + 1, c0 + 1] * dc
    return np.asarray(upper * (1 - dr) + lower * dr)
