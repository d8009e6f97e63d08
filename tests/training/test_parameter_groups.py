"""Which weights a recipe lets learn."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18

from napari_smse.errors import TrainingError
from napari_smse.models import SmseCnn, SmseNetwork, build_trunk
from napari_smse.training.parameter_groups import last_stage, set_trainable
from napari_smse.training.recipe import Recipe
from support.training import mini_network


def learnt(network: torch.nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("learns", ["head", "stage", "all"])
def test_a_recipe_thaws_what_it_names(learns: str) -> None:
    network = mini_network()
    groups = set_trainable(
        network, Recipe(trainable=learns, learning_rate=0.3, trunk_learning_rate=0.1)
    )
    found = learnt(network)
    heads = {name for name, _ in network.named_parameters() if "head." in name[:16]}
    assert {"embedding_head.weight", "class_head.bias"} <= heads <= found
    assert (found == heads) is (learns == "head")
    assert (len(found) == len(list(network.parameters()))) is (learns == "all")
    assert [group["base"] for group in groups] == ([0.3] if learns == "head" else [0.3, 0.1])
    assert sum(len(group["params"]) for group in groups) == len(found)
    if learns == "stage":
        stages = len(network.trunk.body.blocks)
        own = {name for name in found - heads if ".blocks." in name}
        assert own
        assert all(f".blocks.{stages - 1}." in name for name in own)
        assert not any("conv_stem" in name for name in found)


@pytest.mark.parametrize("learns", ["head", "stage", "all"])
def test_the_papers_network_can_learn_in_part_too(learns: str) -> None:
    network = SmseCnn()
    set_trainable(network, Recipe(network="smse_cnn", trainable=learns))
    blocks = {name.split(".")[1] for name in learnt(network) if name.startswith("blocks")}
    assert blocks == {"head": set(), "stage": {"5"}, "all": set("012345")}[learns]


def test_a_later_choice_undoes_an_earlier_one() -> None:
    network = mini_network()
    set_trainable(network, Recipe(trainable="all"))
    set_trainable(network, Recipe(trainable="head"))
    assert not any(name.startswith("trunk") for name in learnt(network))


def test_the_last_stage_of_other_trunks() -> None:
    body = resnet18(weights=None)
    assert last_stage(body)[0] is body.layer4
    vit = build_trunk("test_vit").body
    assert last_stage(vit)[0] is vit.blocks[-1]
    plain = torch.nn.Linear(2, 2)
    assert last_stage(plain) == [plain]


def test_a_staged_trunk_has_a_last_stage() -> None:
    network = SmseNetwork("efficientnet_lite0+stages", 4)
    set_trainable(network, Recipe(trainable="stage"))
    assert any(".blocks.6." in name for name in learnt(network))
    assert not any(".blocks.5." in name for name in learnt(network))


@pytest.mark.parametrize("frozen", [1, 2])
def test_the_first_stages_stay_as_they_are(frozen: int) -> None:
    network = mini_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    groups = set_trainable(network, Recipe(trainable="all", frozen_stages=frozen))
    still = {name for name, _ in network.named_parameters()} - learnt(network)
    assert {name.split(".")[3] for name in still if ".blocks." in name} == {
        str(stage) for stage in range(frozen)
    }
    assert {name.split(".")[2] for name in still} == {"conv_stem", "bn1", "blocks"}
    optimiser = torch.optim.AdamW([p for group in groups for p in group["params"]], lr=0.1)
    network(torch.rand(2, 3, 64, 64) * 255).logits.square().sum().backward()
    optimiser.step()
    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert not moved & still


def test_a_trunk_without_so_many_stages_is_named() -> None:
    with pytest.raises(TrainingError, match="set frozen_stages to less"):
        set_trainable(mini_network(), Recipe(trainable="all", frozen_stages=99))
