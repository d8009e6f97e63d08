"""Case-grouped cross-validation on one source, others joining every training side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.learning.activations import Activations, Tail
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.learning.metrics import (
    Metric,
    auc,
    balanced_accuracy,
    case_bootstrap,
    within_auc,
)
from napari_smse.learning.sampling import BalancedBatches
from napari_smse.learning.splits import case_folds
from napari_smse.learning.start import start_embedding
from napari_smse.learning.trainer import Recipe, predict, train_tail

_log = logging.getLogger(__name__)
NewTail = Callable[[], Tail]


class Estimate(NamedTuple):
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOut:
    """Held-out logits of images, each predicted by a network that saw none of its case.

    Attributes
    ----------
    records
        ``(n,)`` record indices.
    logits
        ``(n, classes)``, mean over an image's plain crops.
    folds
        ``(n,)`` fold of each image.
    """

    records: NDArray[np.int64]
    logits: Tensor
    folds: NDArray[np.int64]


def crop_labels(records: Sequence[LabelledImage], activations: Activations) -> Tensor:
    """Return the class index of each crop."""
    return torch.tensor([records[i].label for i in activations.record])


def fit(
    new_tail: NewTail,
    records: Sequence[LabelledImage],
    activations: Activations,
    allowed: NDArray[np.bool_],
    recipe: Recipe,
    *,
    source_weights: dict[str, float] | None = None,
    seed: int = 0,
) -> Tail:
    """Train a fresh tail on all crops of the `allowed` records."""
    rows = np.flatnonzero(allowed[activations.record])
    torch.manual_seed(seed)
    tail = new_tail()
    _start(tail, activations, rows)
    batches = BalancedBatches(
        records, activations.record[rows], source_weights=source_weights, seed=seed
    )
    picked = (rows[batch] for batch in batches)
    train_tail(tail, activations, crop_labels(records, activations), picked, recipe)
    return tail


def _start(tail: Tail, activations: Activations, rows: NDArray[np.int64]) -> None:
    """Start the embedding from up to 4,000 of the crops that may be learnt from."""
    tail.eval()
    some = rows[:: max(1, len(rows) // 4000)]
    with torch.inference_mode():
        features = torch.cat(
            [tail.features(activations.values[part].float()) for part in np.array_split(some, 16)]
        )
    start_embedding(tail.network, features.clone())


def judge(
    tail: Tail, activations: Activations, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Tensor]:
    """Return the `wanted` records that have plain crops, and their mean logits."""
    rows = np.flatnonzero(activations.plain & wanted[activations.record])
    logits = predict(tail, activations, torch.from_numpy(rows)).logits
    return image_means(activations.record[rows], logits)


def image_means(record: NDArray[np.int64], values: Tensor) -> tuple[NDArray[np.int64], Tensor]:
    """Average crops' values over each image."""
    images, group = np.unique(record, return_inverse=True)
    total = torch.zeros(len(images), values.shape[1])
    total.index_add_(0, torch.from_numpy(group), values)
    return images, total / torch.from_numpy(np.bincount(group)).float()[:, None]


def source_folds(
    records: Sequence[LabelledImage], source: str, folds: int = 5
) -> NDArray[np.int64]:
    """Return the case-grouped fold of each of the source's records, and -1 for all others."""
    inside = np.array([record.source == source for record in records])
    own = [record for record in records if record.source == source]
    fold_of = np.full(len(records), -1)
    fold_of[inside] = case_folds([r.case for r in own], [r.label for r in own], folds)
    return fold_of


def cross_validate(
    new_tail: NewTail,
    records: Sequence[LabelledImage],
    activations: Activations,
    recipe: Recipe,
    *,
    source: str = "breakhis",
    joining: Sequence[str] = (),
    folds: int = 5,
    seed: int = 0,
) -> HeldOut:
    """Hold out each fold of `source` in turn; the sources `joining` are always learnt from."""
    fold_of = source_folds(records, source, folds)
    joins = of_sources(records, joining)
    found = []
    for fold in range(folds):
        allowed = joins | ((fold_of >= 0) & (fold_of != fold))
        tail = fit(new_tail, records, activations, allowed, recipe, seed=seed)
        images, logits = judge(tail, activations, fold_of == fold)
        found.append((images, logits))
        labels = [records[i].label for i in images]
        _log.info("fold %d: AUC %.3f", fold, auc(labels, logits[:, 1] - logits[:, 0]))
    images = np.concatenate([images for images, _ in found])
    return HeldOut(images, torch.cat([logits for _, logits in found]), fold_of[images])


def leave_source_out(
    new_tail: NewTail,
    records: Sequence[LabelledImage],
    activations: Activations,
    recipe: Recipe,
    source: str,
    *,
    trained_on: Sequence[str],
    seed: int = 0,
) -> HeldOut:
    """Train on the sources `trained_on` and judge all images of `source`.

    Raises
    ------
    ValueError
        `source` is among those trained on.
    """
    if source in trained_on:
        raise ValueError(f"{source} cannot be judged by a network trained on it.")
    allowed = of_sources(records, trained_on)
    tail = fit(new_tail, records, activations, allowed, recipe, seed=seed)
    images, logits = judge(tail, activations, of_sources(records, [source]))
    return HeldOut(images, logits, np.zeros(len(images), dtype=np.int64))


def of_sources(records: Sequence[LabelledImage], names: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the records of some sources."""
    return np.array([record.source in names for record in records])


def summarise(held_out: HeldOut, records: Sequence[LabelledImage]) -> dict[str, Estimate]:
    """Return AUC, AUC within strata and balanced accuracy, with case-bootstrap intervals.

    ``"auc by fold"`` is the mean over folds, with the smallest and the largest.
    """
    labels = np.array([records[i].label for i in held_out.records])
    cases = [records[i].case for i in held_out.records]
    scores = torch.softmax(held_out.logits, dim=1)[:, 1].numpy()
    strata = np.unique([records[i].stratum for i in held_out.records], return_inverse=True)[1]

    # The bootstrap resamples rows, so scores carry their stratum as a second column.
    paired = np.stack([scores, strata], axis=1)
    metrics: dict[str, Metric] = {
        "auc": lambda y, s: auc(y, s[:, 0]),
        "auc within magnification": lambda y, s: within_auc(y, s[:, 0], s[:, 1]),
        "balanced accuracy": lambda y, s: balanced_accuracy(y, s[:, 0]),
    }
    found = {
        name: Estimate(metric(labels, paired), *case_bootstrap(metric, labels, paired, cases))
        for name, metric in metrics.items()
    }
    by_fold = [
        auc(labels[held_out.folds == fold], scores[held_out.folds == fold])
        for fold in np.unique(held_out.folds)
    ]
    found["auc by fold"] = Estimate(float(np.mean(by_fold)), min(by_fold), max(by_fold))
    return found
