"""Batches balanced by class, stratum and case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_smse.learning.labelled_set import LabelledImage


class BalancedBatches:
    """P cases a class with K crops each, in every batch.

    Each place first draws a stratum (by weight), then a case of the class within it, then
    `crops_per_case` crops of that case. So neither a large case nor a large source
    rules, and within a stratum both classes are equally frequent.

    Parameters
    ----------
    records
        All records.
    crop_record
        LabelledImage index of each crop that may be drawn.
    cases_per_class, crops_per_case
        P and K.
    source_weights
        How often a source is drawn, by name; default 1 each. A source's weight is shared among
        its strata.
    seed
        Of the draw.
    """

    def __init__(
        self,
        records: Sequence[LabelledImage],
        crop_record: NDArray[np.int64],
        *,
        cases_per_class: int = 8,
        crops_per_case: int = 4,
        source_weights: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._pool: dict[int, dict[str, dict[str, list[int]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        strata: dict[str, set[str]] = defaultdict(set)
        for crop, index in enumerate(crop_record):
            record = records[index]
            self._pool[record.label][record.stratum][record.case].append(crop)
            strata[record.source].add(record.stratum)
        weights = source_weights or {}
        self._weight = {
            stratum: weights.get(source, 1.0) / len(names)
            for source, names in strata.items()
            for stratum in names
        }
        self.cases_per_class = cases_per_class
        self.crops_per_case = crops_per_case
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Yield crop indices without end."""
        while True:
            yield self.draw()

    def draw(self) -> NDArray[np.int64]:
        """Return the crop indices of one batch, class by class."""
        batch: list[int] = []
        for label in sorted(self._pool):
            for _ in range(self.cases_per_class):
                batch += self._draw_case(label)
        return np.array(batch)

    def _draw_case(self, label: int) -> list[int]:
        strata = list(self._pool[label])
        weights = np.array([self._weight[name] for name in strata])
        stratum = strata[self._rng.choice(len(strata), p=weights / weights.sum())]
        cases = list(self._pool[label][stratum].values())
        crops = cases[self._rng.integers(len(cases))]
        return [crops[i] for i in self._rng.integers(len(crops), size=self.crops_per_case)]
