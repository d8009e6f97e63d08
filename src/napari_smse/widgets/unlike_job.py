"""How unlike everything known the tiles of slides are, as a generator without any Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.network.known_looks import KnownLooks, load_looks
from napari_smse.similarity.slide_tiles import SlideTiles
from napari_smse.similarity.unknown import Looks, no_looks, read_looks, unlike_tiles
from napari_smse.slides import Slide
from napari_smse.widgets.score_job import Started

_RUNS_KEPT: Final = 8
_looks: dict[Path, Looks] = {}


@dataclass(frozen=True)
class Unlike:
    """How unlike everything known tiles are.

    Attributes
    ----------
    values
        ``(n,)``: above 1, unlike; NaN where that cannot be told.
    known
        Whether the model says what it knows at all.
    """

    values: NDArray[np.float32]
    known: bool = True


def measure_unlike(slide: Slide, started: Started, tiles: SlideTiles) -> Iterator[float | Unlike]:
    """Look at the scored tiles of a slide; yields the share that is done, and at last `Unlike`.

    What was read of a run is kept for the next time.

    Parameters
    ----------
    slide, started, tiles
        A slide, its run, and what of it is scored.

    Raises
    ------
    SlideError
        The slide cannot be read.
    BankError
        What the model knows cannot be read.
    """
    known = load_looks(started.model, started.card.weights_sha256)
    if known is None:
        yield Unlike(np.full(len(tiles), np.nan, np.float32), known=False)
        return
    yield from _measured(slide, started, tiles, known)


def _measured(
    slide: Slide, started: Started, tiles: SlideTiles, known: KnownLooks
) -> Iterator[float | Unlike]:
    plan, path = started.plan, started.store.path
    looks = _looks.setdefault(path, no_looks(plan))
    if [len(one) for one in looks] != [len(one) for one in plan.scales]:
        looks = _looks[path] = no_looks(plan)
    while len(_looks) > _RUNS_KEPT:
        del _looks[next(iter(_looks))]
    yield from read_looks(slide, plan, started.store, looks)
    yield Unlike(unlike_tiles(tiles, plan, looks, known))
