"""Protocols with learners that remember what they were given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.splits import Fold, grouped_folds
from napari_smse.errors import DataError, TrainingError
from napari_smse.evaluation.cross_validation import (
    cross_validate,
    cross_validation,
    leave_scale_out,
    leave_source_out,
    refuse_seen_cases,
)
from support.datasets import NameLearner, image, labelled_set, random_set


def cases(data: LabelledSet, indices: Sequence[int]) -> set[str]:
    return {data.images[i].case for i in indices}


@settings(max_examples=25)
@given(st.integers(0, 30), st.integers(2, 4), st.integers(1, 3), st.floats(0, 0.6))
def test_training_validation_and_test_never_share_a_case(
    seed: int, folds: int, repeats: int, share: float
) -> None:
    data, learner = random_set(14, seed=seed), NameLearner()
    held_out = cross_validate(
        learner, data, folds, repeats=repeats, validation_fraction=share, seed=seed
    )
    assert len(learner.asked) == folds * repeats
    for (training, validation, _), tested in zip(learner.asked, learner.predicted, strict=True):
        sides = [cases(data, side) for side in (training, validation, tested)]
        assert not sides[0] & sides[1]
        assert not (sides[0] | sides[1]) & sides[2]
        assert sorted([*training, *validation, *tested]) == list(range(len(data.images)))
    for repeat in range(repeats):
        inside = held_out.repeats == repeat
        assert sorted(held_out.images[inside]) == list(range(len(data.images)))
    assert len({seed for _, _, seed in learner.asked}) == folds * repeats


def test_each_repeat_deals_other_folds() -> None:
    data, learner = random_set(14), NameLearner()
    cross_validate(learner, data, 3, repeats=2)
    assert cases(data, learner.predicted[0]) != cases(data, learner.predicted[3])


def test_given_folds_are_used_in_every_repeat_with_another_seed() -> None:
    data, learner = random_set(14), NameLearner()
    folds = grouped_folds(data.images, 3)
    cross_validate(learner, data, folds, repeats=2)
    assert learner.predicted[:3] == learner.predicted[3:]
    assert len({seed for *_, seed in learner.asked}) == 6


def test_logits_stay_with_their_images() -> None:
    data = random_set(14)
    held_out = cross_validate(NameLearner(right=1), data, 3)
    labels = [data.images[i].label for i in held_out.images]
    assert held_out.logits.argmax(dim=1).tolist() == labels


def test_progress_is_told_fold_by_fold() -> None:
    data, learner = random_set(14), NameLearner()
    running = cross_validation(learner, data, 3, repeats=2)
    first = next(running)
    assert (first.done, first.total, len(learner.asked)) == (1, 6, 1)
    assert [(one.done, one.total) for one in running] == [(done, 6) for done in range(2, 7)]


def test_asking_for_a_case_it_learnt_from_is_an_error() -> None:
    data = random_set(14)
    done = next(cross_validation(NameLearner(), data, 3))
    with pytest.raises(TrainingError, match="was trained on it"):
        done.predictor(data.select(done.fold.training.tolist()[:1]))
    for index in done.fold.training.tolist():
        with pytest.raises(TrainingError):
            done.predictor(data.select([*done.fold.test.tolist(), index]))


def test_another_image_of_a_known_case_is_refused_too() -> None:
    data = labelled_set([image("a", 0, "1.png"), image("a", 0, "2.png"), image("b", 1, "3.png")])
    guarded = refuse_seen_cases(lambda images: torch.zeros(len(images), 2), data.select([0]))
    with pytest.raises(TrainingError, match="made up a"):
        guarded(data.select([1]))
    assert guarded(data.select([2])).shape == (1, 2)


def test_given_folds_that_split_a_case_are_refused() -> None:
    data = random_set(6)
    rows = np.arange(len(data.images))
    with pytest.raises(DataError, match=r"made up 0 on both sides"):
        cross_validate(NameLearner(), data, [Fold("bad", rows[1:], rows[:1])])


def test_a_fold_without_a_class_to_learn_is_refused() -> None:
    data = labelled_set([image("b", 0), *(image(f"m{i}", 1) for i in range(5))])
    with pytest.raises(DataError, match="no image of benign to train on"):
        cross_validate(NameLearner(), data, 3)


def test_one_case_or_an_empty_class_cannot_be_cross_validated() -> None:
    with pytest.raises(DataError, match="one case"):
        cross_validate(NameLearner(), labelled_set([image("a", 0), image("a", 1)]), 2)
    with pytest.raises(DataError, match="No image of class benign"):
        cross_validate(NameLearner(), labelled_set([image("a", 1), image("b", 1)]), 2)


def test_a_single_class_leaves_nothing_to_tell_apart() -> None:
    data = labelled_set([image("a", 0), image("b", 0)], ["benign"])
    with pytest.raises(DataError, match="All images are of class benign"):
        cross_validate(NameLearner(), data, 2)


def two_sources() -> LabelledSet:
    made = [*random_set(10, source="here").images, *random_set(8, seed=3, source="there").images]
    return labelled_set(made)


def test_a_left_out_source_is_predicted_whole_and_never_learnt() -> None:
    data, learner = two_sources(), NameLearner()
    held_out = leave_source_out(learner, data, "there")
    (training, validation, _), *_ = learner.asked
    assert {data.images[i].source for i in [*training, *validation]} == {"here"}
    assert validation
    there = [i for i, one in enumerate(data.images) if one.source == "there"]
    assert held_out.images.tolist() == there


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_an_unknown_source_cannot_be_left_out(name: str) -> None:
    with pytest.raises(DataError, match="name one of several"):
        leave_source_out(NameLearner(), two_sources(), name)
    with pytest.raises(DataError, match="name one of several"):
        leave_source_out(NameLearner(), random_set(), "made up")


def test_a_left_out_scale_is_tested_with_and_without_learning_it() -> None:
    data, learner = random_set(14, images=12), NameLearner()
    without, with_it = leave_scale_out(learner, data, "100X", 3)
    assert np.array_equal(np.sort(without.images), np.sort(with_it.images))
    assert {data.images[i].magnification for i in without.images} == {"100X"}
    for number, (training, validation, _) in enumerate(learner.asked):
        scales = {data.images[i].magnification for i in [*training, *validation]}
        assert ("100X" in scales) == (number >= 3)
        tested = cases(data, learner.predicted[number])
        assert not tested & cases(data, [*training, *validation])


def test_a_scale_that_is_not_there_cannot_be_left_out() -> None:
    with pytest.raises(DataError, match=r"'7X' cannot be left out"):
        leave_scale_out(NameLearner(), random_set(), "7X", 3)


def test_an_empty_validation_side_is_allowed() -> None:
    data, learner = random_set(14), NameLearner()
    cross_validate(learner, data, 2, validation_fraction=0)
    assert all(not validation for _, validation, _ in learner.asked)


class Peeker:
    """Right when it may look at the test images, wrong when not."""

    def __call__(self, images: Sequence[LabelledImage]) -> torch.Tensor:
        return torch.eye(2)[[1 - image.label for image in images]]

    def select_on_test(self, images: Sequence[LabelledImage]) -> torch.Tensor:
        return torch.eye(2)[[image.label for image in images]]


def test_what_was_chosen_on_the_test_side_is_kept_apart_and_guarded_too() -> None:
    data = random_set(14)
    for done in cross_validation(lambda *_: Peeker(), data, 3):
        labels = [data.images[i].label for i in done.fold.test]
        assert done.held_out.logits.argmax(dim=1).tolist() == [1 - label for label in labels]
        assert done.selected_on_test.logits.argmax(dim=1).tolist() == labels
        with pytest.raises(TrainingError, match="was trained on it"):
            done.predictor.select_on_test(data.select(done.fold.training.tolist()))


def test_most_learners_do_not_peek() -> None:
    assert next(cross_validation(NameLearner(), random_set(14), 3)).selected_on_test is None
