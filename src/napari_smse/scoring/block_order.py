"""The order of the blocks: those in the viewport first, outward from its centre."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.progress import TileScores
from napari_smse.slides import Region
from napari_smse.tiles import TilePlan


class Viewport:
    """The part of a slide that the viewer shows; set by one thread, read by another.

    Parameters
    ----------
    region
        Level-0 px; None while none is shown.
    """

    def __init__(self, region: Region | None = None) -> None:
        self._region = region
        self._lock = threading.Lock()

    @property
    def region(self) -> Region | None:
        """The part that is shown now, level-0 px."""
        with self._lock:
            return self._region

    def show(self, region: Region | None) -> None:
        """Set the part that is shown."""
        with self._lock:
            self._region = region


class BlockOrder:
    """Hands out the blocks of a plan, those that the viewer shows first.

    Parameters
    ----------
    plan
        The plan.
    todo
        Numbers of the blocks to hand out.
    viewport
        Part that the viewer shows; without one, blocks come in the plan's order.
    """

    def __init__(
        self, plan: TilePlan, todo: Sequence[int], viewport: Viewport | None = None
    ) -> None:
        self._remaining = np.asarray(todo, dtype=np.int64)
        self._boxes = _boxes(plan)
        self._viewport = viewport or Viewport()

    def __len__(self) -> int:
        """How many blocks are left."""
        return len(self._remaining)

    def update(self, scores: Sequence[TileScores]) -> None:
        """Take in results; this order does not depend on them."""

    def next(self) -> int | None:
        """Return the number of the next block, or None when all were handed out."""
        if not len(self._remaining):
            return None
        view = self._viewport.region
        place = 0 if view is None else _nearest(self._boxes[self._remaining], view)
        number = int(self._remaining[place])
        self._remaining = np.delete(self._remaining, place)
        return number


def _boxes(plan: TilePlan) -> NDArray[np.float64]:
    """Left, top, right and bottom of every block, level-0 px, (n, 4)."""
    regions = [block.region for block in plan.blocks]
    edges = [(region.x, region.y, region.right, region.bottom) for region in regions]
    return np.array(edges, dtype=np.float64).reshape(-1, 4)


def _nearest(boxes: NDArray[np.float64], view: Region) -> int:
    """Place of the box nearest to the centre of the view; those in view before all others."""
    left, top, right, bottom = boxes.T
    x, y = view.x + view.width / 2, view.y + view.height / 2
    distance = np.hypot((left + right) / 2 - x, (top + bottom) / 2 - y)
    return int(np.lexsort((distance, ~visible(boxes, view)))[0])


def visible(boxes: NDArray[np.float64], view: Region | None) -> NDArray[np.bool_]:
    """Which boxes (left, top, right, bottom) a view shows a part of, (n,); none without a view."""
    if view is None:
        return np.zeros(len(boxes), dtype=bool)
    left, top, right, bottom = boxes.T
    shown = (left < view.right) & (right > view.x) & (top < view.bottom) & (bottom > view.y)
    return np.asarray(shown)
