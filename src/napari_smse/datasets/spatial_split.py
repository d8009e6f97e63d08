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
    fraction: float = 0.25,
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
    fraction
        Fraction of each class's regions to hold out, at least one and never all.
    seed
        Seed of the choice.
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
    regions_by_class: dict[int, list[int]] = defaultdict(list)
    for number, fields in enumerate(regions):
        regions_by_class[images[fields[0]].label].append(number)
    lonely = [
        label for label, class_regions in sorted(regions_by_class.items()) if len(class_regions) < 2
    ]
    if lonely:
        names = " and ".join(classes[label] if classes else str(label) for label in lonely)
        raise DataError(
            f"Class {names} has one region only (those that touch count as one), so nothing of it "
            "can be held out: draw at least two regions of every class, apart from each other, or "
            "annotate another slide."
        )
    rng = np.random.default_rng(seed)
    chosen: set[int] = set()
    for label in sorted(regions_by_class):
        class_regions = regions_by_class[label]
        count = min(max(1, round(fraction * len(class_regions))), len(class_regions) - 1)
        chosen |= {class_regions[i] for i in rng.permutation(len(class_regions))[:count]}
    held_out = sorted(i for number in chosen for i in regions[number])
    remaining = sorted(set(range(len(images))) - set(held_out))
    training = [i for i in remaining if not any(_near(images[i], images[j]) for j in held_out)]
    lacking = set(regions_by_class) - {images[i].label for i in training}
    if lacking:
        raise DataError(
            "The regions lie so close together that nothing is left to learn from beside those "
            "held out: draw some further apart."
        )
    return training, held_out


def _regions(images: Sequence[LabelledImage]) -> list[list[int]]:
    """Group fields that belong together, directly or through others of the same class."""
    waiting, groups = set(range(len(images))), []
    while waiting:
        edge, group = [min(waiting)], []
        waiting -= set(edge)
        while edge:
            i = edge.pop()
            group.append(i)
            touching = {
                j
                for j in waiting
                if images[j].label == images[i].label and _together(images[i], images[j])
            }
            waiting -= touching
            edge += sorted(touching)
        groups.append(sorted(group))
    return groups


def _together(first: LabelledImage, second: LabelledImage) -> bool:
    """Tell whether two fields of a class are of one drawn region, or if unknown, touch."""
    if first.path != second.path:
        return False
    if first.drawn and second.drawn:
        return first.drawn == second.drawn
    return _gap(_place(first), _place(second)) <= 0


def _near(first: LabelledImage, second: LabelledImage) -> bool:
    """Tell whether less than a field's width lies between two fields of one slide."""
    a, b = _place(first), _place(second)
    return first.path == second.path and _gap(a, b) < max(a.width, b.width)


def _place(image: LabelledImage) -> Region:
    assert image.region is not None, "only fields of slides"
    return image.region


def _gap(first: Region, second: Region) -> float:
    across = max(first.x, second.x) - min(first.x + first.width, second.x + second.width)
    down = max(first.y, second.y) - min(first.y + first.height, second.y + second.height)
    return math.hypot(max(0, across), max(0, down))
