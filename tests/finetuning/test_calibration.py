"""A fine-tuned model is no surer than it is right on what was held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.finetuning.assessment import Assessment
from napari_smse.finetuning.calibration import (
    calibrated,
    held_out_band,
    held_out_temperature,
)
from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.metrics.calibration import expected_calibration_error
from napari_smse.metrics.predictions import HeldOutPredictions
from support.training import mini_network, mini_set


@pytest.fixture
def data(tmp_path: Path) -> LabelledSet:
    """60 images of 6 cases, half of them of either class."""
    made = mini_set(tmp_path, cases=6)
    images = [
        replace(made.images[0], path=tmp_path / f"{n}.png", label=n % 2, case=f"{n % 6}")
        for n in range(60)
    ]
    return replace(made, images=tuple(images))


def assessment(data: LabelledSet, *, sure: float, wrong: int, images: int = 60) -> Assessment:
    """As sure of all images, of which some are called wrongly."""
    labels = np.array([image.label for image in data.images[:images]])
    called = labels.copy()
    called[:wrong] = 1 - called[:wrong]
    logits = np.zeros((images, 2))
    logits[np.arange(images), called] = sure
    held_out = HeldOutPredictions.from_fold(np.arange(images), torch.from_numpy(logits))
    return Assessment(held_out, {}, ())


def result(found: Assessment, *, heads: bool) -> FineTuneResult:
    network = mini_network()
    own = EmbeddingHeads(network.class_head) if heads else None
    return FineTuneResult(network, found, found, None, None, own)


@pytest.mark.parametrize("heads", [True, False])
def test_what_is_too_sure_is_softened_everywhere(data: LabelledSet, heads: bool) -> None:
    tuned = result(assessment(data, sure=8.0, wrong=12), heads=heads)
    before = {name: value.clone() for name, value in tuned.network.state_dict().items()}
    labels = [image.label for image in data.images]
    assert expected_calibration_error(tuned.after.held_out.probabilities, labels) > 0.15
    found = calibrated(tuned, data)
    assert found.temperature > 3
    assert expected_calibration_error(found.after.held_out.probabilities, labels) < 0.02
    heads_now = [found.network.class_head] + ([found.heads.class_head] if heads else [])
    for head in heads_now:
        torch.testing.assert_close(
            head.weight * found.temperature, before["class_head.weight"], rtol=1e-4, atol=1e-6
        )
    # What was called stays.
    assert (found.after.held_out.logits.argmax(1) == tuned.after.held_out.logits.argmax(1)).all()
    torch.testing.assert_close(
        found.network.embedding_head.weight, before["embedding_head.weight"], rtol=0, atol=0
    )


def test_nothing_is_made_surer(data: LabelledSet) -> None:
    tuned = result(assessment(data, sure=0.2, wrong=0), heads=True)
    assert held_out_temperature(tuned.after, data) == 1.0
    assert calibrated(tuned, data).after is tuned.after


def test_a_few_held_out_tiles_tell_nothing(data: LabelledSet) -> None:
    assert held_out_temperature(assessment(data, sure=8.0, wrong=6, images=12), data) == 1.0


def test_the_band_is_of_two_cases_a_class_at_least(data: LabelledSet) -> None:
    found = assessment(data, sure=2.0, wrong=3)
    band = held_out_band(found, data)
    assert band is not None
    assert band.accuracy == pytest.approx(0.95)
    assert (band.target, band.coverage) == (0.9, 1.0)
    alone = tuple(replace(image, case=f"{image.label}") for image in data.images)
    assert held_out_band(found, replace(data, images=alone)) is None
    assert held_out_band(assessment(data, sure=2.0, wrong=1, images=30), data) is None
    assert held_out_band(found, replace(data, classes=("a", "b", "c"))) is None


def test_nothing_is_called_where_too_much_is_wrong(data: LabelledSet) -> None:
    band = held_out_band(assessment(data, sure=2.0, wrong=20), data)
    assert band is not None
    assert (band.low, band.high, band.accuracy) == (0.0, 1.0, None)
