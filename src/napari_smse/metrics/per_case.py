"""What was predicted for each image and each case, for tables and for looking at mistakes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.slides.identity import path_text


@dataclass(frozen=True)
class ImageResult:
    """One image with its probabilities, averaged over repeats.

    Attributes
    ----------
    index
        Index of the image in the labelled set.
    probabilities
        ``(classes,)``.
    called
        The most probable class.
    """

    index: int
    image: LabelledImage
    probabilities: NDArray[np.float64]
    called: int

    @property
    def right(self) -> bool:
        """Whether the most probable class is the true one."""
        return self.called == self.image.label

    @property
    def truth(self) -> float:
        """The probability that the true class was given."""
        return float(self.probabilities[self.image.label])


@dataclass(frozen=True)
class CaseResult:
    """One case: how many of its images are right, and its mean probabilities."""

    case: str
    labels: tuple[int, ...]
    images: int
    right: int
    probabilities: NDArray[np.float64]


def image_results(held_out: HeldOutPredictions, labelled_set: LabelledSet) -> list[ImageResult]:
    """Return each image that was predicted, once."""
    images, row = np.unique(held_out.images, return_inverse=True)
    total = np.zeros((len(images), held_out.logits.shape[1]))
    np.add.at(total, row, held_out.probabilities)
    mean = total / np.bincount(row)[:, None]
    return [
        ImageResult(int(i), labelled_set.images[i], values, int(values.argmax()))
        for i, values in zip(images, mean, strict=True)
    ]


def case_results(results: Sequence[ImageResult]) -> list[CaseResult]:
    """Return the cases, the worst first."""
    members: dict[str, list[ImageResult]] = {}
    for result in results:
        members.setdefault(result.image.case, []).append(result)
    cases = [
        CaseResult(
            case,
            tuple(sorted({result.image.label for result in of_case})),
            len(of_case),
            sum(result.right for result in of_case),
            np.mean([result.probabilities for result in of_case], axis=0),
        )
        for case, of_case in members.items()
    ]
    return sorted(cases, key=lambda case: (case.right / case.images, -case.images, case.case))


def worst_images(results: Sequence[ImageResult], count: int = 12) -> list[ImageResult]:
    """Return the misclassified images whose true class got the least probability.

    At most two of a case, so that one hard case does not fill the page.
    """
    worst: list[ImageResult] = []
    for result in sorted(results, key=lambda result: (result.truth, result.index)):
        same_case = sum(earlier.image.case == result.image.case for earlier in worst)
        if not result.right and same_case < 2 and len(worst) < count:
            worst.append(result)
    return worst


def write_predictions(path: Path, held_out: HeldOutPredictions, labelled_set: LabelledSet) -> None:
    """Write one row a prediction: path, case, label, fold, repeat, probabilities.

    Probabilities have columns ``p_CLASS``; folds and repeats count from 1.
    """
    classes = labelled_set.classes
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(
            ["path", "region", "case", "source", "magnification", "label", "fold", "repeat"]
            + [f"p_{name}" for name in classes]
        )
        table.writerows(_rows(held_out, labelled_set))


def _rows(held_out: HeldOutPredictions, labelled_set: LabelledSet) -> Iterator[list[str | int]]:
    rows = zip(
        held_out.images, held_out.folds, held_out.repeats, held_out.probabilities, strict=True
    )
    for index, fold, repeat, probabilities in rows:
        image = labelled_set.images[index]
        yield [
            path_text(image.path),
            _region(image),
            image.case,
            image.source,
            image.magnification,
            labelled_set.classes[image.label],
            int(fold) + 1,
            int(repeat) + 1,
            *(f"{value:.6f}" for value in probabilities),
        ]


def _region(image: LabelledImage) -> str:
    """Return a field's place on its slide in level-0 px, ``x y width height``."""
    region = image.region
    return "" if region is None else f"{region.x} {region.y} {region.width} {region.height}"
