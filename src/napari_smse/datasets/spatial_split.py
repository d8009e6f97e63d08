"""Holding out whole regions of a slide, where there are too few slides to hold out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError
from napari_smse.slides import Region


def hold_out_regions(
    images: Sequence[LabelledImage],
    share: float = 0.25,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> tuple[list[int], list[int]]:
    """Divide fields into those to learn from and those of whole regions that are held out.

    Fields of one drawn region belong together, or where that is not known, those of a slide and
    class that touch. A field to learn from that lies less
    than a field's width from a held-out one is dropped.

    Parameters
    ----------
    images
        Fields of slides.
    share
        Of each class's regions to hold out, at least one and never all.
    seed
        Of the choice.
    classes
        Names, for messages.

    Returns
    -------
    tuple[list[int], list[int]]
        Indices to learn from, and held out.

    Raises
    ------
    DataError
        A class has fewer than two regions, or all of its fields touch held-out ones.
    """
    regions = _regions(images)
    of_class: dict[int, list[int]] = defaultdict(list)
    for number, fields in enumerate(regions):
        of_class[images[fields[0]].label].append(number)
    lonely = [label for label, found in sorted(of_class.items()) if len(found) < 2]
    if lonely:
        names = " and ".join(classes[label] if classes else str(label) for label in lonely)
        raise DataError(
            f"Class {names} has one region only, so nothing of it can be held out: draw at least "
            "two regions of every class, apart from each other, or annotate another slide."
        )
    rng = np.random.default_rng(seed)
    chosen: set[int] = set()
    for label in sorted(of_class):
        found = of_class[label]
        wanted = min(max(1, round(share * len(found))), len(found) - 1)
        chosen |= {found[i] for i in rng.permutation(len(found))[:wanted]}
    held_out = sorted(i for number in chosen for i in regions[number])
    rest = sorted(set(range(len(images))) - set(held_out))
    training = [i for i in rest if not any(_near(images[i], images[j]) for j in held_out)]
    lacking = set(of_class) - {images[i].label for i in training}
    if lacking:
        raise DataError(
            "The regions lie so close together that nothing is left to learn from beside those "
            "held out: draw some further apart."
        )
    return training, held_out


def _regions(images: Sequence[LabelledImage]) -> list[list[int]]:
    """Group fields that belong together, directly or through others of the same class."""
    waiting, found = set(range(len(images))), []
    while waiting:
        edge, group = [min(waiting)], []
        waiting -= set(edge)
        while edge:
            i = edge.pop()
            group.append(i)
            near = {
                j
                for j in waiting
                if images[j].label == images[i].label and _together(images[i], images[j])
            }
            waiting -= near
            edge += sorted(near)
        found.append(sorted(group))
    return found


def _together(one: LabelledImage, other: LabelledImage) -> bool:
    """Tell whether two fields of a class are of one drawn region, or if unknown, touch."""
    if one.path != other.path:
        return False
    if one.drawn and other.drawn:
        return one.drawn == other.drawn
    return _gap(_place(one), _place(other)) <= 0


def _near(one: LabelledImage, other: LabelledImage) -> bool:
    """Tell whether less than a field's width lies between two fields of one slide."""
    first, second = _place(one), _place(other)
    return one.path == other.path and _gap(first, second) < max(first.width, second.width)


def _place(one: LabelledImage) -> Region:
    assert one.region is not None, "only fields of slides"
    return one.region


def _gap(one: Region, other: Region) -> float:
    across = max(one.x, other.x) - min(one.x + one.width, other.x + other.width)
    down = max(one.y, other.y) - min(one.y + one.height, other.y + other.height)
    return math.hypot(max(0, across), max(0, down))
