"""The AUC at each um/px."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.evaluation.cross_validation import cross_validation
from napari_smse.evaluation.scale_curve import (
    SCALES,
    at_scale,
    held_out_scale_curve,
    scale_curve,
    supports,
)
from napari_smse.training.prediction import Predictor
from support.datasets import NameLearner, random_set

RANGES = {"40X": (0.45, 0.6), "100X": (0.2, 0.6), "200X": (0.2, 0.4), "400X": (0.2, 0.25)}


def ranged(classes: int = 2) -> LabelledSet:
    data = random_set(cases=24, images=8, classes=classes, seed=2)
    images = tuple(replace(one, mpp_range=RANGES[one.magnification]) for one in data.images)
    return replace(data, images=images)


class Knowing:
    """Right at fine scales and guessing at coarse ones."""

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes
        self.asked: dict[float, list[LabelledImage]] = {}

    def __call__(self, images: Sequence[LabelledImage], mpp: float) -> Tensor:
        self.asked[mpp] = list(images)
        rng = np.random.default_rng(round(mpp * 100))
        noise = torch.from_numpy(rng.normal(size=(len(images), self.classes)))
        truth = torch.eye(self.classes)[torch.tensor([one.label for one in images])]
        return noise + truth * (10 if mpp < 0.45 else 0)


def test_each_scale_is_measured_on_the_images_that_support_it() -> None:
    data, knowing = ranged(), Knowing()
    indices = list(range(0, len(data.images), 2))
    points = scale_curve(knowing, data, indices, draws=50)
    assert [point.mpp for point in points] == list(SCALES)
    assert len(SCALES) >= 6
    for point in points:
        expected = [
            data.images[i]
            for i in indices
            if data.images[i].mpp_range[0] <= point.mpp <= data.images[i].mpp_range[1]
        ]
        assert knowing.asked[point.mpp] == expected
        assert point.images == len(expected)
        assert point.cases == len({one.case for one in expected})
        assert point.low <= point.auc <= point.high


class Tied(NameLearner):
    """Right at fine scales and wrong at coarse ones; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(1)
        self.shown: list[list[LabelledImage]] = []

    def __call__(
        self, data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        predict = super().__call__(data, training, validation, seed)

        def tied(images: Sequence[LabelledImage]) -> Tensor:
            self.shown.append(list(images))
            coarse = torch.tensor([one.mpp_range[0] > 0.4 for one in images])
            return torch.where(coarse[:, None], -1, 1) * predict(images)

        return tied


def test_each_image_is_judged_by_the_network_of_its_own_fold_at_the_scale_alone() -> None:
    data, learner = ranged(), Tied()
    done = list(cross_validation(learner, data, 3))
    learner.shown.clear()
    points = list(held_out_scale_curve(done, data, (0.25, 0.5)))
    assert [point.auc for point in points] == [1, 0]
    asked = [image for images in learner.shown for image in images]
    for mpp in (0.25, 0.5):
        found = {image for image in asked if image.mpp_range == (mpp, mpp)}
        assert found == {at_scale(one, mpp) for one in data.images if supports(one, mpp)}
    # Three folds at two scales; a network of another fold would have refused its own cases.
    assert len(learner.shown) == 6


def test_a_network_tied_to_fine_scales_is_found_out() -> None:
    data = ranged()
    points = scale_curve(Knowing(), data, range(len(data.images)), (0.2, 0.4, 0.6), draws=50)
    assert points[0].auc > 0.99
    assert points[1].auc > 0.99
    assert points[2].auc < 0.8


def test_the_same_images_everywhere_if_asked() -> None:
    data = ranged()
    points = scale_curve(Knowing(), data, range(len(data.images)), common=True, draws=20)
    assert len({point.images for point in points}) == 1
    assert points[0].images == sum(one.magnification == "100X" for one in data.images)


def test_of_more_classes_the_mean_is_taken() -> None:
    data = ranged(classes=3)
    (point,) = scale_curve(Knowing(3), data, range(len(data.images)), (0.25,), draws=20)
    assert point.auc > 0.99


def test_one_class_alone_has_no_auc() -> None:
    data = ranged()
    benign = [i for i, one in enumerate(data.images) if one.label == 0]
    (point,) = scale_curve(Knowing(), data, benign, (0.25,))
    assert math.isnan(point.auc)
    assert math.isnan(point.low)
    assert "malignant lacks 10 images and 2 cases" in point.reason
    assert point.images > 0
    (none,) = scale_curve(Knowing(), data, [], (0.25,))
    assert (none.images, none.cases) == (0, 0)


@pytest.mark.parametrize(("mpp", "expected"), [(0.2, True), (0.25, True), (0.19, False), (0.26, 0)])
def test_ends_of_the_range_are_supported(mpp: float, expected: bool) -> None:
    data = ranged()
    image = next(one for one in data.images if one.magnification == "400X")
    assert supports(image, mpp) == expected
