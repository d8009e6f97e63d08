"""Comparison of a model before and after fine-tuning: metrics, confusions, ROC curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.evaluation.report.tables import shown
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.saving import differences, estimates
from napari_smse.metrics.estimate import counted
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, positive_class

_METRIC_NAMES: Final = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
}


class Rates(NamedTuple):
    """A ROC curve: the rates at every threshold, from calling none positive to calling all.

    Attributes
    ----------
    false, true
        ``(n,)``, rising from 0 to 1.
    """

    false: NDArray[np.float64]
    true: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A model before and after fine-tuning, ready to be shown.

    Attributes
    ----------
    rows
        Figure, before, after, difference.
    classes
        Names.
    confusions
        Before and after, ``(classes, classes)`` counts: rows are the truth, columns the calls.
    curves
        Before and after; none with more than two classes.
    note
        How many tiles the figures are of, why there is no AUC if there is none, and what became of
        what the model knew.
    """

    rows: Sequence[tuple[str, str, str, str]]
    classes: Sequence[str]
    confusions: tuple[NDArray[np.int64], NDArray[np.int64]]
    curves: Sequence[Rates] = ()
    note: str = ""


def compare(tuning: FineTuner, tuned: FineTuneResult) -> Comparison:
    """Compare before and after a fine-tuning; takes a moment, as intervals are bootstrapped."""
    classes = tuning.labelled_set.classes
    before, after = tuned.before.held_out, tuned.after.held_out
    curves = [_curve(tuning, held_out) for held_out in (before, after)] if len(classes) == 2 else []
    confusions = _confusion(tuning, before), _confusion(tuning, after)
    if auc_reason(tuning, before):
        curves = []
    return Comparison(_rows(tuning, tuned), classes, confusions, curves, _note(tuning, tuned))


def describe_held_out(tuning: FineTuner, tuned: FineTuneResult) -> str:
    """Say how many tiles of how many cases the figures are of, and why there is no AUC, if so."""
    images = tuning.labelled_set.select(tuning.testing)
    unit = "tiles" if any(image.region for image in images) else "images"
    by_class = [
        [image.case for image in images if image.label == label]
        for label in range(len(tuning.labelled_set.classes))
    ]
    parts = [
        f"{name} {len(cases):,} of {counted(len(set(cases)), 'cases')}"
        for name, cases in zip(tuning.labelled_set.classes, by_class, strict=True)
    ]
    cases = len({image.case for image in images})
    text = f"Held out: {counted(len(images), unit)} of {counted(cases, 'cases')}"
    sentences = [f"{text} ({', '.join(parts)})."]
    if unit == "tiles":
        sentences.append("Tiles of several scales at one place count once.")
    reason = auc_reason(tuning, tuned.after.held_out)
    if reason:
        sentences.append(f"No AUC: {reason}.")
    if cases < 2:
        sentences.append("No interval can be told from one case.")
    return " ".join(sentences)


def auc_reason(tuning: FineTuner, held_out: HeldOutPredictions) -> str:
    """Return what is missing for an AUC of what was held out; empty if nothing is."""
    return estimate(held_out, tuning.labelled_set, "auc", draws=1).reason


def _rows(tuning: FineTuner, tuned: FineTuneResult) -> list[tuple[str, str, str, str]]:
    before, after = (
        estimates(tuning, assessment.held_out) for assessment in (tuned.before, tuned.after)
    )
    change = differences(tuning, tuned)
    rows = [
        (
            label,
            shown(before[name], form=".2f"),
            shown(after[name], form=".2f"),
            shown(change[name], form="+.2f"),
        )
        for name, label in _METRIC_NAMES.items()
    ]
    then, since = tuned.before.recall, tuned.after.recall_since(tuned.before)
    for k, now in tuned.after.recall.items():
        figures = shown(then[k], form=".2f"), shown(now, form=".2f"), shown(since[k], form="+.2f")
        rows.append((f"Recall@{k}", *figures))
    return rows


def _confusion(tuning: FineTuner, held_out: HeldOutPredictions) -> NDArray[np.int64]:
    classes = len(tuning.labelled_set.classes)
    truth = [tuning.labelled_set.images[i].label for i in held_out.images]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (truth, held_out.probabilities.argmax(axis=1)), 1)
    return counts


def _curve(tuning: FineTuner, held_out: HeldOutPredictions) -> Rates:
    data = tuning.labelled_set
    positive = positive_class(data.classes)
    score = held_out.probabilities[:, positive]
    truth = np.array([data.images[i].label == positive for i in held_out.images])
    order = np.argsort(-score, kind="stable")
    # Tiles with the same score change sides together.
    last = np.append(np.diff(score[order]) != 0, True)
    rates = []
    for marked in (~truth, truth):
        reached = np.cumsum(marked[order])[last] / max(1, marked.sum())
        rates.append(np.concatenate([[0.0], reached]))
    return Rates(*rates)


def _note(tuning: FineTuner, tuned: FineTuneResult) -> str:
    sentences = [describe_held_out(tuning, tuned)]
    if tuned.exemplar_accuracy is not None:
        before, after = tuned.exemplar_accuracy
        sentences.append(
            f"Accuracy on the model's own exemplars (n = {after.n:,}): "
            f"{shown(before, form='.2f')} before, {shown(after, form='.2f')} now."
        )
    if tuned.constraints_satisfied is not None:
        held, hold, links = tuned.constraints_satisfied
        sentences.append(f"Of {links} links between tiles, {held} held before, {hold} hold now.")
    return " ".join(sentences)
