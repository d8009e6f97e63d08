"""Figures of held-out predictions: values, intervals and differences."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from napari_smse.errors import DataError
from napari_smse.metrics.bootstrap import bootstrap_counts
from napari_smse.metrics.classification import METRICS, roc_auc
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.metrics.summary import (
    ALL,
    estimate,
    paired_difference,
    positive_class,
    predictions_from_held_out,
    predictions_from_scores,
    summarise,
    with_interval,
)
from support.datasets import image, labelled_set, random_held_out, random_set


def case_bootstrap(metric, labels, scores, cases, draws, seed) -> tuple[float, float]:
    """The interval by a loop: of each kind of cases as many are drawn as there are."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    members, kinds = defaultdict(list), defaultdict(list)
    for index, case in enumerate(cases):
        members[case].append(index)
    for rows in members.values():
        kinds[tuple(np.unique(truth[rows]))].append(rows)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        picked = [
            some[i] for some in kinds.values() for i in rng.integers(len(some), size=len(some))
        ]
        rows = np.concatenate(picked)
        found.append(metric(truth[rows], values[rows]))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def test_the_interval_resamples_cases_not_images() -> None:
    rng = np.random.default_rng(0)
    cases = [f"{kind}{i}" for kind in "bm" for i in range(8) for _ in range(30)]
    labels = np.array([int(case[0] == "m") for case in cases])
    of_case = {case: rng.normal() for case in dict.fromkeys(cases)}
    scores = np.array([of_case[case] for case in cases]) + labels
    probabilities = np.stack([-scores, scores], axis=1)
    by_case, by_image = (
        with_interval(
            METRICS["auc"], predictions_from_scores(probabilities, labels, some), draws=300
        )
        for some in (cases, [str(i) for i in range(480)])
    )
    assert by_case.high - by_case.low > 2 * (by_image.high - by_image.low)
    assert by_case.low <= by_case.value <= by_case.high


def test_the_bootstrap_draws_what_the_plain_one_draws() -> None:
    data = random_set(14, seed=2)
    held_out = random_held_out(data)
    labels = [one.label for one in data.images]
    cases = [one.case for one in data.images]
    plain = case_bootstrap(roc_auc, labels, held_out.probabilities[:, 1], cases, 200, 7)
    found = estimate(held_out, data, "auc", draws=200, seed=7)
    assert (found.low, found.high) == pytest.approx(plain)
    assert found.value == pytest.approx(roc_auc(labels, held_out.probabilities[:, 1]))


def test_case_draws_draw_as_many_cases_of_each_kind_as_there_are() -> None:
    data = random_set(11)
    judged = predictions_from_held_out(random_held_out(data), data)
    draws = bootstrap_counts(judged, 50)
    label_of = np.array([judged.labels[judged.cases == case][0] for case in range(11)])
    assert (draws[:, label_of == 0].sum(axis=1) == (label_of == 0).sum()).all()
    assert (draws[:, label_of == 1].sum(axis=1) == (label_of == 1).sum()).all()
    assert len(np.unique(draws, axis=0)) > 40


def test_a_difference_to_itself_is_nothing() -> None:
    data = random_set()
    one = random_held_out(data)
    found = paired_difference(one, one, data, "auc", draws=50)
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("metric", ["auc", "accuracy", "patient_recognition_rate"])
def test_a_difference_resamples_the_same_cases_for_both(metric: str) -> None:
    data = random_set(16, seed=4)
    good, bad = random_held_out(data, skill=3, seed=1), random_held_out(data, skill=0.3, seed=2)
    found = paired_difference(good, bad, data, metric, draws=60, seed=3)
    judged = [predictions_from_held_out(one, data) for one in (good, bad)]
    looped = []
    for drawn in bootstrap_counts(judged[0], 60, seed=3):
        rows = np.repeat(np.arange(len(good)), drawn[judged[0].cases])
        values = [slow_metric(metric, one, rows) for one in judged]
        looped.append(values[0] - values[1])
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(looped, [2.5, 97.5])))
    assert found.low > 0


def slow_metric(metric: str, one: object, rows: np.ndarray) -> float:
    labels, scores = one.labels[rows], one.probabilities[rows]
    if metric == "auc":
        return roc_auc(labels, scores[:, 1])
    if metric == "accuracy":
        return float(np.mean(scores.argmax(axis=1) == labels))
    # A case drawn twice counts twice, so each image weighs one over its case's images.
    sizes = np.bincount(one.cases)[one.cases[rows]]
    return float(np.average(one.right[rows], weights=1 / sizes))


def test_the_order_of_folds_does_not_matter_to_a_difference() -> None:
    data = random_set()
    one, other = random_held_out(data, seed=1), random_held_out(data, seed=2)
    turned = one.part(np.full(len(one), True))
    order = np.random.default_rng(0).permutation(len(one))
    turned = HeldOutPredictions(
        one.images[order], one.logits[order.tolist()], one.folds[order], one.repeats[order]
    )
    assert paired_difference(one, other, data, "auc", draws=30) == paired_difference(
        turned, other, data, "auc", draws=30
    )


def test_other_images_cannot_be_compared() -> None:
    data = random_set()
    one = random_held_out(data)
    with pytest.raises(DataError, match="only on the same images"):
        paired_difference(one, one.part(one.folds > 0), data, "auc")


def test_a_summary_has_every_magnification_and_all() -> None:
    data = random_set(16, seed=1)
    held_out = random_held_out(data, repeats=2)
    found = summarise(held_out, data, draws=40)
    assert [row.magnification for row in found.magnifications] == [
        "40X",
        "100X",
        "200X",
        "400X",
        ALL,
    ]
    assert (found.images, found.cases, found.positive) == (len(data.images), 16, "malignant")
    every = found.magnifications[-1]
    assert every.images == sum(row.images for row in found.magnifications[:-1])
    accuracies = [
        held_out.part((held_out.folds == fold) & (held_out.repeats == repeat))
        for repeat in (0, 1)
        for fold in range(3)
    ]
    by_fold = [share_right(part, data) for part in accuracies]
    assert every.accuracy_by_fold.mean == pytest.approx(np.mean(by_fold))
    assert every.accuracy_by_fold.std == pytest.approx(np.std(by_fold, ddof=1))
    assert every.accuracy_by_fold.folds == 6


def share_right(held_out: HeldOutPredictions, data: object) -> float:
    labels = [data.images[i].label for i in held_out.images]
    return float(np.mean(held_out.logits.argmax(dim=1).numpy() == labels))


def test_intervals_hold_their_values() -> None:
    data = random_set(16)
    found = summarise(random_held_out(data), data, draws=200)
    for name in ("auc", "accuracy", "patient_recognition_rate", "brier", "sensitivity"):
        one = found.estimates[name]
        assert one.low <= one.value <= one.high
        assert one.low < one.high


def test_several_classes_have_figures_too() -> None:
    data = random_set(15, classes=3)
    found = summarise(random_held_out(data, skill=4), data, draws=40)
    assert found.positive == ""
    assert found.estimates["auc"].value > 0.9
    assert found.estimates["accuracy"].value > 0.8
    assert found.estimates["sensitivity"].value is None
    assert found.magnifications[-1].patient_by_fold.mean > 0.8


def test_one_class_gives_no_auc_but_valid_json() -> None:
    data = labelled_set([image(str(i), 1, f"{i}.png") for i in range(6)])
    found = summarise(HeldOutPredictions.from_fold(range(6), torch.randn(6, 2)), data, draws=20)
    assert found.estimates["auc"].value is None
    assert found.estimates["accuracy"].value is not None
    assert "NaN" not in json.dumps(asdict(found), allow_nan=False)


def test_one_case_gives_no_interval() -> None:
    data = labelled_set([image("only", i % 2, f"{i}.png") for i in range(6)])
    held_out = HeldOutPredictions.from_fold(range(6), torch.randn(6, 2))
    found = estimate(held_out, data, "accuracy", draws=20)
    assert found.value is not None
    assert (found.low, found.high, found.n, found.cases) == (None, None, 6, 1)


@pytest.mark.parametrize(
    ("images", "cases", "reason"),
    [
        (10, 2, ""),
        (9, 2, "each class needs 10 images of 2 cases; benign lacks 1 image"),
        (10, 1, "each class needs 10 images of 2 cases; benign lacks 1 case"),
    ],
)
def test_too_few_have_no_auc_nor_a_difference_of_it(images, cases, reason) -> None:
    """Of benign images; of malignant ones there are enough."""
    made = [image(f"b{i % cases}", 0, f"b{i}.png") for i in range(images)]
    made += [image(f"m{i % 3}", 1, f"m{i}.png") for i in range(12)]
    data = labelled_set(made)
    one, other = random_held_out(data), random_held_out(data, seed=1)
    found = [
        estimate(one, data, "auc", draws=20),
        paired_difference(one, other, data, "auc", draws=20),
        summarise(one, data, draws=20).estimates["auc"],
        summarise(random_held_out(data, repeats=3), data, draws=20).estimates["auc"],
    ]
    for figure in found:
        assert (figure.value is None) == bool(reason)
        assert figure.reason == reason
        assert (figure.n, figure.cases) == (images + 12, cases + 3)
    assert estimate(one, data, "accuracy", draws=20).value is not None


def test_nothing_predicted_is_an_error() -> None:
    data = random_set()
    with pytest.raises(DataError, match="No image was predicted"):
        summarise(HeldOutPredictions.from_fold([], torch.empty(0, 2)), data)


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("benign", "malignant"), 1),
        (("malignant", "normal"), 0),
        (("cancer", "Non-cancer"), 0),
        (("Tumour", "Benign lesion"), 0),
        (("A", "B"), 1),
    ],
)
def test_the_positive_class_is_not_the_harmless_one(
    classes: tuple[str, str], positive: int
) -> None:
    assert positive_class(classes) == positive


def test_sensitivity_is_about_the_positive_class_wherever_it_stands() -> None:
    data = labelled_set([image(str(i), int(i % 8 < 6), f"{i}.png") for i in range(40)])
    logits = torch.tensor([[0.0, 1.0]] * 5 + [[1.0, 0.0]] * 2 + [[0.0, 1.0]]).repeat(5, 1)
    one = HeldOutPredictions.from_fold(range(40), logits)
    assert estimate(one, data, "sensitivity", draws=10).value == pytest.approx(5 / 6)
    assert estimate(one, data, "specificity", draws=10).value == pytest.approx(1 / 2)
    turned = replace(
        data,
        classes=("malignant", "benign"),
        images=tuple(replace(one, label=1 - one.label) for one in data.images),
    )
    other = HeldOutPredictions.from_fold(range(40), logits.flip(1))
    assert estimate(other, turned, "sensitivity", draws=10).value == pytest.approx(5 / 6)
    assert estimate(one, data, "auc", draws=10).value is not None
    assert estimate(other, turned, "auc", draws=10) == estimate(one, data, "auc", draws=10)


def test_held_out_parts_join_in_order() -> None:
    parts = [
        HeldOutPredictions.from_fold([3, 1], torch.ones(2, 2), 0),
        HeldOutPredictions.from_fold([2], torch.zeros(1, 2), 1, 4),
    ]
    whole = join(parts)
    assert whole.images.tolist() == [3, 1, 2]
    assert whole.folds.tolist() == [0, 0, 1]
    assert whole.repeats.tolist() == [0, 0, 4]
    assert math.isclose(whole.probabilities.sum(), 3)
    with pytest.raises(ValueError, match="do not fit together"):
        HeldOutPredictions(np.array([1, 2]), torch.ones(1, 2), np.array([0, 0]), np.array([0, 0]))
