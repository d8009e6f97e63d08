"""Label efficiency: accuracy by number of labels, taken in queue order or at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.active_learning.case_holdout import held_out, held_out_aside
from napari_smse.active_learning.learning_curve import Curve, LabelEfficiency
from napari_smse.active_learning.query_strategy import UnlabelledPool, select_tiles
from napari_smse.errors import QueryError
from napari_smse.metrics.classification import roc_auc
from napari_smse.metrics.estimate import auc_shortfall
from napari_smse.progress import Progress, Task, run_task

BUDGETS: Final = (2, 4, 8, 16, 32, 64)

_TRIES: Final = 100
"""Ways to hold cases out that are tried until each class is on both sides."""

_AT_ONCE: Final = 512


@dataclass(frozen=True)
class LabelledTiles:
    """Tiles whose class a person gave.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    labels
        ``(n,)``, number of each tile's class.
    cases
        ``(n,)``, what is split by.
    probability
        ``(n, classes)``, what the model says before any label.
    slides
        ``(n,)``, what takes turns in the queue; the cases by default.
    places
        ``(n, 2)``, corners of the tiles in tile edges. Where given, those cases are held out that
        lie to one side, another one each time, and no tile is learnt from that is nearer than two
        edges to a held-out one of its slide: they show the same tissue.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.intp]
    cases: Sequence[str]
    probability: NDArray[np.floating]
    slides: Sequence[str] | None = None
    places: NDArray[np.float64] | None = None


def label_efficiency_of(
    tiles: LabelledTiles,
    *,
    budgets: Sequence[int] = BUDGETS,
    splits: int = 10,
    draws: int = 10,
    seed: int = 0,
    at_once: int | None = None,
) -> Task[LabelEfficiency]:
    """Label tile after tile in queue order, and at random, and measure the accuracy reached.

    Half of the cases, class by class, are held out. Of the other half, tiles are labelled as
    `select_tiles` asks for them, and in random order (the mean of several). After each budget,
    held-out tiles are called by the nearest prototype, a class's mean embedding (Snell, Swersky and
    Zemel, NeurIPS 2017).

    Parameters
    ----------
    tiles
        What is labelled.
    budgets
        How many labels; those that are more than some split has to learn from are left out.
    splits
        How often cases are held out anew.
    draws
        Random orders a split.
    seed
        Of splits and orders.
    at_once
        How many tiles the queue is asked for before it is asked again; all by default.

    Yields
    ------
    Progress
        In splits.

    Raises
    ------
    QueryError
        A class is not of two cases, there is one class only, cases cannot be held out so that each
        class is on both sides, or no budget can be reached.
    """
    split = _Splits(tiles, np.random.default_rng(seed))
    measured: list[_Reached] = []
    for number in range(splits):
        measured.append(split.measure(budgets, draws, at_once or max(budgets)))
        yield Progress(number + 1, splits)
    reached = np.asarray(budgets, dtype=np.intp)
    reachable = reached <= min(result.pool for result in measured)
    if not reachable.any():
        raise QueryError("Too few tiles are labelled to hold some of them out: label more.")
    queue = np.asarray([result.queue for result in measured])[:, reachable]
    random = np.asarray([result.random for result in measured])[:, reachable]
    curves = (Curve(curve[..., 0], curve[..., 1]) for curve in (queue, random))
    return LabelEfficiency(reached[reachable], *curves)


def label_efficiency(
    embeddings: NDArray[np.float32],
    labels: ArrayLike,
    cases: Sequence[str],
    probability: NDArray[np.floating],
    *,
    slides: Sequence[str] | None = None,
    budgets: Sequence[int] = BUDGETS,
    splits: int = 10,
    draws: int = 10,
    seed: int = 0,
) -> LabelEfficiency:
    """Return the label efficiency: `label_efficiency_of` without progress.

    Parameters
    ----------
    embeddings, labels, cases, probability, slides
        As of `LabelledTiles`.
    budgets, splits, draws, seed
        As for `label_efficiency_of`.

    Raises
    ------
    QueryError
        As `label_efficiency_of`.
    """
    tiles = LabelledTiles(embeddings, np.asarray(labels, dtype=np.intp), cases, probability, slides)
    return run_task(
        label_efficiency_of(tiles, budgets=budgets, splits=splits, draws=draws, seed=seed)
    )


@dataclass(frozen=True)
class _Reached:
    """Accuracy and AUC after each budget, on one split, and how many tiles it had to learn from."""

    queue: list[tuple[float, float]]
    random: list[tuple[float, float]]
    pool: int


class _Splits:
    """Holds cases out, and measures what is learnt from the others."""

    def __init__(self, tiles: LabelledTiles, rng: np.random.Generator) -> None:
        self._tiles, self._rng = tiles, rng
        self._case = np.asarray(tiles.cases, dtype=str)
        slides = tiles.slides
        self._slide = self._case if slides is None else np.asarray(slides, dtype=str)
        _require_cases(tiles.labels, self._case)

    def measure(self, budgets: Sequence[int], draws: int, at_once: int) -> _Reached:
        """Hold some cases out, and label the others."""
        tiles, largest = self._tiles, max(budgets)
        pool, test = self._split()
        measure = _PrototypeScorer(tiles.embeddings, tiles.labels, test, self._case)
        parts = tiles.embeddings[pool], tiles.probability[pool], self._slide[pool]
        order = pool[_in_queue_order(*parts, min(largest, len(pool)), at_once)]
        queue = [measure(order[:budget]) for budget in budgets]
        orders = [self._rng.permutation(pool) for _ in range(draws)]
        means = [np.mean([measure(one[:budget]) for one in orders], axis=0) for budget in budgets]
        return _Reached(queue, [(float(mean[0]), float(mean[1])) for mean in means], len(pool))

    def _split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows to learn from, and those held out; each class is among both."""
        labels = self._tiles.labels
        classes = len(np.unique(labels))
        for _ in range(_TRIES):
            is_held_out = np.isin(self._case, self._held_out())
            pool, test = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
            pool = pool[~self._is_near(pool, test)]
            if all(len(np.unique(labels[rows])) == classes for rows in (pool, test)):
                return pool, test
        raise QueryError(
            "What is labelled cannot be split so that each class is on both sides: label each "
            "class in more places, further away from each other."
        )

    def _held_out(self) -> list[str]:
        places = self._tiles.places
        if places is None:
            return held_out(self._tiles.labels, self._case, self._rng)
        angle = self._rng.uniform(0, 2 * np.pi)
        along = places @ np.array([np.cos(angle), np.sin(angle)])
        return held_out_aside(self._tiles.labels, self._case, along, self._rng)

    def _is_near(
        self, rows: NDArray[np.intp], others: NDArray[np.intp], distance: float = 2.0
    ) -> NDArray[np.bool_]:
        """Return which of these tiles lie near any of the others, ``(n,)``."""
        places, slide = self._tiles.places, self._slide
        near = np.zeros(len(rows), dtype=bool)
        if places is None:
            return near
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            off = np.abs(places[part][:, None] - places[others][None, :]).max(axis=2)
            same = slide[part][:, None] == slide[others][None, :]
            near[first : first + _AT_ONCE] = ((off < distance) & same).any(axis=1)
        return near


class _PrototypeScorer:
    """Calls held-out tiles by the nearest prototype of what is labelled."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        labels: NDArray[np.intp],
        test: NDArray[np.intp],
        cases: NDArray[np.str_],
    ) -> None:
        self._embeddings, self._labels = embeddings, labels
        self._test, self._truth = embeddings[test], labels[test]
        self._classes = np.unique(labels)
        truth, names = np.searchsorted(self._classes, self._truth), self._classes.astype(str)
        self._has_auc = not auc_shortfall(truth, cases[test].tolist(), names.tolist())

    def __call__(self, labelled: NDArray[np.intp]) -> tuple[float, float]:
        """Return balanced accuracy and AUC."""
        # A class without a label is never called, and lies as far off as can be.
        score = np.full((len(self._test), len(self._classes)), -1.0)
        for column, label in enumerate(self._classes):
            of_class = self._embeddings[labelled[self._labels[labelled] == label]]
            if len(of_class):
                mean = of_class.mean(axis=0)
                score[:, column] = self._test @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
        called = self._classes[score.argmax(axis=1)]
        present = [label for label in self._classes if (self._truth == label).any()]
        recall = [float((called[self._truth == label] == label).mean()) for label in present]
        return float(np.mean(recall)), self._auc(score)

    def _auc(self, score: NDArray[np.float64]) -> float:
        if not self._has_auc:
            return float("nan")
        areas = []
        for column, label in enumerate(self._classes):
            others = np.delete(score, column, axis=1).max(axis=1)
            areas.append(roc_auc(self._truth == label, score[:, column] - others))
        return float(np.nanmean(areas))


def _in_queue_order(
    embeddings: NDArray[np.float32],
    probability: NDArray[np.floating],
    slides: NDArray[np.str_],
    count: int,
    at_once: int,
) -> NDArray[np.intp]:
    """Return the rows that a person is given who labels some, and asks for the next."""
    rows = list(_rows_by(slides))
    sides = [np.array([[2 * i, 0, 1, 1] for i in range(len(some))], np.int32) for some in rows]
    parts = [
        UnlabelledPool(
            embeddings[some],
            np.asarray(probability[some], dtype=np.float32),
            places,
            np.ones(len(some), dtype=bool),
            np.zeros(len(some), dtype=bool),
        )
        for some, places in zip(rows, sides, strict=True)
    ]
    order: list[int] = []
    while len(order) < count:
        for choice in select_tiles(parts, min(at_once, count - len(order))):
            order.append(int(rows[choice.slide][choice.row]))
            parts[choice.slide] = _labelled(parts[choice.slide], choice.row)
    return np.array(order, dtype=np.intp)


def _labelled(part: UnlabelledPool, row: int) -> UnlabelledPool:
    is_open, is_labelled = part.is_open.copy(), part.is_labelled.copy()
    is_open[row], is_labelled[row] = False, True
    return replace(part, is_open=is_open, is_labelled=is_labelled)


def _rows_by(groups: NDArray[np.str_]) -> Iterator[NDArray[np.intp]]:
    for one in np.unique(groups):
        yield np.flatnonzero(groups == one)


def _require_cases(labels: NDArray[np.intp], cases: NDArray[np.str_]) -> None:
    classes = np.unique(labels)
    if len(classes) < 2 or min(len(np.unique(cases[labels == label])) for label in classes) < 2:
        raise QueryError(
            "What labels are worth can only be measured with two classes of two cases each: label "
            "tiles of more cases."
        )
