"""Which tiles show the same place: those of two scales there are one piece of tissue, not two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def one_per_place(
    slides: Sequence[str], places: ArrayLike, order: Sequence[int] | None = None
) -> NDArray[np.intp]:
    """Return the rows of tiles of which no two show the same place, in rising order.

    Two tiles of a slide show the same place if the middle of the smaller lies in the larger, as
    tiles of two scales do.

    Parameters
    ----------
    slides
        ``(n,)``, the slide of each tile; those of no slide (empty) are all kept.
    places
        ``(n, 4)``: x, y, width, height, level-0 px.
    order
        Rows, those first that stand for their place; from the smallest tile to the largest by
        default, so that the finest scale answers.
    """
    sides = np.asarray(places, dtype=np.float64).reshape(-1, 4)
    if order is None:
        order = np.argsort(sides[:, 2] * sides[:, 3], kind="stable").tolist()
    kept: dict[str, _Kept] = defaultdict(_Kept)
    rows = [row for row in order if not slides[row] or kept[slides[row]].takes(sides[row])]
    return np.sort(np.array(rows, dtype=np.intp))


def share_place(one: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
    """Return which tiles ``(n, 4)`` show the same place as one ``(4,)``: x, y, width, height.

    They do if the middle of the smaller of two lies in the larger.
    """
    tile = np.asarray(one, dtype=np.float64)
    rest = np.asarray(others, dtype=np.float64).reshape(-1, 4)
    is_larger = rest[:, 2:].prod(axis=1) > tile[2] * tile[3]
    middle_of_rest = rest[:, :2] + rest[:, 2:] / 2
    middle = tile[:2] + tile[2:] / 2
    in_tile = ((tile[:2] <= middle_of_rest) & (middle_of_rest < tile[:2] + tile[2:])).all(axis=1)
    in_rest = ((rest[:, :2] <= middle) & (middle < rest[:, :2] + rest[:, 2:])).all(axis=1)
    return np.asarray(np.where(is_larger, in_rest, in_tile), dtype=np.bool_)


def overlaps(one: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
    """Return which tiles ``(n, 4)`` share a pixel with one ``(4,)``: x, y, width, height."""
    tile = np.asarray(one, dtype=np.float64)
    rest = np.asarray(others, dtype=np.float64).reshape(-1, 4)
    begins_before = rest[:, :2] < tile[:2] + tile[2:]
    ends_after = rest[:, :2] + rest[:, 2:] > tile[:2]
    return np.asarray((begins_before & ends_after).all(axis=1), dtype=np.bool_)


class _Kept:
    """The tiles of a slide that stand for their places."""

    def __init__(self) -> None:
        self._sides = np.empty((16, 4))
        self._number = 0

    def takes(self, side: NDArray[np.float64]) -> bool:
        """Take a tile, unless one of the same place is there."""
        known = self._sides[: self._number]
        if share_place(side, known).any():
            return False
        if self._number == len(self._sides):
            self._sides = np.concatenate([self._sides, np.empty_like(self._sides)])
        self._sides[self._number] = side
        self._number += 1
        return True
