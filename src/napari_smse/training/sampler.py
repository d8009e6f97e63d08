"""Batches balanced by class, source, stratum and case, and by scale."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.scale_range import (
    intersection,
    sample_spread,
    sample_uniform,
    union,
)
from napari_smse.errors import TrainingError

_log = logging.getLogger(__name__)
_ROUNDING: Final = 1.01


class Crop(NamedTuple):
    """A crop to be made.

    Attributes
    ----------
    image
        Its index.
    mpp
        Scale, um/px.
    place
        What it shows the middle of, as (x, y) of the image, each 0..1, as far as the image's
        edge allows; by default anywhere.
    """

    image: int
    mpp: float
    place: tuple[float, float] | None = None


class BalancedBatchSampler:
    """P cases a class with K crops each, all classes at the same scales and sites.

    A batch has P places, and every class fills each of them. A place draws a source (in
    turn, so that a batch holds all sources alike), a stratum of it, and K um/px, log-uniformly
    from what all classes support there; then each class draws a case that supports these,
    and for each an image of the case. So neither scale nor source nor stratum says
    anything about the class, and a class's positives come from several sources.

    A class that a stratum lacks fills the place from the rest of the source, or from another
    source. Where no case of some class supports all K scales, the first of them serves for
    all K crops, in every class.

    With `one_place`, the K crops of a case show one place of one image, at um/px spread over what
    all classes support.

    A draw depends on seed and step only, so a resumed training draws as an undisturbed one.

    Parameters
    ----------
    images
        The labelled images; crops refer to them by index.
    training
        Indices of those that may be drawn.
    cases_per_class, crops_per_case
        P and K.
    classes
        How many there are.
    mpp_limits
        Finest and coarsest um/px; images that support none of it are left out.
    one_place
        The crops of a case show the same place.
    seed
        Of the draws.

    Attributes
    ----------
    labels
        ``(classes * P * K,)`` class of each crop, the same in every batch.

    Raises
    ------
    TrainingError
        There is no image of some class, or none at all, to draw from.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        training: Sequence[int],
        *,
        classes: int = 2,
        cases_per_class: int = 8,
        crops_per_case: int = 4,
        mpp_limits: tuple[float, float] = (0.0, np.inf),
        one_place: bool = False,
        seed: int = 0,
    ) -> None:
        self.places, self.crops_per_case = cases_per_class, crops_per_case
        self._classes, self._seed = classes, seed
        rows = [(i, images[i]) for i in training]
        usable = [(i, image) for i, image in rows if _supports(image, mpp_limits)]
        if len(usable) < len(rows):
            _log.warning(
                "%d images support no scale of %g-%g µm/px and are not learnt from",
                len(rows) - len(usable),
                *mpp_limits,
            )
        for label in range(classes):
            if not any(image.label == label for _, image in usable):
                raise TrainingError(
                    f"Class {label} has no image to learn from at {mpp_limits[0]:g}-"
                    f"{mpp_limits[1]:g} µm/px: add some, or widen mpp_limits."
                )
        self._sites = _all_sites(usable, classes, mpp_limits, one_place=one_place)
        self.labels = np.repeat(np.arange(classes), cases_per_class * crops_per_case)

    def draw(self, step: int) -> list[Crop]:
        """Return the crops of a step's batch, class by class, case by case."""
        rng = np.random.default_rng([self._seed, step])
        names = list(self._sites)
        # Going round the shuffled sources fills a batch with all of them alike.
        turns = -(-self.places // len(names))
        order = np.concatenate([rng.permutation(len(names)) for _ in range(turns)])
        by_class: list[list[Crop]] = [[] for _ in range(self._classes)]
        used: set[str] = set()
        for number in order[: self.places]:
            sites = self._sites[names[number]]
            site = sites[rng.integers(len(sites))]
            for label, crops in enumerate(site.draw(self.crops_per_case, rng, used)):
                by_class[label] += crops
        return [crop for crops in by_class for crop in crops]


class _Pool:
    """The images of one class that may fill a place.

    Parameters
    ----------
    rows
        Index and image of each.
    mpp_limits
        Finest and coarsest um/px.
    one_place
        All crops of a case show the same place.
    """

    def __init__(
        self,
        rows: Sequence[tuple[int, LabelledImage]],
        mpp_limits: tuple[float, float],
        *,
        one_place: bool,
    ) -> None:
        self._one_place = one_place
        self._images = np.array([index for index, _ in rows])
        ranges = np.array([image.mpp_range for _, image in rows])
        finest, coarsest = (np.clip(side, *mpp_limits) for side in ranges.T)
        # A single scale is widened a little: nothing is ever drawn at one point.
        self._low, self._high = np.log(finest / _ROUNDING), np.log(coarsest * _ROUNDING)
        # A case with both classes may come once for each.
        cases = [f"{image.case} {image.label}" for _, image in rows]
        self._names, self._case = np.unique(cases, return_inverse=True)
        self.support = union(list(zip(self._low.tolist(), self._high.tolist(), strict=True)))

    def cases_at(self, scales: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cases with an image for each of the scales, or with one for all."""
        if self._one_place:
            return np.unique(self._case[self._at_all(scales)])
        at_each = [np.bincount(self._case, self._at(scale)) > 0 for scale in scales]
        return np.flatnonzero(np.all(at_each, axis=0))

    def draw(
        self, scales: NDArray[np.float64], rng: np.random.Generator, used: set[str]
    ) -> list[Crop]:
        """Return a crop at each of the scales, all of one case, if possible not a used one."""
        cases = self.cases_at(scales)
        fresh = [case for case in cases if self._names[case] not in used]
        case = rng.choice(fresh or cases)
        used.add(str(self._names[case]))
        if self._one_place:
            image = self._image(case, self._at_all(scales), rng)
            across, down = rng.uniform(size=2).tolist()
            return [Crop(image, float(np.exp(scale)), (across, down)) for scale in scales]
        return [
            Crop(self._image(case, self._at(scale), rng), float(np.exp(scale))) for scale in scales
        ]

    def _image(self, case: int, usable: NDArray[np.bool_], rng: np.random.Generator) -> int:
        """Draw one of the usable images of a case."""
        return int(self._images[rng.choice(np.flatnonzero(usable & (self._case == case)))])

    def _at_all(self, scales: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(np.all([self._at(scale) for scale in scales], axis=0))

    def _at(self, scale: float) -> NDArray[np.bool_]:
        return np.asarray((self._low <= scale) & (scale <= self._high))


class _Site:
    """Where a place of the batch may be: one pool for each class, and what all support."""

    def __init__(self, pools: Sequence[_Pool], *, one_place: bool) -> None:
        self._pools = pools
        self._sample = sample_spread if one_place else sample_uniform
        self.common = reduce(intersection, [pool.support for pool in pools])

    def draw(self, crops: int, rng: np.random.Generator, used: set[str]) -> list[list[Crop]]:
        """Return the crops of one case of each class, and add the cases to those used."""
        if not self.common:
            own = [np.repeat(sample_uniform(pool.support, 1, rng), crops) for pool in self._pools]
            return [
                pool.draw(scales, rng, used) for pool, scales in zip(self._pools, own, strict=True)
            ]
        scales = self._sample(self.common, crops, rng)
        if not all(len(pool.cases_at(scales)) for pool in self._pools):
            scales = np.repeat(scales[:1], crops)
        return [pool.draw(scales, rng, used) for pool in self._pools]


def _all_sites(
    rows: Sequence[tuple[int, LabelledImage]],
    classes: int,
    mpp_limits: tuple[float, float],
    *,
    one_place: bool,
) -> dict[str, list[_Site]]:
    """Return the sites of each source, one for each of its strata."""
    strata: dict[str, dict[str, None]] = {}
    for _, image in rows:
        strata.setdefault(image.source, {})[image.stratum] = None
    sites = {
        source: [
            _site(rows, classes, source, stratum, mpp_limits, one_place=one_place)
            for stratum in names
        ]
        for source, names in strata.items()
    }
    tied = sum(not site.common for some in sites.values() for site in some)
    if tied:
        _log.warning(
            "in %d strata no µm/px is supported by all classes: there, scale says something about "
            "the class, and the network may learn that",
            tied,
        )
    return sites


def _site(
    rows: Sequence[tuple[int, LabelledImage]],
    classes: int,
    source: str,
    stratum: str,
    mpp_limits: tuple[float, float],
    *,
    one_place: bool,
) -> _Site:
    """Look for each class in the stratum first, then its source, then everywhere.

    Where the classes found share no scale, all look one step further.
    """

    def pool(label: int, level: int) -> _Pool:
        own = [(i, image) for i, image in rows if image.label == label]
        near = [row for row in own if row[1].source == source]
        nearest = [row for row in near if row[1].stratum == stratum]
        rows_found = next(some for some in (nearest, near, own)[level:] if some)
        return _Pool(rows_found, mpp_limits, one_place=one_place)

    for level in range(3):
        site = _Site([pool(label, level) for label in range(classes)], one_place=one_place)
        if site.common:
            break
    return site


def _supports(image: LabelledImage, mpp_limits: tuple[float, float]) -> bool:
    low, high = image.mpp_range
    return low <= mpp_limits[1] * _ROUNDING and high * _ROUNDING >= mpp_limits[0]
