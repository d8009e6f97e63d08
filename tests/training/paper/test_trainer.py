"""The paper's configuration, end to end on a few generated frames."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import TrainingError
from napari_smse.models import SmseCnn
from napari_smse.training.paper.sampler import PaperSampler
from napari_smse.training.paper.trainer import (
    PaperProgress,
    PaperRecipe,
    best_epoch,
    train_paper,
)
from support.training import by_case, mini_set

QUICK = PaperRecipe(epochs=2, batch=3, decay_every=1)
SIDES = {"training": [0], "validation": [1], "test": [2]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return mini_set(tmp_path_factory.mktemp("frames"), cases=3)


def network(seed: int = 0) -> SmseCnn:
    torch.manual_seed(seed)
    return SmseCnn()


def trained(
    data: LabelledSet, recipe: PaperRecipe = QUICK, folder: Path | None = None, seed: int = 0
) -> tuple[SmseCnn, list[PaperProgress]]:
    made = network(seed)
    sides = {name: by_case(data, cases) for name, cases in SIDES.items()}
    return made, list(train_paper(made, data, recipe, folder=folder, **sides))


def test_the_network_is_the_papers_size() -> None:
    assert sum(p.numel() for p in SmseCnn().parameters()) == 602_035


@pytest.mark.slow
def test_two_epochs_run_and_report_both_selections(data: LabelledSet, tmp_path: Path) -> None:
    made, seen = trained(data, folder=tmp_path)
    # Four training images in batches of three.
    assert {(p.done, p.total) for p in seen} == {(step, 4) for step in range(1, 5)}
    epochs = [p.epoch for p in seen if p.epoch is not None]
    assert [epoch.number for epoch in epochs] == [1, 2]
    for epoch in epochs:
        assert epoch.validation_logits is not None
        assert epoch.test_logits is not None
        assert epoch.validation_logits.shape == epoch.test_logits.shape == (4, 2)
    # The rate is divided by ten after each epoch of this recipe.
    assert [p.learning_rate for p in seen if p.epoch] == pytest.approx([1e-3, 1e-4])
    labels = [data.images[i].label for i in by_case(data, [1])]
    honest = epochs[best_epoch([epoch.validation_logits for epoch in epochs], labels)]
    for name, tensor in made.state_dict().items():
        assert torch.equal(tensor, honest.weights[name])
    assert seen[-1].best_step == 2 * honest.number
    # What was done is handed out again, and not done again.
    again, twice = trained(data, folder=tmp_path, seed=7)
    assert [p.epoch.number for p in twice if p.epoch] == [1, 2]
    assert torch.equal(twice[0].epoch.test_logits, epochs[0].test_logits)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, honest.weights[name])


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["pair", "none"])
def test_a_training_stopped_between_epochs_goes_on_exactly(
    data: LabelledSet, tmp_path: Path, similarity: str
) -> None:
    recipe = PaperRecipe(
        epochs=2, batch=4, similarity=similarity, classification="reinforced focal"
    )
    sides = {"training": by_case(data, [0])}
    running = train_paper(network(), data, recipe, folder=tmp_path, **sides)
    while next(running).epoch is None:
        pass
    running.close()
    resumed, whole = network(5), network()
    list(train_paper(resumed, data, recipe, folder=tmp_path, **sides))
    list(train_paper(whole, data, recipe, **sides))
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])


def test_a_case_on_two_sides_is_refused(data: LabelledSet) -> None:
    first, second = by_case(data, [0]), by_case(data, [1])
    for sides in (
        {"training": first, "validation": first[:1]},
        {"training": first, "test": first[:1]},
        {"training": first, "validation": second, "test": second[:1]},
    ):
        with pytest.raises(TrainingError, match="divide by case"):
            train_paper(network(), data, QUICK, **sides)


def test_one_class_cannot_be_learnt(data: LabelledSet) -> None:
    with pytest.raises(TrainingError, match="two classes"):
        train_paper(network(), data, QUICK, training=by_case(data, [0])[:2])


def test_every_image_is_an_anchor_once_an_epoch(data: LabelledSet) -> None:
    training = by_case(data, [0, 2])
    draws = PaperSampler(data.images, training, "triplet", batch=3)
    assert draws.steps_per_epoch == 3
    orders = []
    for epoch in range(3):
        plans = [draws.plan(3 * epoch + place) for place in range(3)]
        anchors = np.concatenate([plan.anchor for plan in plans])
        assert sorted(anchors) == training
        orders.append(tuple(anchors))
        for plan in plans:
            near, far = plan.partners
            labels = draws.labels
            assert (labels[near] == labels[plan.anchor]).all()
            assert (near != plan.anchor).all()
            assert (labels[far] != labels[plan.anchor]).all()
            assert set(near) | set(far) <= set(training)
    assert len(set(orders)) == 3


def test_partners_are_uniform_over_all_training_images(data: LabelledSet) -> None:
    training = by_case(data, range(3))
    draws = PaperSampler(data.images, training, "triplet", batch=12)
    near, far = (
        Counter(int(i) for step in range(300) for i in draws.plan(step).partners[place])
        for place in (0, 1)
    )
    for counts in (near, far):
        assert set(counts) == set(training)
        assert max(counts.values()) < 1.4 * min(counts.values())


def test_half_of_the_pairs_are_of_one_class(data: LabelledSet) -> None:
    draws = PaperSampler(data.images, by_case(data, range(3)), "pair", batch=12)
    plans = [draws.plan(step) for step in range(200)]
    same = np.concatenate([plan.same for plan in plans])
    assert same.mean() == pytest.approx(0.5, abs=0.04)
    for plan in plans:
        (partner,) = plan.partners
        assert ((draws.labels[partner] == draws.labels[plan.anchor]) == plan.same).all()
    assert len(draws.draw(0)) == 24


def test_the_best_epoch_is_right_most_often_then_most_certain() -> None:
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    wrong = right.flip(1)
    assert best_epoch([wrong, right, 3 * right, right], [0, 1]) == 2
    assert best_epoch([right, right], [0, 1]) == 0
