"""From the candidates of a reader to usable images, with the reason for every refusal."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_smse.datasets.image_header import image_size, leads_out
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Skipped, Source
from napari_smse.datasets.scale_range import MPP_LIMITS, enlargement, is_tiny, supported_range
from napari_smse.errors import DataError
from napari_smse.slides import Region

logger = logging.getLogger(__name__)

_NOTED_ENLARGEMENT = 1.25
# Wider than for slides: a camera on a 40x objective has 0.049 um/px, as BreakHis has.
_PLAUSIBLE_MPP = (0.01, 10.0)
_TWO_CLASSES = ("benign", "malignant")


@dataclass(frozen=True)
class Reading:
    """How a source is to be read.

    Attributes
    ----------
    source
        Name and provenance of the source.
    mpp
        um/px of images that do not state theirs; of all slides, if it is given.
    mpp_limits
        Finest and coarsest um/px of the training.
    mpp_range
        Scales that all images support, instead of those found for each.
    classes
        Class of each label in the data that is not itself a class; other labels are
        skipped. Empty: labels are classes.
    keep
        Filter: only rows whose column has one of these values.
    """

    source: Source
    mpp: float | None = None
    mpp_limits: tuple[float, float] = MPP_LIMITS
    mpp_range: tuple[float, float] | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """An image, or a field of a slide, as a reader found it.

    Attributes
    ----------
    path
        Path of the file.
    label
        Label in the data; empty if there is none.
    case
        Case, unique within the source.
    mpp, detail
        Scale of the pixels and of the real detail, um/px; none if not stated.
    problem
        Reason why it cannot be used, if the reader found one.
    kind
        Kind of copy, where copies look different; part of the stratum.
    magnification, subtype
        As `LabelledImage` has them.
    columns
        Values by column, which `Reading.keep` filters by.
    size
        Width and height, px, if they are known already.
    region, drawn
        For a field of a slide: where it lies, level-0 px, and the drawn region that it is of.
    elsewhere
        Whether its path was written in full, so that it may lie outside the folder.
    """

    path: Path
    label: str
    case: str
    mpp: float | None = None
    detail: float | None = None
    problem: str = ""
    kind: str = ""
    magnification: str = ""
    subtype: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    region: Region | None = None
    drawn: str = ""
    elsewhere: bool = False


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in order: benign (however written) before malignant, others by name."""
    class_names = set(names)
    if {name.lower() for name in class_names} == set(_TWO_CLASSES):
        return _TWO_CLASSES
    return tuple(sorted(class_names))


def table_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the classes that a table's labels name.

    Where both benign and malignant are among them, whatever their capitals, these two are
    the classes and anything else is a wrong label; otherwise every label is a class.
    """
    class_names = {label for label in labels if label}
    if set(_TWO_CLASSES) <= {label.lower() for label in class_names}:
        return _TWO_CLASSES
    return class_order(class_names)


def usable_images(
    candidates: Sequence[Candidate],
    folder: Path,
    reading: Reading,
    *,
    classes: Sequence[str] | None = None,
    skipped: Sequence[Skipped] = (),
) -> LabelledSet:
    """Turn the candidates of a reader into a labelled set; what cannot be used is listed.

    Parameters
    ----------
    candidates
        Candidates, in the order that the images will have.
    folder
        Nothing outside of it is read.
    reading
        Source, scales, labels and filter.
    classes
        Class names in order; by default those among the labels, as `table_classes` has them.
    skipped
        Files that the reader refused already.
    """
    mapped = [
        replace(candidate, label=reading.classes.get(candidate.label, candidate.label))
        for candidate in candidates
        if _passes_filters(candidate, reading.keep)
    ]
    if reading.classes:
        classes = class_order(reading.classes.values())
    elif classes is None:
        classes = table_classes(candidate.label for candidate in mapped)
    label_by_name = {name.lower(): index for index, name in enumerate(classes)}
    label_by_name |= {name: index for index, name in enumerate(classes)}
    duplicates = _duplicates(mapped)
    images: list[LabelledImage] = []
    refused = list(skipped)
    tally = _Tally()
    for index, candidate in enumerate(mapped):
        label = label_by_name.get(candidate.label, label_by_name.get(candidate.label.lower()))
        try:
            if label is None:
                raise DataError(_label_problem(candidate.label, classes))
            if index in duplicates:
                raise DataError(duplicates[index])
            images.append(_usable(candidate, label, folder, reading, tally))
        except DataError as error:
            refused.append(Skipped(candidate.path, str(error)))
    source = tally.described(reading.source)
    return LabelledSet(tuple(classes), tuple(images), {source.name: source}, tuple(refused))


def _passes_filters(candidate: Candidate, filters: Mapping[str, Sequence[str]]) -> bool:
    for column, values in filters.items():
        if column.lower() not in candidate.columns:
            column_names = ", ".join(candidate.columns) or "none"
            raise DataError(
                f"There is no column {column!r} to choose images by (there are: {column_names}): "
                "correct the filter `keep`."
            )
        if candidate.columns[column.lower()].lower() not in {value.lower() for value in values}:
            return False
    return True


def _label_problem(label: str, classes: Sequence[str]) -> str:
    if not label:
        return "has no label"
    return f"has the label {label!r}, which is none of {', '.join(classes)}"


def _duplicates(candidates: Sequence[Candidate]) -> dict[int, str]:
    """Return the problems of candidates of one file: all contradict, or later ones repeat."""
    by_file: dict[tuple[Path, Region | None], list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        by_file[candidate.path.resolve(), candidate.region].append(index)
    problems: dict[int, str] = {}
    for indices in by_file.values():
        if len(indices) == 1:
            continue
        assignments = {(candidates[i].label, candidates[i].case) for i in indices}
        if len({label for label, _ in assignments}) > 1:
            problems |= dict.fromkeys(indices, "is listed with two labels")
        elif len(assignments) > 1:
            problems |= dict.fromkeys(indices, "is listed with two cases")
        else:
            problems |= dict.fromkeys(indices[1:], "is listed more than once")
    return problems


@dataclass
class _Tally:
    """Counts what is used, but not quite as it should be."""

    enlarged: int = 0
    max_enlargement: float = 0.0
    tiny: int = 0

    def add(self, factor: float, tiny: bool) -> None:
        self.tiny += tiny
        if factor > _NOTED_ENLARGEMENT:
            self.enlarged += 1
            self.max_enlargement = max(self.max_enlargement, factor)

    def described(self, source: Source) -> Source:
        if self.tiny:
            logger.warning(
                "%s: %d images fill less than a quarter of a tile; the rest of it is mirrored",
                source.name,
                self.tiny,
            )
        if not self.enlarged:
            return source
        note = (
            f"{self.enlarged} images are enlarged up to {self.max_enlargement:.2g} times, so fine "
            "detail is missing."
        )
        if source.scale_note:
            # Whoever described the source knows.
            logger.info("%s: %s", source.name, note)
            return source
        logger.warning("%s: %s", source.name, note)
        return replace(source, scale_note=note)


def _usable(
    candidate: Candidate, label: int, folder: Path, reading: Reading, tally: _Tally
) -> LabelledImage:
    """Return the labelled image, or raise `DataError` with the reason against it."""
    if candidate.problem:
        raise DataError(candidate.problem)
    if not candidate.elsewhere and leads_out(candidate.path, folder):
        raise DataError("lies outside the folder")
    mpp = _checked_scale(candidate.mpp if candidate.mpp is not None else reading.mpp)
    size = candidate.size or image_size(candidate.path)
    mpp_range = reading.mpp_range or supported_range(
        size, mpp, candidate.detail, reading.mpp_limits
    )
    tally.add(enlargement(mpp, candidate.detail, mpp_range), is_tiny(size, mpp, mpp_range))
    name = reading.source.name
    return LabelledImage(
        path=candidate.path,
        label=label,
        case=f"{name} {candidate.case}",
        mpp=mpp,
        mpp_range=mpp_range,
        source=name,
        stratum=" ".join(part for part in (name, candidate.magnification, candidate.kind) if part),
        subtype=candidate.subtype,
        magnification=candidate.magnification,
        region=candidate.region,
        drawn=candidate.drawn,
    )


def _checked_scale(mpp: float | None) -> float:
    if mpp is None:
        raise DataError("has no µm/px")
    if not _PLAUSIBLE_MPP[0] <= mpp <= _PLAUSIBLE_MPP[1]:
        raise DataError(f"has {mpp:g} µm/px, which no microscope has")
    return mpp
