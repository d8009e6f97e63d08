"""Per-image and per-case tables."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.metrics.per_case import (
    case_results,
    image_results,
    worst_images,
    write_predictions,
)
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.slides import Region
from support.datasets import image, labelled_set, random_held_out, random_set


def test_an_image_is_judged_once_by_the_mean_of_its_repeats() -> None:
    data = labelled_set([image("a", 0, "a.png"), image("b", 1, "b.png")])
    probabilities = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.2, 0.8]])
    held_out = HeldOutPredictions(
        np.array([0, 1, 0, 1]), probabilities.log(), np.zeros(4, int), np.array([0, 0, 1, 1])
    )
    first, second = image_results(held_out, data)
    assert first.probabilities == pytest.approx([0.55, 0.45])
    assert (first.right, first.called) == (True, 0)
    assert second.truth == pytest.approx(0.7)


def test_cases_come_worst_first() -> None:
    data = labelled_set([image(case, 0, f"{i}.png") for i, case in enumerate("aabbb")])
    called = torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0], [1, 0]])
    held_out = HeldOutPredictions(np.arange(5), called, np.zeros(5, int), np.zeros(5, int))
    cases = case_results(image_results(held_out, data))
    assert [(case.case, case.images, case.right) for case in cases] == [
        ("made up a", 2, 1),
        ("made up b", 3, 3),
    ]


def test_the_most_wrong_are_wrong_and_not_all_of_one_case() -> None:
    data = random_set(12, images=12)
    judged = image_results(random_held_out(data, skill=0), data)
    found = worst_images(judged, 8)
    assert len(found) == 8
    assert not any(one.right for one in found)
    assert [one.truth for one in found] == sorted(one.truth for one in found)
    cases = [one.image.case for one in found]
    assert max(cases.count(case) for case in cases) <= 2
    worst = min((one for one in judged if not one.right), key=lambda one: one.truth)
    assert found[0].truth == worst.truth


def test_every_prediction_is_a_row_of_the_table(tmp_path: Path) -> None:
    data = random_set(6)
    fields = (replace(data.images[0], region=Region(3, 4, 50, 60)), *data.images[1:])
    data = replace(data, images=fields)
    held_out = random_held_out(data, repeats=2)
    write_predictions(tmp_path / "h.csv", held_out, data)
    with (tmp_path / "h.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(held_out)
    assert rows[0]["region"] == "3 4 50 60"
    assert rows[1]["region"] == ""
    for row, index, fold, repeat, values in zip(
        rows,
        held_out.images,
        held_out.folds,
        held_out.repeats,
        held_out.probabilities,
        strict=True,
    ):
        one = data.images[index]
        assert (row["path"], row["case"]) == (str(one.path), one.case)
        assert row["label"] == data.classes[one.label]
        assert (int(row["fold"]), int(row["repeat"])) == (fold + 1, repeat + 1)
        assert float(row["p_malignant"]) == pytest.approx(values[1], abs=1e-6)
