"""What a fine-tuning was worth, ready to be shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.finetuning.comparison import Comparison, compare
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.metrics.classification import roc_auc
from napari_smse.models import Model
from napari_smse.progress import run_task
from support.training import mini_model, mini_set


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return mini_model(tmp_path / "models")


@pytest.fixture
def tuning(model: Model, tmp_path: Path) -> FineTuner:
    return FineTuner(
        model,
        mini_set(tmp_path / "data", cases=8, images=6),
        fine_tune_recipe(steps=30, learning_rate=0.02),
    )


def tuned(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


def area_under(found: Comparison, which: int) -> float:
    return float(np.trapezoid(found.curves[which].true, found.curves[which].false))


def test_curves_have_the_area_and_matrices_the_counts_of_what_was_held_out(
    tuning: FineTuner,
) -> None:
    one = tuned(tuning)
    found = compare(tuning, one)
    for which, judged in enumerate((one.before, one.after)):
        held = judged.held_out
        labels = [tuning.labelled_set.images[i].label for i in held.images]
        assert area_under(found, which) == pytest.approx(roc_auc(labels, held.probabilities[:, 1]))
        calls = held.probabilities.argmax(axis=1)
        for truth, call in np.ndindex(2, 2):
            expected = sum(t == truth and c == call for t, c in zip(labels, calls, strict=True))
            assert found.confusions[which][truth, call] == expected
        for rates in found.curves[which]:
            assert rates[0] == 0
            assert rates[-1] == 1
    assert [row[0] for row in found.rows][:2] == ["AUC", "Accuracy"]
    held_out = len(tuning.testing)
    assert found.note.startswith(f"Held out: {held_out} images of 4 cases (benign ")
    assert "No AUC" not in found.note
    # A figure, and its interval.
    assert all(" to " in cell for row in found.rows for cell in row[1:])


def test_too_few_have_no_auc_and_it_is_said_what_is_missing(model: Model, tmp_path: Path) -> None:
    few = FineTuner(model, mini_set(tmp_path / "data"), fine_tune_recipe(steps=3))
    found = compare(few, tuned(few))
    assert found.curves == []
    assert dict((name, after) for name, _, after, _ in found.rows)["AUC"] == "too few"
    assert "No AUC: each class needs 10 images of 2 cases; benign lacks 6 images" in found.note


def test_ties_change_sides_together(tuning: FineTuner) -> None:
    one = tuned(tuning)
    one.after.held_out.logits.zero_()
    rates = compare(tuning, one).curves[1]
    assert rates.false.tolist() == rates.true.tolist() == [0, 1]


def test_more_than_two_classes_have_no_curve(model: Model, tmp_path: Path) -> None:
    data = mini_set(tmp_path / "data", cases=6)
    images = tuple(
        replace(image, label=2) if image.case.endswith(("1", "2", "3")) else image
        for image in data.images
    )
    data = replace(data, classes=("stroma", "tumour", "necrosis"), images=images)
    tuning = FineTuner(model, data, fine_tune_recipe(steps=3))
    found = compare(tuning, tuned(tuning))
    assert found.curves == []
    assert found.confusions[0].shape == (3, 3)
    assert found.confusions[1].sum() == len(tuning.testing)
