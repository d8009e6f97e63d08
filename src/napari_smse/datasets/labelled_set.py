"""Labelled images and where they come from: what every training and every test is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_smse.errors import DataError
from napari_smse.slides import Region


@dataclass(frozen=True)
class Source:
    """A data set that images come from, as a model's card will name it.

    Attributes
    ----------
    name
        Unique in a training; `LabelledImage.source` refers to it.
    title
        Name of the data set in a model's card; `name` if empty.
    organ, scanner, licence, citation
        Metadata as the data set states them.
    scale_note
        Origin of its um/px.
    """

    name: str
    organ: str = "not stated"
    scanner: str = "not stated"
    licence: str = "not stated"
    citation: str = ""
    scale_note: str = ""
    title: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """One labelled image, or one labelled field of a slide.

    Attributes
    ----------
    path
        Path of the image file, or of the slide.
    label
        Class index into the set's classes.
    case
        The unit to split by (patient or slide), unique over all sources.
    mpp
        Scale of the file, um/px.
    mpp_range
        Scales its pixels support, um/px, finest first.
    source
        Name of the data set.
    stratum
        Part of the data set whose images look alike apart from the class
        (magnification, kind of copy); batches are balanced within it.
    subtype
        Finer diagnosis, where it is known.
    magnification
        Magnification in the data set's words ("100X"); only for tables, never for computing.
    region
        Place of the field on the slide, level-0 px; none for an image file.
    drawn
        The region drawn on the slide that the field is of, where that is known.
    icc
        The slide's pixels are brought to sRGB by its ICC profile first.
    """

    path: Path
    label: int
    case: str
    mpp: float
    mpp_range: tuple[float, float]
    source: str
    stratum: str
    subtype: str = ""
    magnification: str = ""
    region: Region | None = None
    drawn: str = ""
    icc: bool = False


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class LabelledSet:
    """Labelled images of one or several sources.

    Attributes
    ----------
    classes
        Class names; an image's label is an index into them.
    images
        All that can be used.
    sources
        Sources by name.
    skipped
        Files that could not be used, for the user to see.
    """

    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    sources: Mapping[str, Source] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

    @property
    def cases(self) -> frozenset[str]:
        """All cases."""
        return frozenset(image.case for image in self.images)

    def select(self, indices: Sequence[int]) -> list[LabelledImage]:
        """Return the images of these indices, in their order."""
        return [self.images[i] for i in indices]

    def select_sources(self, names: Sequence[str]) -> LabelledSet:
        """Return the part from the sources named."""
        return replace(
            self,
            images=tuple(image for image in self.images if image.source in names),
            sources={name: self.sources[name] for name in names if name in self.sources},
        )

    def count(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return images and cases by class name; a case with both classes counts in both."""
        images = dict.fromkeys(self.classes, 0)
        cases: dict[str, set[str]] = {name: set() for name in self.classes}
        for image in self.images:
            images[self.classes[image.label]] += 1
            cases[self.classes[image.label]].add(image.case)
        return images, {name: len(members) for name, members in cases.items()}

    def count_skipped(self) -> dict[str, int]:
        """Return how many files were skipped for each reason, the most frequent first."""
        return dict(Counter(file.reason for file in self.skipped).most_common())

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without an image."""
        images, _ = self.count()
        return tuple(name for name, number in images.items() if not number)

    def require_classes(self) -> None:
        """Raise `DataError` if a class has no image."""
        empty = self.empty_classes
        if empty:
            raise DataError(
                f"No image of class {' or '.join(empty)} can be used "
                f"({len(self.images)} images, {len(self.skipped)} skipped): add some, or check "
                "the labels."
            )

    def require_cases(self) -> None:
        """Raise `DataError` if a class has no image, or all images come from one case."""
        self.require_classes()
        if len(self.cases) < 2:
            raise DataError(
                "All images come from one case, so nothing can be held out: add another case, "
                "or check how cases are named."
            )

    def require_trainable(self) -> None:
        """Raise `DataError` if there is only one class, an empty class, or only one case."""
        self.require_cases()
        if len(self.classes) < 2:
            raise DataError(
                f"All images are of class {' '.join(self.classes)}, so there is nothing to "
                "tell apart: add images of another class."
            )


def join_sets(sets: Sequence[LabelledSet]) -> LabelledSet:
    """Join the labelled sets of several sources into one.

    Raises
    ------
    DataError
        There is none, they have different classes, or two have a source of the same name.
    """
    if not sets:
        raise DataError("There is no source to join: name at least one.")
    for labelled_set in sets[1:]:
        if labelled_set.classes != sets[0].classes:
            raise DataError(
                f"Sources with different classes cannot be learnt from together: "
                f"{_described(sets[0])}, but {_described(labelled_set)}. Map their labels to the "
                "same classes."
            )
    names = Counter(name for labelled_set in sets for name in labelled_set.sources)
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise DataError(f"Two sources are called {twice[0]!r}: give each a name of its own.")
    return LabelledSet(
        sets[0].classes,
        tuple(image for labelled_set in sets for image in labelled_set.images),
        {name: source for labelled_set in sets for name, source in labelled_set.sources.items()},
        tuple(skipped for labelled_set in sets for skipped in labelled_set.skipped),
    )


def _described(labelled_set: LabelledSet) -> str:
    """Name a set's sources and classes for a message."""
    return f"{', '.join(labelled_set.sources)} has {', '.join(labelled_set.classes) or 'none'}"
