"""How sure a fine-tuned model may be: its temperature and band, by the tiles that were held out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.finetuning.assessment import Assessment
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.metrics.abstention import abstain_band
from napari_smse.metrics.calibration import fit_temperature
from napari_smse.models.card import Undecided

MIN_TILES: Final = 20
"""Of fewer held-out tiles, a temperature says more of chance than of the model."""
MIN_BAND_TILES: Final = 40
MIN_BAND_CASES: Final = 2
TARGET: Final = 0.9
"""Share of what is called that is to be right."""


def calibrated(tuned: FineTuneResult, data: LabelledSet) -> FineTuneResult:
    """Return a fine-tuning that is as sure as it is right on what was held out, and its band.

    Heads that learn from few tiles are surer than they are right. They are made less sure, never
    more: what is held out is often of the slide that was learnt from.

    Parameters
    ----------
    tuned
        Its class head is changed in place.
    data
        The images.
    """
    temperature = held_out_temperature(tuned.after, data)
    after = tuned.after
    if temperature > 1:
        heads = {id(one): one for one in (tuned.network.class_head, _class_head(tuned))}
        for head in heads.values():
            _soften(head, temperature)
        held_out = replace(after.held_out, logits=after.held_out.logits / temperature)
        after = replace(after, held_out=held_out)
    return replace(
        tuned, after=after, temperature=temperature, undecided=held_out_band(after, data)
    )


def held_out_temperature(assessment: Assessment, data: LabelledSet) -> float:
    """Return what to divide logits by so that they are as sure as right; 1 at least."""
    labels = _labels(assessment, data)
    if len(labels) < MIN_TILES:
        return 1.0
    return max(1.0, fit_temperature(assessment.held_out.logits, labels))


def held_out_band(assessment: Assessment, data: LabelledSet) -> Undecided | None:
    """Return the band of two classes in which nothing is called; None if too little was held out.

    Parameters
    ----------
    assessment
        Of the held-out images, after calibration.
    data
        The images; of each class, those of two cases at least have to be among them.
    """
    labels = _labels(assessment, data)
    if len(data.classes) != 2 or len(labels) < MIN_BAND_TILES:
        return None
    images = [data.images[i] for i in assessment.held_out.images.tolist()]
    cases = [{one.case for one in images if one.label == label} for label in (0, 1)]
    if min(map(len, cases)) < MIN_BAND_CASES:
        return None
    weights = [1 / int((labels == one.label).sum()) for one in images]
    found = abstain_band(assessment.held_out.probabilities, labels.numpy(), TARGET, weights=weights)
    return Undecided(
        low=round(found.low, 3),
        high=round(found.high, 3),
        accuracy=None if math.isnan(found.accuracy) else round(found.accuracy, 3),
        coverage=round(found.coverage, 3),
        target=TARGET,
    )


def _labels(assessment: Assessment, data: LabelledSet) -> torch.Tensor:
    return torch.tensor([data.images[i].label for i in assessment.held_out.images.tolist()])


def _class_head(tuned: FineTuneResult) -> nn.Linear:
    return tuned.network.class_head if tuned.heads is None else tuned.heads.class_head


def _soften(head: nn.Linear, temperature: float) -> None:
    with torch.no_grad():
        head.weight.div_(temperature)
        head.bias.div_(temperature)
