"""Trainings from beginning to end, on a few tiny pictures."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import DataError, TrainingError
from napari_smse.models import SmseCnn, SmseNetwork
from napari_smse.training import trainer as training_module
from napari_smse.training.data_parallel import DataParallel
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import TrainingProgress, predict_images, train
from napari_smse.training.trainer_state import TrainingState, learning_rate_factor
from support.training import SMALL, by_case, mini_network, mini_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return mini_set(tmp_path_factory.mktemp("pictures"))


def changed(**changes: object) -> Recipe:
    return Recipe.model_validate(SMALL.model_dump() | changes)


def trained(
    data: LabelledSet,
    recipe: Recipe = SMALL,
    network: SmseNetwork | None = None,
    folder: Path | None = None,
    validation: tuple[int, ...] = (3,),
) -> tuple[SmseNetwork, list[TrainingProgress]]:
    network = network or mini_network()
    running = train(
        network,
        data,
        recipe,
        training=by_case(data, range(3)),
        validation=by_case(data, validation),
        folder=folder,
    )
    return network, list(running)


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_training_tells_the_classes_apart_and_says_how_far_it_is(
    data: LabelledSet, tmp_path: Path
) -> None:
    network, seen = trained(data, changed(steps=20), folder=tmp_path)
    assert {progress.done for progress in seen} == set(range(21))
    assert all(progress.total == 20 for progress in seen)
    last = seen[-1]
    assert last.loss < 0.5 < next(p.loss for p in seen if p.done == 1)
    assert last.held_out is not None
    assert last.held_out["accuracy"] == 1.0
    assert last.best_step > 0
    assert last.seconds_left == 0
    assert [p.held_out for p in seen if p.done < 4] == [None] * sum(p.done < 4 for p in seen)
    held = by_case(data, [3])
    logits = predict_images(network, [data.images[i] for i in held])
    assert logits.argmax(dim=1).tolist() == [data.images[i].label for i in held]
    assert {path.name for path in tmp_path.glob("*.*")} == {
        "start.safetensors",
        "checkpoint.safetensors",
        "training.csv",
        "held_out.csv",
    }


def test_a_training_repeats_with_its_seed_and_varies_without(data: LabelledSet) -> None:
    first, second = (weights(trained(data, changed(steps=3))[0]) for _ in range(2))
    assert_same(first, second)
    other = weights(trained(data, changed(steps=3, seed=1))[0])
    assert not torch.equal(first["class_head.weight"], other["class_head.weight"])


@pytest.mark.parametrize("stop_at", [1, 4, 6])
def test_a_closed_training_goes_on_exactly(data: LabelledSet, tmp_path: Path, stop_at: int) -> None:
    recipe = changed(distillation_weight=0.5, mining="none")
    expected = weights(trained(data, recipe)[0])
    options = {"training": by_case(data, range(3)), "validation": by_case(data, [3])}
    running = train(mini_network(), data, recipe, folder=tmp_path, **options)
    while next(running).done < stop_at:
        pass
    running.close()
    network, seen = trained(data, recipe, mini_network(seed=9), tmp_path)
    # What was done is not done again.
    assert min(progress.done for progress in seen) >= stop_at
    assert_same(weights(network), expected)


def test_a_stop_while_validation_cases_are_judged_loses_nothing(
    data: LabelledSet, tmp_path: Path
) -> None:
    expected = weights(trained(data)[0])
    options = {"training": by_case(data, range(3)), "validation": by_case(data, [3])}
    running = train(mini_network(), data, SMALL, folder=tmp_path, **options)
    while next(running).done < 4:
        pass
    # The next piece is the first look's, with the averaged weights in the network.
    assert next(running).held_out is None
    running.close()
    network, seen = trained(data, SMALL, mini_network(seed=9), tmp_path)
    assert seen[0].done == 4
    assert_same(weights(network), expected)


def test_a_finished_training_is_not_done_again(data: LabelledSet, tmp_path: Path) -> None:
    expected = weights(trained(data, folder=tmp_path)[0])
    before = (tmp_path / "training.csv").read_text()
    network, seen = trained(data, network=mini_network(seed=4), folder=tmp_path)
    assert [progress.done for progress in seen] == [8]
    assert seen[0].held_out is not None
    assert_same(weights(network), expected)
    assert (tmp_path / "training.csv").read_text() == before


def test_anothers_folder_is_refused(data: LabelledSet, tmp_path: Path) -> None:
    trained(data, changed(steps=1), folder=tmp_path)
    with pytest.raises(TrainingError, match="another recipe or of other images"):
        trained(data, changed(steps=2), folder=tmp_path)
    with pytest.raises(TrainingError, match="another recipe or of other images"):
        trained(data, changed(steps=1), folder=tmp_path, validation=())


def test_a_validation_case_that_is_learnt_from_is_refused(data: LabelledSet) -> None:
    # Another image of the same case is enough.
    with pytest.raises(TrainingError, match="divide training and validation by case"):
        train(mini_network(), data, SMALL, training=[0, 2, 8, 10], validation=[1])
    with pytest.raises(TrainingError, match="no image to learn from"):
        train(mini_network(), data, SMALL, training=[])
    with pytest.raises(TrainingError, match="Class 1 has no image"):
        train(mini_network(), data, SMALL, training=[0, 1])


def test_the_best_weights_on_the_validation_cases_are_kept(
    data: LabelledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    areas = iter([0.6, 0.9, 0.7])
    monkeypatch.setattr(
        training_module,
        "held_out_figures",
        lambda *_: {"auc": next(areas), "accuracy": 0.5, "loss": 1.0},
    )
    recipe = changed(steps=6, validate_every=2)
    network, seen = trained(data, recipe)
    assert seen[-1].best_step == 4
    monkeypatch.undo()
    # Averaged weights after four steps of the same schedule, and no other.
    assert_same(weights(network), weights_after(data, recipe, 4))


def weights_after(data: LabelledSet, recipe: Recipe, step: int) -> dict[str, torch.Tensor]:
    """Return the averaged weights a training holds while it judges after some steps."""
    network = mini_network()
    options = {"training": by_case(data, range(3)), "validation": by_case(data, [3])}
    running = train(network, data, recipe, **options)
    while next(running).done < step:
        pass
    next(running)
    held = weights(network)
    running.close()
    return held


def test_training_stops_early_when_the_validation_cases_do_no_better(
    data: LabelledSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        training_module, "held_out_figures", lambda *_: {"auc": 0.5, "accuracy": 0.5, "loss": 1.0}
    )
    recipe = changed(steps=40, validate_every=2, patience=3)
    _, seen = trained(data, recipe, folder=tmp_path)
    # The first look is the best, three more are in vain.
    assert seen[-1].done == 8
    assert seen[-1].best_step == 2
    assert seen[-1].seconds_left == 0
    _, again = trained(data, recipe, folder=tmp_path)
    assert [progress.done for progress in again] == [8]


def test_without_validation_cases_the_average_is_kept(data: LabelledSet) -> None:
    recipe = changed(steps=4)
    averaged = weights(trained(data, recipe, validation=())[0])
    last = weights(trained(data, changed(steps=4, ema_decay=0.0), validation=())[0])
    assert not torch.equal(averaged["class_head.weight"], last["class_head.weight"])


@pytest.mark.parametrize("learns", ["head", "stage", "all"])
def test_only_what_the_recipe_names_changes(data: LabelledSet, learns: str) -> None:
    before = weights(mini_network())
    network, _ = trained(data, changed(steps=2, trainable=learns, distillation_weight=0.1))
    after = weights(network)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {"embedding_head.weight", "class_head.weight"} <= moved
    trunk = {name for name in moved if name.startswith("trunk")}
    assert bool(trunk) is (learns != "head")
    assert any("conv_stem" in name for name in trunk) is (learns == "all")
    # Batch normalisation keeps the statistics it came with.
    assert not any("running_" in name or "num_batches" in name for name in moved)


def test_distillation_holds_the_trunk_near_its_start(data: LabelledSet) -> None:
    start = weights(mini_network())

    def moved(weight: float) -> float:
        recipe = changed(steps=8, distillation_weight=weight, ema_decay=0.0, clip_norm=0.0)
        after = weights(trained(data, recipe, validation=())[0])
        name = "trunk.body.conv_stem.weight"
        return float((after[name] - start[name]).norm())

    free, held = moved(0.0), moved(1000.0)
    assert 0 < held < free


def test_distillation_needs_a_trunk(data: LabelledSet) -> None:
    recipe = changed(network="smse_cnn", distillation_weight=1.0)
    running = train(SmseCnn(), data, recipe, training=by_case(data, range(3)))
    with pytest.raises(TrainingError, match="set distillation_weight to 0"):
        next(running)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_trunk_keeps_a_share_of_what_it_learnt(
    data: LabelledSet, share: float, decay: float
) -> None:
    start = weights(mini_network())
    recipe = changed(steps=4, ema_decay=decay)
    learnt = weights(trained(data, recipe, validation=())[0])
    part = recipe.model_copy(update={"trunk_share": share})
    found = weights(trained(data, part, validation=())[0])
    for name, value in found.items():
        is_trunk = name.startswith("trunk.") and value.is_floating_point()
        expected = start[name].lerp(learnt[name], share) if is_trunk else learnt[name]
        torch.testing.assert_close(value, expected)
    assert not torch.equal(
        learnt["trunk.body.conv_stem.weight"], start["trunk.body.conv_stem.weight"]
    )


def test_a_share_of_a_trunk_is_what_is_judged_and_gone_on_from(
    data: LabelledSet, tmp_path: Path
) -> None:
    recipe = changed(steps=8, trunk_share=0.3)
    whole = weights(trained(data, recipe, folder=tmp_path / "whole")[0])
    running = train(
        mini_network(),
        data,
        recipe,
        training=by_case(data, range(3)),
        validation=by_case(data, [3]),
        folder=tmp_path / "parts",
    )
    next(part for part in running if part.done == 5)
    running.close()
    again = weights(trained(data, recipe, folder=tmp_path / "parts")[0])
    for name, value in again.items():
        torch.testing.assert_close(value, whole[name])


def test_pca_start_replaces_the_heads_and_only_if_asked(data: LabelledSet) -> None:
    first = next(train(mini_network(), data, SMALL, training=by_case(data, range(3))))
    assert (first.done, first.held_out, first.seconds_left) == (0, None, None)
    assert math.isnan(first.loss)

    def heads(pca_start: bool, **more: object) -> torch.Tensor:
        network = mini_network()
        recipe = changed(
            steps=1, learning_rate=1e-9, trunk_learning_rate=1e-9, pca_start=pca_start, **more
        )
        return trained(data, recipe, network, validation=())[0].embedding_head.weight.clone()

    own = mini_network().embedding_head.weight
    torch.testing.assert_close(heads(False), own, rtol=0, atol=1e-6)
    found = heads(True)
    assert not torch.allclose(found, own, atol=1e-3)
    torch.manual_seed(99)
    torch.testing.assert_close(heads(True), found, rtol=0, atol=1e-7)


def test_the_papers_network_trains_on_whole_frames_too(data: LabelledSet) -> None:
    network = SmseCnn()
    recipe = changed(network="smse_cnn", steps=1, cases_per_class=1)
    seen = list(train(network, data, recipe, training=by_case(data, range(3))))
    assert seen[-1].done == 1
    assert math.isfinite(seen[-1].loss)


def test_bfloat16_gives_about_the_same(data: LabelledSet) -> None:
    losses = [
        trained(data, changed(steps=2, precision=precision), validation=())[1][-1].loss
        for precision in ("float32", "bfloat16")
    ]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_checkpoint(
    data: LabelledSet, tmp_path: Path
) -> None:
    recipe = changed(
        steps=30, learning_rate=1e30, trunk_learning_rate=1e30, clip_norm=0.0, warm_up=0
    )
    with pytest.raises(TrainingError, match="not a number any more at step"):
        trained(data, recipe, folder=tmp_path, validation=())
    assert load_file(tmp_path / "checkpoint.safetensors")


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    data = mini_set(tmp_path)
    data.images[0].path.unlink()
    with pytest.raises(DataError, match=data.images[0].path.name):
        trained(data)


def test_clipping_bounds_the_gradient(data: LabelledSet) -> None:
    norms = []
    for clip_norm in (0.0, 1e-3):
        network = mini_network()
        state = TrainingState(network, changed(clip_norm=clip_norm), DataParallel())
        state.start()
        images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
        state.learn(images, torch.arange(8) % 2)
        grads = [p.grad for p in state.trainable.values() if p.grad is not None]
        norms.append(float(torch.stack([g.norm() for g in grads]).norm()))
    assert norms[1] == pytest.approx(1e-3, rel=1e-2)
    assert norms[0] > 1e-2


def test_the_rate_warms_up_and_follows_a_cosine_to_nothing() -> None:
    recipe = changed(steps=110, warm_up=10)
    factors = [learning_rate_factor(step, recipe) for step in range(111)]
    assert all(a < b for a, b in itertools.pairwise(factors[:11]))
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[10] == 1.0
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0.0)
    assert learning_rate_factor(0, changed(warm_up=0)) == 1.0
