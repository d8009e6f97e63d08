"""Models on disk: written, read back, and damaged in every way we could think of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_smse.errors import DamagedModelError, ModelError, ModelNotFoundError, SelfTestError
from napari_smse.models import (
    ModelCard,
    SmseCnn,
    SmseNetwork,
    load_model,
    read_card,
    save_model,
)
from support.edited_json import facts_of

CLASSES = ("benign", "malignant")


def card_for(network: SmseNetwork | SmseCnn, embedding_dim: int = 8) -> ModelCard:
    return ModelCard(
        name="tiny",
        version="1",
        classes=CLASSES,
        tile_px=64,
        mpp_range=(0.2, 0.6),
        trunk=network.trunk_name,
        embedding_dim=embedding_dim,
    )


@pytest.fixture(scope="module")
def network() -> SmseNetwork:
    torch.manual_seed(0)
    network = SmseNetwork("resnet18", embedding_dim=8).eval()
    with torch.no_grad():
        network.class_head.weight.mul_(20)
        network.class_head.bias.copy_(torch.tensor([0.0, 2.0]))
    return network


@pytest.fixture(scope="module")
def written(network: SmseNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(network, card_for(network), tmp_path_factory.mktemp("model") / "tiny.v1")


@pytest.fixture
def model(written: Path, tmp_path: Path) -> Path:
    """Give a copy that a test may damage."""
    for path in written.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / written.name


def edit_card(model: Path, change: Callable[[dict], None]) -> None:
    path = model.with_suffix(".json")
    content = facts_of(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_model_comes_back_as_it_was(network: SmseNetwork, model: Path) -> None:
    loaded = load_model(model)
    assert loaded.path == model
    assert not loaded.network.training
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = loaded.network(images), network(images)
    # Half precision on disk is all that may differ.
    torch.testing.assert_close(ours.embedding, theirs.embedding, rtol=0, atol=5e-3)


def test_a_model_is_found_by_stem_weights_or_card(model: Path) -> None:
    for name in (model, str(model), model.with_suffix(""), model.with_suffix(".json")):
        assert load_model(name, self_test=False).path == model


def test_nothing_else_is_left_in_the_folder(written: Path) -> None:
    assert {path.name for path in written.parent.iterdir()} == {
        "tiny.v1.safetensors",
        "tiny.v1.json",
    }


def test_kernels_are_stored_in_half_precision_and_statistics_in_full(model: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(model)
    assert tensors["trunk.body.conv1.weight"].dtype == torch.float16
    assert tensors["embedding_head.weight"].dtype == torch.float16
    assert tensors["trunk.body.bn1.running_var"].dtype == torch.float32


def test_the_papers_network_is_saved_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = save_model(SmseCnn(), card_for(SmseCnn(), 12), tmp_path / "paper")
    loaded = load_model(path)
    assert isinstance(loaded.network, SmseCnn)
    assert loaded.card.expected


def test_the_same_model_is_written_twice_the_same(network: SmseNetwork, tmp_path: Path) -> None:
    one = save_model(network, card_for(network), tmp_path / "a")
    other = save_model(network, card_for(network), tmp_path / "b")
    assert one.read_bytes() == other.read_bytes()
    assert read_card(one) == read_card(other)


def test_an_unknown_path_lists_what_is_beside_it(model: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=model.name):
        load_model(model.with_name("missing.safetensors"))


def test_a_card_without_weights_is_damaged(model: Path) -> None:
    model.unlink()
    with pytest.raises(DamagedModelError, match=model.name):
        load_model(model)


def test_weights_without_a_card_are_damaged(model: Path) -> None:
    model.with_suffix(".json").unlink()
    with pytest.raises(DamagedModelError, match="json"):
        load_model(model)


@pytest.mark.parametrize("kept", [0, 4, 8, 500, -1])
def test_truncated_weights_are_damaged(model: Path, kept: int) -> None:
    model.write_bytes(model.read_bytes()[:kept])
    with pytest.raises(DamagedModelError, match=model.name):
        load_model(model)


def test_one_changed_bit_is_found(model: Path) -> None:
    blob = bytearray(model.read_bytes())
    blob[-100] ^= 1
    model.write_bytes(bytes(blob))
    with pytest.raises(DamagedModelError, match="sha256"):
        load_model(model)


def test_a_pickle_is_refused(model: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, model)
    with pytest.raises(DamagedModelError, match="safetensors"):
        load_model(model)


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_dim": 16},
        {"trunk": "efficientnet_lite0"},
        {"classes": ["a", "b", "c"], "expected": []},
    ],
)
def test_a_card_of_another_network_is_found(model: Path, change: dict) -> None:
    edit_card(model, lambda content: content.update(change))
    with pytest.raises(DamagedModelError, match="does not fit") as caught:
        load_model(model)
    assert "\n" not in str(caught.value)


def test_swapped_class_names_fail_the_self_test(model: Path) -> None:
    edit_card(model, lambda content: content.update(classes=list(reversed(CLASSES))))
    with pytest.raises(SelfTestError, match=r"benign|malignant"):
        load_model(model)
    assert load_model(model, self_test=False).card.classes == ("malignant", "benign")


def test_a_promise_that_is_not_kept_fails_the_self_test(model: Path) -> None:
    def worse(content: dict) -> None:
        probabilities = content["expected"][0]["probabilities"]
        probabilities["benign"] = (probabilities["benign"] + 0.1) % 1

    edit_card(model, worse)
    with pytest.raises(SelfTestError):
        load_model(model)


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    network = SmseNetwork("resnet18", embedding_dim=8)
    with torch.no_grad():
        network.embedding_head.weight[0, 0] = 1e6
    with pytest.raises(ModelError, match=r"embedding_head\.weight"):
        save_model(network, card_for(network), tmp_path / "huge")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_model(
    network: SmseNetwork, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    other = SmseNetwork("resnet18", embedding_dim=8)
    with pytest.raises(OSError, match="disk full"):
        save_model(other, card_for(other), model)
    monkeypatch.undo()
    load_model(model)
    assert not [path for path in model.parent.iterdir() if path.name.startswith(".")]


def test_the_bundled_model_loads_and_tells_swapped_names(tmp_path: Path) -> None:
    loaded = load_model()
    assert loaded.path.stat().st_size < 12_000_000
    clear = [e for e in loaded.card.expected if abs(e.probabilities["benign"] - 0.5) > 0.1]
    assert len(clear) >= 2
    for path in (loaded.path, loaded.path.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    copy = tmp_path / loaded.path.name
    edit_card(copy, lambda content: content.update(classes=list(reversed(CLASSES))))
    with pytest.raises(SelfTestError):
        load_model(copy)
