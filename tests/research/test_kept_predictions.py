"""Predictions that are kept, so that nothing is trained for them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.training.prediction import Predictor
from research.bundled.kept_predictions import keeping_predictions, read_predictions
from support.training import two_sources


class Learner:
    """Counts how often it learns, and what it is asked."""

    def __init__(self) -> None:
        self.learnt = 0
        self.asked: list[int] = []

    def __call__(
        self, data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        self.learnt += 1

        def predict(images: Sequence[LabelledImage]) -> Tensor:
            self.asked.append(len(images))
            return torch.tensor([[image.mpp_range[0], image.label + seed] for image in images])

        return predict


def of_source(data: LabelledSet, source: str) -> tuple[list[int], list[LabelledImage]]:
    """Indices of all others, and the images of a source."""
    others = [i for i, image in enumerate(data.images) if image.source != source]
    return others, [image for image in data.images if image.source == source]


def test_only_what_is_missing_is_predicted(tmp_path: Path) -> None:
    data, learner = two_sources(tmp_path), Learner()
    training, images = of_source(data, "one")
    keeping = keeping_predictions(learner, "a", tmp_path / "kept", tmp_path)
    first = keeping(data, training, [], 3)(images[:2])
    again = keeping(data, training, [], 3)(images)
    assert torch.equal(again[:2], first)
    assert again.tolist() == [[pytest.approx(0.4), image.label + 3] for image in images]
    keeping(data, training, [], 3)(images[::-1])
    assert learner.learnt == 2
    assert learner.asked == [2, len(images) - 2]


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_what_is_missing_is_learnt_where_gradients_are_off(
    tmp_path: Path, without: Callable[[], AbstractContextManager[None]]
) -> None:
    data = two_sources(tmp_path)
    training, images = of_source(data, "one")
    weight = torch.zeros(2, requires_grad=True)

    def learn(
        data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        (weight - 1).square().sum().backward()
        return lambda images: torch.zeros(len(images), 2)

    predict = keeping_predictions(learn, "a", tmp_path / "kept", tmp_path)(data, training, [], 0)
    with without():
        predict(images)
    assert weight.grad is not None


def test_another_scale_is_another_prediction(tmp_path: Path) -> None:
    data, learner = two_sources(tmp_path), Learner()
    training, images = of_source(data, "one")
    predict = keeping_predictions(learner, "a", tmp_path / "kept", tmp_path)(data, training, [], 0)
    predict(images)
    coarse = predict([replace(image, mpp_range=(0.6, 0.6)) for image in images])
    assert coarse[:, 0].tolist() == pytest.approx([0.6] * len(images))


@pytest.mark.parametrize("change", ["recipe", "images", "labels"])
def test_another_training_is_refused(tmp_path: Path, change: str) -> None:
    data = two_sources(tmp_path)
    training, images = of_source(data, "one")
    keeping_predictions(Learner(), "a", tmp_path / "kept", tmp_path)(data, training, [], 0)(images)
    if change == "labels":
        flipped = tuple(replace(image, label=1 - image.label) for image in data.images)
        data = replace(data, images=flipped)
    learner = keeping_predictions(
        Learner(), "b" if change == "recipe" else "a", tmp_path / "kept", tmp_path
    )
    with pytest.raises(RuntimeError, match="of another training"):
        learner(data, training[: len(training) - (change == "images")], [], 0)


def test_the_data_folder_may_lie_elsewhere(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        data, learner = two_sources(tmp_path / place), Learner()
        training, images = of_source(data, "one")
        kept = keeping_predictions(learner, "a", tmp_path / "kept", tmp_path / place)
        kept(data, training, [], 0)(images)
        assert learner.learnt == (place == "here")


def test_seeds_of_a_source_left_out_are_repeats(tmp_path: Path) -> None:
    data = two_sources(tmp_path)
    training, images = of_source(data, "two")
    kept = keeping_predictions(Learner(), "a", tmp_path / "kept", tmp_path)
    for seed in (0, 1):
        kept(data, training, [], seed)(images)
    found = read_predictions(tmp_path / "kept", "two", data, tmp_path)
    assert found is not None
    assert data.select(found.images.tolist()) == images * 2
    assert found.repeats.tolist() == [0] * len(images) + [1] * len(images)
    assert read_predictions(tmp_path / "kept", "one", data, tmp_path) is None
