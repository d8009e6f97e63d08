"""How much each further label is worth, asked for by the queue or at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.errors import QueryError
from napari_smse.similarity.next_tiles import Candidates, next_tiles

BUDGETS: Final = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Curve:
    """What is reached with so many labels, each ``(splits, budgets)``.

    Attributes
    ----------
    accuracy
        Mean over the classes of the share of held-out tiles called right.
    auc
        Of each class against the rest, averaged.
    """

    accuracy: NDArray[np.float64]
    auc: NDArray[np.float64]


@dataclass(frozen=True)
class LabelEfficiency:
    """Labels asked for by the queue against labels at random, on the same splits.

    Attributes
    ----------
    budgets
        ``(b,)``, how many tiles are labelled.
    queue, random
        What is reached.
    """

    budgets: NDArray[np.intp]
    queue: Curve
    random: Curve


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
    """Label tile after tile in queue order, and at random, and judge what they teach.

    Half of the cases, class by class, are held out. Of the other half, tiles are labelled as
    `next_tiles` asks for them, and in random order (the mean of several). After each budget,
    held-out tiles are called by the nearest prototype, a class's mean embedding (Snell, Swersky and
    Zemel, NeurIPS 2017).

    Parameters
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
    budgets
        How many labels.
    splits
        How often cases are held out anew.
    draws
        Random orders a split.
    seed
        Of splits and orders.

    Raises
    ------
    QueryError
        A class is not of two cases, or there is one class only.
    """
    truth = np.asarray(labels, dtype=np.intp)
    case = np.asarray(cases, dtype=str)
    slide = case if slides is None else np.asarray(slides, dtype=str)
    _require_cases(truth, case)
    rng = np.random.default_rng(seed)
    found: dict[str, list[list[tuple[float, float]]]] = {"queue": [], "random": []}
    for _ in range(splits):
        held = np.isin(case, _held_out(truth, case, rng))
        pool, test = np.flatnonzero(~held), np.flatnonzero(held)
        judge = _Judge(embeddings, truth, test)
        order = pool[_in_queue_order(embeddings[pool], probability[pool], slide[pool], budgets)]
        found["queue"].append([judge(order[:budget]) for budget in budgets])
        orders = [rng.permutation(pool) for _ in range(draws)]
        means = [np.mean([judge(one[:budget]) for one in orders], axis=0) for budget in budgets]
        found["random"].append([(float(one[0]), float(one[1])) for one in means])
    curves = {name: np.asarray(values) for name, values in found.items()}
    return LabelEfficiency(
        np.asarray(budgets, dtype=np.intp),
        *(Curve(curves[name][..., 0], curves[name][..., 1]) for name in ("queue", "random")),
    )


class _Judge:
    """Calls held-out tiles by the nearest prototype of what is labelled."""

    def __init__(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.intp], test: NDArray[np.intp]
    ) -> None:
        self._embeddings, self._labels = embeddings, labels
        self._test, self._truth = embeddings[test], labels[test]
        self._classes = np.unique(labels)

    def __call__(self, labelled: NDArray[np.intp]) -> tuple[float, float]:
        """Return balanced accuracy and AUC."""
        # A class without a label is never called, and lies as far off as can be.
        score = np.full((len(self._test), len(self._classes)), -1.0)
        for column, one in enumerate(self._classes):
            of_class = self._embeddings[labelled[self._labels[labelled] == one]]
            if len(of_class):
                mean = of_class.mean(axis=0)
                score[:, column] = self._test @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
        called = self._classes[score.argmax(axis=1)]
        here = [one for one in self._classes if (self._truth == one).any()]
        recall = [float((called[self._truth == one] == one).mean()) for one in here]
        return float(np.mean(recall)), self._auc(score)

    def _auc(self, score: NDArray[np.float64]) -> float:
        found = []
        for column, one in enumerate(self._classes):
            others = np.delete(score, column, axis=1).max(axis=1)
            found.append(_auc(self._truth == one, score[:, column] - others))
        return float(np.nanmean(found))


def _in_queue_order(
    embeddings: NDArray[np.float32],
    probability: NDArray[np.floating],
    slides: NDArray[np.str_],
    budgets: Sequence[int],
) -> NDArray[np.intp]:
    rows = list(_rows_by(slides))
    sides = [np.array([[2 * i, 0, 1, 1] for i in range(len(some))], np.int32) for some in rows]
    parts = [
        Candidates(
            embeddings[some],
            np.asarray(probability[some], dtype=np.float32),
            places,
            np.ones(len(some), dtype=bool),
            np.zeros(len(some), dtype=bool),
        )
        for some, places in zip(rows, sides, strict=True)
    ]
    queue = next_tiles(parts, max(budgets))
    return np.array([rows[one.slide][one.row] for one in queue], dtype=np.intp)


def _rows_by(groups: NDArray[np.str_]) -> Iterator[NDArray[np.intp]]:
    for one in np.unique(groups):
        yield np.flatnonzero(groups == one)


def _held_out(
    labels: NDArray[np.intp], cases: NDArray[np.str_], rng: np.random.Generator
) -> list[str]:
    """Return half of the cases of each class, a case counting for the class it has most of."""
    mostly: dict[int, list[str]] = {}
    for one in np.unique(cases):
        mostly.setdefault(int(np.bincount(labels[cases == one]).argmax()), []).append(str(one))
    held: list[str] = []
    for some in mostly.values():
        order = rng.permutation(len(some))
        held += [some[number] for number in order[: max(1, len(some) // 2)]]
    return held


def _require_cases(labels: NDArray[np.intp], cases: NDArray[np.str_]) -> None:
    classes = np.unique(labels)
    if len(classes) < 2 or min(len(np.unique(cases[labels == one])) for one in classes) < 2:
        raise QueryError(
            "What labels are worth can only be measured with two classes of two cases each: label "
            "tiles of more cases."
        )


def _auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the share of pairs in the right order, ties counting half; NaN without pairs."""
    high, low = np.sort(score[positive]), np.sort(score[~positive])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, side="left")
    tied = np.searchsorted(low, high, side="right") - below
    return float((below + tied / 2).mean() / len(low))
