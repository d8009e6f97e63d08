"""How unlike everything known the tiles of slides are, as a generator without any Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.tile_table import SlideTiles
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.ood.appearance import appearances_of
from napari_smse.similarity.ood.detection import (
    Looks,
    known_with,
    no_looks,
    read_looks,
    unlike_tiles,
)
from napari_smse.similarity.ood.reference import load_looks
from napari_smse.slides import Slide
from napari_smse.workflows.scored_slide import Started

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
    added
        Whether added exemplars count as known, too.
    """

    values: NDArray[np.float32]
    known: bool = True
    added: bool = False


def measure_unlike(
    slide: Slide, started: Started, tiles: SlideTiles, bank: ExemplarBank | None = None
) -> Iterator[float | Unlike]:
    """Look at the scored tiles of a slide; yields the share that is done, and at last `Unlike`.

    What was read of a run is kept for the next time.

    Parameters
    ----------
    slide, started, tiles
        A slide, its run, and what of it is scored.
    bank
        Exemplars that are known besides.

    Raises
    ------
    SlideError
        The slide cannot be read.
    DamagedModelError
        What the model knows cannot be read.
    """
    known = load_looks(started.model, started.card.weights_sha256)
    if known is None:
        yield Unlike(np.full(len(tiles), np.nan, np.float32), known=False)
        return
    looks = _looks_known(started)
    yield from read_looks(slide, started.plan, started.store, looks)
    wider = known_with(known, bank, started.card.classes)
    values = unlike_tiles(tiles, started.plan, looks, wider)
    yield Unlike(values, added=len(wider.looks) > len(known.looks))


def looks_of(
    slide: Slide, started: Started, tiles: SlideTiles, rows: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return what some scored tiles look like, ``(m, k)``; they are read unless they were before.

    Parameters
    ----------
    slide, started, tiles
        A slide, its run, and what of it is scored.
    rows
        ``(m,)``, which tiles.

    Raises
    ------
    SlideError
        The slide cannot be read.
    """
    index = tiles.index_in(started.plan.scales)
    read = zip(_looks_known(started), index, strict=True)
    found = np.concatenate([looks[own] for looks, own in read])[rows]
    for number in np.flatnonzero(np.isnan(found[:, 0])).tolist():
        row = rows[number]
        pixels = slide.read(tiles.region(row), float(tiles.mpps[row]))
        found[number] = appearances_of(pixels[None])[0]
    return found


def _looks_known(started: Started) -> Looks:
    """Return what is known of a run's tiles, to be filled in."""
    plan, path = started.plan, started.store.path
    looks = _looks.setdefault(path, no_looks(plan))
    if [len(one) for one in looks] != [len(one) for one in plan.scales]:
        looks = _looks[path] = no_looks(plan)
    while len(_looks) > _RUNS_KEPT:
        del _looks[next(iter(_looks))]
    return looks
