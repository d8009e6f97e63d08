"""The AUC at each um/px: magnification independence, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.evaluation.cross_validation import FoldProgress
from napari_smse.metrics.classification import auc_over_present_classes
from napari_smse.metrics.estimate import auc_shortfall
from napari_smse.metrics.summary import predictions_from_scores, with_interval

SCALES: Final = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
"""um/px that are measured by default."""

PredictAt = Callable[[Sequence[LabelledImage], float], Tensor]
"""Images and a um/px to evaluate them at, to logits ``(n, classes)``."""

_ROUNDING = 1e-6


@dataclass(frozen=True)
class ScalePoint:
    """The AUC at one scale.

    Attributes
    ----------
    mpp
        um/px at which the images were evaluated.
    auc, low, high
        AUC over these images, with the 95 % interval from resampling cases; NaN where there are
        too few images. Over more than two classes, the mean one-vs-rest of those that have images.
    images, cases
        Number of those whose pixels support this scale.
    reason
        Why there is no AUC, if there is none.
    """

    mpp: float
    auc: float
    low: float
    high: float
    images: int
    cases: int
    reason: str = ""


def scale_curve(
    predict_at: PredictAt,
    labelled_set: LabelledSet,
    indices: Sequence[int],
    mpps: Sequence[float] = SCALES,
    *,
    common: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> list[ScalePoint]:
    """Measure the AUC at each scale, over the images whose pixels support it.

    Parameters
    ----------
    predict_at
        Predictor that never learnt from a case of these images.
    labelled_set, indices
        The images to evaluate.
    mpps
        Scales, um/px.
    common
        Only images that support all the scales, so that every point is about the same ones.
    draws, seed
        Number of bootstrap draws, and their seed.
    """
    images = [labelled_set.images[i] for i in indices]
    if common:
        images = [image for image in images if all(supports(image, mpp) for mpp in mpps)]
    return [
        _point(
            predict_at,
            [image for image in images if supports(image, mpp)],
            labelled_set.classes,
            mpp,
            draws,
            seed,
        )
        for mpp in mpps
    ]


def supports(image: LabelledImage, mpp: float) -> bool:
    """Tell whether an image's pixels support a scale, um/px."""
    finest, coarsest = image.mpp_range
    return finest - _ROUNDING <= mpp <= coarsest + _ROUNDING


def at_scale(image: LabelledImage, mpp: float) -> LabelledImage:
    """Return the image as one that is evaluated at a um/px alone."""
    return replace(image, mpp_range=(mpp, mpp))


def _point(
    predict_at: PredictAt,
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    mpp: float,
    draws: int,
    seed: int,
) -> ScalePoint:
    cases = [image.case for image in images]
    labels = np.array([image.label for image in images], dtype=np.int64)
    reason = _too_few(labels, cases, classes)
    if reason:
        nan = float("nan")
        return ScalePoint(float(mpp), nan, nan, nan, len(images), len(set(cases)), reason)
    with torch.inference_mode():
        logits = predict_at(images, mpp).double().cpu()
        probabilities = torch.softmax(logits, dim=1).numpy()
    predictions = predictions_from_scores(probabilities, labels, cases)
    auc = with_interval(auc_over_present_classes, predictions, draws=draws, seed=seed)
    value, low, high = (
        float("nan") if bound is None else bound for bound in (auc.value, auc.low, auc.high)
    )
    return ScalePoint(float(mpp), value, low, high, len(images), len(set(cases)))


def _too_few(labels: NDArray[np.int64], cases: Sequence[str], classes: Sequence[str]) -> str:
    """Return what is missing for an AUC over the classes that have images, of which two must."""
    present = np.unique(labels)
    if len(present) < 2:
        return auc_shortfall(labels, cases, classes, "images")
    names = [classes[label] for label in present.tolist()]
    return auc_shortfall(np.searchsorted(present, labels), cases, names, "images")


def held_out_scale_curve(
    folds: Sequence[FoldProgress], labelled_set: LabelledSet, mpps: Sequence[float] = SCALES
) -> Iterator[ScalePoint]:
    """Measure each scale, every image by the network of its own held-out fold, and yield it.

    Parameters
    ----------
    folds
        Folds of one cross-validation; an image tested in several is evaluated by the last.
    labelled_set
        The images that were cross-validated.
    mpps
        Scales, um/px.
    """
    fold_of = {int(i): fold for fold in folds for i in fold.fold.test}
    position = {labelled_set.images[i]: i for i in fold_of}

    def predict_at(images: Sequence[LabelledImage], mpp: float) -> Tensor:
        logits: dict[LabelledImage, Tensor] = {}
        for fold in folds:
            in_fold = [image for image in images if fold_of[position[image]] is fold]
            if in_fold:
                fold_logits = fold.predictor([at_scale(image, mpp) for image in in_fold])
                logits.update(zip(in_fold, fold_logits, strict=True))
        return torch.stack([logits[image] for image in images])

    for mpp in mpps:
        yield from scale_curve(predict_at, labelled_set, sorted(fold_of), [mpp])
