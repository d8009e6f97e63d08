"""Class probabilities of tiles from an exemplar bank, in place of the class head.

Nothing is learnt: a class is where its exemplars lie. They may come and go one by one, and only
what they touch is computed again.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import BankError
from napari_smse.similarity.exemplar_bank import ExemplarBank

Method = Literal["prototypes", "nearest"]
"""By each class's prototype, or by the nearest exemplar of each class."""

TEMPERATURE: Final = 0.1
"""Used where a bank has too few cases to fit one."""

_TEMPERATURES: Final = np.geomspace(0.01, 2.0, 40)
_CELLS: Final = 4_000_000
"""So many similarities are held at once."""


class ExemplarClassifier:
    """Scores the tiles of a slide from a bank, and again when the bank has changed.

    The probability of a class is the softmax, over the classes, of -d² / temperature, where d is
    the Euclidean distance of a tile to the class. A class without exemplars gets 0.

    Parameters
    ----------
    embeddings
        ``(n, d)`` float32 of the tiles, each of length 1.
    bank
        Of the same model.
    method
        What the distance to a class is taken to.
    temperature
        See above; it stays when the bank changes, so that the change is all that is seen.

    Raises
    ------
    BankError
        The bank holds no exemplar.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        bank: ExemplarBank,
        method: Method = "prototypes",
        temperature: float = TEMPERATURE,
    ) -> None:
        self.temperature = temperature
        self._tiles = np.ascontiguousarray(embeddings, dtype=np.float32)
        self._prototypes = _Prototypes(self._tiles) if method == "prototypes" else None
        self._nearest = _NearestOfClass(self._tiles) if method == "nearest" else None
        self.update(bank)

    def update(self, bank: ExemplarBank) -> None:
        """Take another bank of the same model; what both hold is not computed again.

        Raises
        ------
        BankError
            The bank holds no exemplar; what was there stays.
        """
        require_exemplars(bank)
        self.bank = bank
        of_kind = self._prototypes or self._nearest
        assert of_kind is not None
        self._similar = of_kind.update(bank)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the probabilities."""
        return self.bank.classes

    def probability(self) -> NDArray[np.float32]:
        """Return the probabilities of all tiles, ``(n, classes)``."""
        return class_probability(self._similar, self.temperature)


def require_exemplars(bank: ExemplarBank) -> None:
    """Refuse a bank that holds no exemplar.

    Raises
    ------
    BankError
        It is empty.
    """
    if not len(bank):
        raise BankError(
            "This bank holds no reference tile: add some from annotations, or load another bank."
        )


def class_probability(
    similar: NDArray[np.floating], temperature: float = TEMPERATURE
) -> NDArray[np.float32]:
    """Return the probabilities of classes from a tile's inner product with each, ``(n, classes)``.

    As d² = 2 - 2 s between embeddings of length 1, the softmax of -d² / T is that of 2 s / T.
    """
    logits = similar * np.float32(2.0 / temperature)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return np.asarray(logits, dtype=np.float32)


def class_prototypes(bank: ExemplarBank) -> NDArray[np.float32]:
    """Return each class's mean embedding, of length 1, ``(classes, d)``.

    Cases count alike within their class, whatever their number of tiles. A class without exemplars
    has NaN.
    """
    means, of_class, _ = case_means(bank)
    sums = np.zeros((len(bank.classes), bank.embeddings.shape[1]))
    np.add.at(sums, of_class, means)
    return unit_rows(sums)


def fitted_temperature(bank: ExemplarBank, method: Method = "prototypes") -> float:
    """Return the temperature that calls the exemplars of left-out cases best.

    Each case's exemplars are scored from those of all other cases; the temperature with the
    smallest mean log-loss is taken, each class counting alike. `TEMPERATURE` if not every class
    that has exemplars has them of two cases.
    """
    cases = {(int(label), case) for label, case in zip(bank.labels, bank.cases, strict=True)}
    present = np.unique(bank.labels)
    if len(present) < 2 or any(sum(other == label for other, _ in cases) < 2 for label in present):
        return TEMPERATURE
    leave_case_out = _prototypes_without_case if method == "prototypes" else _nearest_without_case
    similar = leave_case_out(bank)
    known = np.isfinite(similar[np.arange(len(bank)), bank.labels])
    similar, labels = similar[known], bank.labels[known]
    weight = 1.0 / np.bincount(labels, minlength=len(bank.classes))[labels]
    losses = []
    for temperature in _TEMPERATURES:
        right = class_probability(similar, temperature)[np.arange(len(labels)), labels]
        losses.append(float(-(weight * np.log(np.maximum(right, 1e-9))).sum()))
    return float(_TEMPERATURES[int(np.argmin(losses))])


class _Prototypes:
    """Inner products of tiles with the prototypes; only those that moved are taken again."""

    def __init__(self, tiles: NDArray[np.float32]) -> None:
        self._tiles = tiles
        self._known: dict[str, tuple[bytes, NDArray[np.float32]]] = {}

    def update(self, bank: ExemplarBank) -> NDArray[np.float32]:
        known = {}
        for name, prototype in zip(bank.classes, class_prototypes(bank), strict=True):
            key = prototype.tobytes()
            if self._known.get(name, (b"", None))[0] == key:
                known[name] = self._known[name]
            elif np.isnan(prototype).any():
                known[name] = key, np.full(len(self._tiles), -np.inf, np.float32)
            else:
                known[name] = key, self._tiles @ prototype
        self._known = known
        return np.stack([known[name][1] for name in bank.classes], axis=1)


class _NearestOfClass:
    """Inner product of each tile with the nearest exemplar of each class, and which that is.

    New exemplars are compared with all tiles. When some go, only tiles that were nearest to them
    are compared anew with what is left of the class.
    """

    def __init__(self, tiles: NDArray[np.float32]) -> None:
        self._tiles = tiles
        self._embeddings: dict[int, NDArray[np.float32]] = {}
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._next = 0
        self._best: dict[str, NDArray[np.float32]] = {}
        self._of: dict[str, NDArray[np.int64]] = {}

    def update(self, bank: ExemplarBank) -> NDArray[np.float32]:
        wanted = {
            (bank.classes[label], row.tobytes()): row
            for label, row in zip(bank.labels, bank.embeddings, strict=True)
        }
        gone = [key for key in self._numbers if key not in wanted]
        new = [key for key in wanted if key not in self._numbers]
        for name in bank.classes:
            self._best.setdefault(name, np.full(len(self._tiles), -np.inf, np.float32))
            self._of.setdefault(name, np.full(len(self._tiles), -1, np.int64))
        removed: dict[str, list[int]] = {}
        for key in gone:
            number = self._numbers.pop(key)
            del self._embeddings[number]
            removed.setdefault(key[0], []).append(number)
        added: dict[str, list[int]] = {}
        for key in new:
            number = self._numbers[key] = self._next
            self._next += 1
            self._embeddings[number] = wanted[key]
            added.setdefault(key[0], []).append(number)
        for name, numbers in removed.items():
            self._forget(name, numbers, set(added.get(name, ())))
        for name, numbers in added.items():
            self._compare(name, np.arange(len(self._tiles)), numbers)
        return np.stack([self._best[name] for name in bank.classes], axis=1)

    def _forget(self, name: str, numbers: list[int], added: set[int]) -> None:
        rows = np.flatnonzero(np.isin(self._of[name], numbers))
        self._best[name][rows], self._of[name][rows] = -np.inf, -1
        left = [number for (other, _), number in self._numbers.items() if other == name]
        self._compare(name, rows, [number for number in left if number not in added])

    def _compare(self, name: str, rows: NDArray[np.intp], numbers: list[int]) -> None:
        if not numbers:
            return
        others = np.stack([self._embeddings[number] for number in numbers])
        numbered = np.asarray(numbers)
        best, of = self._best[name], self._of[name]
        step = max(1, _CELLS // len(others))
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            similar = self._tiles[part] @ others.T
            column = similar.argmax(axis=1)
            value = similar[np.arange(len(part)), column]
            better = value > best[part]
            best[part[better]] = value[better]
            of[part[better]] = numbered[column[better]]


def case_means(
    bank: ExemplarBank,
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Return mean embeddings of the cases of each class, their classes, and each tile's row.

    Returns
    -------
    tuple
        ``(c, d)`` means, ``(c,)`` indices into the classes, and ``(n,)`` rows among the means.
    """
    numbers: dict[tuple[int, str], int] = {}
    for label, case in zip(bank.labels.tolist(), bank.cases, strict=True):
        numbers.setdefault((label, case), len(numbers))
    group = np.asarray(
        [numbers[key] for key in zip(bank.labels.tolist(), bank.cases, strict=True)], np.intp
    )
    sums = np.zeros((len(numbers), bank.embeddings.shape[1]))
    np.add.at(sums, group, bank.embeddings)
    counts = np.bincount(group, minlength=len(numbers))[:, np.newaxis]
    return sums / np.maximum(1, counts), np.asarray([label for label, _ in numbers], np.intp), group


def _prototypes_without_case(bank: ExemplarBank) -> NDArray[np.float32]:
    """Inner product of each exemplar with the prototypes of all cases but its own."""
    means, of_class, group = case_means(bank)
    sums = np.zeros((len(bank.classes), bank.embeddings.shape[1]))
    np.add.at(sums, of_class, means)
    # A case may have exemplars of several classes: none of them may help.
    names = np.asarray(bank.cases)
    first = np.unique(group, return_index=True)[1]
    case_of = names[first]
    similar = np.empty((len(bank), len(bank.classes)), np.float32)
    for case in np.unique(names):
        without = sums.copy()
        own = case_of == case
        np.subtract.at(without, of_class[own], means[own])
        # What is left of a class whose only case this is must not be taken for a direction.
        for label in range(len(bank.classes)):
            if not (~own & (of_class == label)).any():
                without[label] = 0.0
        rows = names == case
        similar[rows] = bank.embeddings[rows] @ unit_rows(without).T
    return np.where(np.isnan(similar), -np.inf, similar).astype(np.float32)


def _nearest_without_case(bank: ExemplarBank) -> NDArray[np.float32]:
    """Inner product of each exemplar with the nearest of each class that is of another case."""
    names = np.unique(np.asarray(bank.cases), return_inverse=True)[1]
    found = np.full((len(bank), len(bank.classes)), -np.inf, np.float32)
    step = max(1, _CELLS // len(bank))
    for first in range(0, len(bank), step):
        part = slice(first, first + step)
        similar = bank.embeddings[part] @ bank.embeddings.T
        similar[names[part, np.newaxis] == names] = -np.inf
        for label in np.unique(bank.labels):
            found[part, label] = similar[:, bank.labels == label].max(axis=1)
    return found


def unit_rows(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows ``(n, d)`` of length 1; NaN where a row is of no length."""
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    whole = np.where(length > 0, sums / np.where(length > 0, length, 1.0), np.nan)
    return np.asarray(whole, dtype=np.float32)
