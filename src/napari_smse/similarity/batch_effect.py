"""Whether an embedding tells slides apart better than classes: stain and scanner, not biology."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.errors import QueryError
from napari_smse.progress import Progress, Task
from napari_smse.similarity.neighbour_accuracy import (
    NeighbourAccuracy,
    blocks_of,
    format_percent,
    neighbour_accuracy,
)

_FEWEST: Final = 5
"""Groups of fewer tiles are not counted."""

_HARDLY: Final = 0.1
"""So little above chance, slides are predicted by accident."""

_LITTLE: Final = 1 / 3
_MOST: Final = 2 / 3
_LESS_WELL: Final = 0.05
"""A class that is predicted less often by this is predicted less well."""

Embed = Callable[[NDArray[np.intp], int | None], NDArray[np.float32]]
"""Embeds tiles, given by their numbers: as they are, or, given a seed, with another stain."""


@dataclass(frozen=True)
class BatchEffect:
    """How well an embedding predicts slides, and classes.

    Attributes
    ----------
    slide
        Of the slide, or the source.
    of_class
        Of the class; None if fewer than two classes are on two slides (or cases) each.
    unit
        What a slide is called.
    """

    slide: NeighbourAccuracy
    of_class: NeighbourAccuracy | None
    unit: str = "slide"

    @property
    def slides_differ_more(self) -> bool:
        """Whether slides are predicted better than classes, each measured from its chance."""
        return self.of_class is None or self.slide.above_chance > self.of_class.above_chance

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        text = f"The embedding tells the {self.unit} in {_percent(self.slide)}"
        if self.of_class is None:
            return (
                f"{text}. There are no two classes that each lie on two {self.unit}s, so it cannot "
                "be compared with classes."
            )
        text = f"{text} and the class in {_percent(self.of_class)}"
        verdict = "slides" if self.unit == "slide" else f"{self.unit}s"
        if self.slide.above_chance < _HARDLY:
            return f"{text}: {verdict} hardly differ."
        more = "more than classes do" if self.slides_differ_more else "less than classes do"
        return f"{text}: {verdict} differ {more}."


@dataclass(frozen=True)
class BeforeAndAfter:
    """The effect as it is, and with the stain of each tile changed at random."""

    before: BatchEffect
    after: BatchEffect

    @property
    def stain_share(self) -> float:
        """Fraction of the slides' accuracy above chance that is gone with their stain: 0 to 1."""
        before, after = self.before.slide.above_chance, self.after.slide.above_chance
        return max(0.0, 1.0 - after / before) if before else 0.0

    @property
    def sentence(self) -> str:
        """What that means, in plain words."""
        before, after, unit = self.before.slide, self.after.slide, self.before.unit
        if before.above_chance < _HARDLY:
            return f"{unit.capitalize()}s are hardly told as it is: there is little to explain."
        now, then = _format_accuracy(after), _format_accuracy(before)
        text = f"The {unit} is told in {now} of tiles then, instead of {then}: "
        if self.stain_share < _LITTLE:
            text += "hardly less. What still tells it is not stain: sharpness, scanner or tissue."
        elif self.stain_share < _MOST:
            text += f"part of what tells {unit}s apart is stain; what still tells them then is not."
        else:
            text += f"it is mostly stain that tells {unit}s apart."
        return text + self._of_class

    @property
    def _of_class(self) -> str:
        before, after = self.before.of_class, self.after.of_class
        if before is None or after is None or before.accuracy - after.accuracy < _LESS_WELL:
            return ""
        now, then = _format_accuracy(after), _format_accuracy(before)
        return (
            f" The class is told less well, too, in {now} instead of {then}: "
            "it is told by stain in part."
        )


def batch_effect(
    embeddings: NDArray[np.float32],
    slides: Sequence[str],
    classes: Sequence[str],
    *,
    cases: Sequence[str] | None = None,
    places: ArrayLike | None = None,
    apart: float = 2.0,
    k: int = 10,
    unit: str = "slide",
) -> BatchEffect:
    """Ask the nearest neighbours of each tile of which slide, and of which class, it is.

    A neighbour at distance d votes with ``1 / (n max(d, 0.05))``, n being the number of tiles of
    its group that may vote, so that large groups do not win by size. The accuracy is the mean over
    groups, so that chance is one over their number. (What a neighbourhood is mixed of as a measure
    of batch effects: Büttner et al., Nature Methods 2019.) For the class, neighbours of the same
    slide do not vote: else a slide of one class would answer for it. A class that lies on one slide
    only is left out.

    Parameters
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    slides, classes
        ``(n,)``; groups of fewer than five tiles are left out.
    cases
        ``(n,)``; where given, neighbours of the same case do not vote for the class. Without places
        they do not vote for the slide, either: it is a source of many cases then.
    places
        ``(n, 2)``, middles of the tiles in tile edges; neighbours of the same slide that are nearer
        than `apart` do not vote, as they show the same tissue.
    k
        How many neighbours.
    unit
        What a slide is called in the verdict, such as ``source``.

    Raises
    ------
    QueryError
        There are not two slides with at least five tiles.
    """
    slide, of_class = np.asarray(slides, dtype=str), np.asarray(classes, dtype=str)
    case = slide if cases is None else np.asarray(cases, dtype=str)
    in_large_groups = _large(slide)
    if len(np.unique(slide[in_large_groups])) < 2:
        raise QueryError(
            f"There is one {unit} only to compare: score at least two, with five tiles or more "
            "each."
        )
    blocks = blocks_of(slide, places)
    near = None if places is None else _Near(slide, np.asarray(places, dtype=np.float64), apart)

    def not_for_slide(some: NDArray[np.intp], among: NDArray[np.intp]) -> NDArray[np.bool_]:
        if near is not None:
            return near(some, among)
        if cases is not None:
            return _same(case, some, among)
        found: NDArray[np.bool_] = some[:, None] == among[None, :]
        return found

    of_slide = neighbour_accuracy(embeddings, slide, in_large_groups, not_for_slide, blocks, k)
    both = in_large_groups & _large(of_class) & _in_several(of_class, case)
    if len(np.unique(of_class[both])) < 2:
        return BatchEffect(of_slide, None, unit)
    by_class = neighbour_accuracy(
        embeddings, of_class, both, lambda rows, among: _same(case, rows, among), blocks, k
    )
    return BatchEffect(of_slide, by_class, unit)


def before_and_after(
    embed: Embed,
    slides: Sequence[str],
    classes: Sequence[str],
    *,
    known: NDArray[np.float32] | None = None,
    cases: Sequence[str] | None = None,
    places: ArrayLike | None = None,
    at_once: int = 64,
    seed: int = 0,
    unit: str = "slide",
) -> Task[BeforeAndAfter]:
    """Measure the effect, and again with every tile stained anew at random.

    What of the slide is still told then is not its stain, as far as the changes reach.

    Parameters
    ----------
    embed
        Embeds tiles by their numbers; called with a seed, each with a stain of its own.
    slides, classes, cases, places, unit
        As for `batch_effect`.
    known
        ``(n, d)`` float32, the tiles as they are, if that is known; else they are embedded, too.
    at_once
        How many tiles are embedded at once.
    seed
        Of the stains.

    Yields
    ------
    Progress
        In tiles that are embedded.
    """
    number = len(slides)
    views = [] if known is None else [known]
    turns = (None, seed) if known is None else (seed,)
    for turn, drawn in enumerate(turns):
        parts = []
        for first in range(0, number, at_once):
            rows = np.arange(first, min(first + at_once, number))
            parts.append(embed(rows, drawn))
            yield Progress(turn * number + int(rows[-1]) + 1, len(turns) * number)
        views.append(np.concatenate(parts))
    before, after = (
        batch_effect(view, slides, classes, cases=cases, places=places, unit=unit) for view in views
    )
    return BeforeAndAfter(before, after)


class _Near:
    """Tells which tiles of the same slide lie near each other."""

    def __init__(self, slides: NDArray[np.str_], places: NDArray[np.float64], apart: float) -> None:
        self._slides, self._places, self._apart = slides, places, apart

    def __call__(self, some: NDArray[np.intp], among: NDArray[np.intp]) -> NDArray[np.bool_]:
        off = np.abs(self._places[some][:, None] - self._places[among][None, :]).max(axis=2)
        found: NDArray[np.bool_] = (off < self._apart) & _same(self._slides, some, among)
        return found


def _same(
    groups: NDArray[np.str_], some: NDArray[np.intp], among: NDArray[np.intp]
) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = groups[some][:, None] == groups[among][None, :]
    return found


def _large(groups: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Tell which tiles are of a group of five or more, ``(n,)``."""
    _, number, size = np.unique(groups, return_inverse=True, return_counts=True)
    found: NDArray[np.bool_] = size[number] >= _FEWEST
    return found


def _in_several(classes: NDArray[np.str_], cases: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Tell which tiles are of a class of two cases or more, ``(n,)``."""
    several = [name for name in np.unique(classes) if len(np.unique(cases[classes == name])) > 1]
    return np.isin(classes, several)


def _percent(accuracy: NeighbourAccuracy) -> str:
    facts = [f"n = {accuracy.tiles:,}", f"chance {format_percent(accuracy.chance)}"]
    if accuracy.interval:
        facts.insert(0, f"95 % interval {accuracy.interval}")
    return f"{_format_accuracy(accuracy)} of tiles ({', '.join(facts)})"


def _format_accuracy(accuracy: NeighbourAccuracy) -> str:
    return format_percent(accuracy.accuracy)
