"""Weights of encoders: where they are looked for, and what is taken for them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_smse.errors import EncoderWeightsError
from napari_smse.models.encoders import Architecture, Encoder, Gate, find_encoder
from napari_smse.models.encoders.construction import build_encoder
from napari_smse.models.encoders.weight_files import download_weights, how_to_get, weights_path
from napari_smse.models.encoders.weights import load_encoder, read_tensors
from support.encoders import empty_hub

TINY = replace(
    find_encoder("virchow2"),
    name="tiny",
    repository="somebody/tiny",
    architecture=Architecture(
        "timm",
        "vit_tiny_patch16_224",
        {"num_classes": 0, "img_size": 64, "reg_tokens": 4, "depth": 2, "dynamic_img_size": True},
    ),
    features=384,
    input_px=64,
)
TINY_PHIKON = replace(
    find_encoder("phikon"),
    architecture=Architecture(
        "transformers",
        "ViTModel",
        {
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "intermediate_size": 96,
        },
    ),
    features=48,
    input_px=64,
)
__all__ = ["empty_hub"]  # the fixture
Save = Callable[[dict[str, Tensor], Path], None]
SAVE: dict[str, Save] = {
    "model.safetensors": save_file,
    "pytorch_model.bin": torch.save,
    "weights.pth": torch.save,
}


def made(encoder: Encoder, seed: int = 0) -> torch.nn.Module:
    """An encoder with weights of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunk = build_encoder(encoder)
        for parameter in trunk.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return trunk


def state(trunk: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in trunk.body.network.state_dict().items()}


def assert_same(first: torch.nn.Module, second: torch.nn.Module, px: int = 64) -> None:
    images = torch.randn(2, 3, px, px)
    with torch.inference_mode():
        torch.testing.assert_close(first(images), second(images))


@pytest.mark.parametrize("name", SAVE)
@pytest.mark.parametrize("encoder", [TINY, TINY_PHIKON], ids=["timm", "transformers"])
def test_what_was_saved_is_loaded(tmp_path: Path, name: str, encoder: Encoder) -> None:
    trunk = made(encoder)
    SAVE[name](state(trunk), tmp_path / name)
    for path in (tmp_path / name, tmp_path):
        assert_same(load_encoder(encoder, path), trunk)


@pytest.mark.parametrize("wrapper", [(), ("state_dict",), ("teacher",), ("model", "state_dict")])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_wrapped_weights_are_found(tmp_path: Path, wrapper: tuple[str, ...], prefix: str) -> None:
    trunk = made(TINY)
    content: dict[str, object] = {f"{prefix}{name}": value for name, value in state(trunk).items()}
    content[f"{prefix}mask_token"] = torch.zeros(1, 192)
    for key in reversed(wrapper):
        content = {key: content, "epoch": 7}
    torch.save(content, tmp_path / "a.pth")
    assert_same(load_encoder(TINY, tmp_path / "a.pth"), trunk)


def test_positions_of_another_size_are_fitted(tmp_path: Path) -> None:
    large = replace(
        TINY,
        architecture=replace(
            TINY.architecture, arguments={**TINY.architecture.arguments, "img_size": 128}
        ),
    )
    save_file(state(made(large)), tmp_path / "model.safetensors")
    loaded = load_encoder(TINY, tmp_path)
    assert loaded.body.network.pos_embed.shape[1] in (16, 17, 21)


@pytest.mark.parametrize("change", ["lacks", "besides", "shape"])
def test_weights_of_another_network_are_refused(tmp_path: Path, change: str) -> None:
    tensors = state(made(TINY))
    name = "blocks.1.mlp.fc1.weight"
    if change == "lacks":
        del tensors[name]
    elif change == "besides":
        tensors["blocks.7.mlp.fc1.weight"] = torch.zeros(2)
    else:
        tensors[name] = tensors[name][:5].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(EncoderWeightsError, match=r"is not of tiny \(.*blocks"):
        load_encoder(TINY, tmp_path)


class RunsCode:
    """A pickle of it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    torch.save({"weights": RunsCode(tmp_path / "ran")}, tmp_path / "a.bin")
    with pytest.raises(EncoderWeightsError, match="could run code"):
        read_tensors(tmp_path / "a.bin")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(RunsCode(tmp_path / "ran")))
    with pytest.raises(EncoderWeightsError):
        read_tensors(tmp_path / "plain.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pth", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x00" * 4000, b"\x80\x02."])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EncoderWeightsError, match=name) as refused:
        read_tensors(tmp_path / name)
    assert "\n" not in str(refused.value)


def in_cache(cache: Path, encoder: Encoder, name: str) -> Path:
    """The place of a file in the layout of the hub's cache."""
    folder = cache / f"models--{encoder.repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123")
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    return folder / "snapshots" / "abc123" / name


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_the_cache_of_the_hub_is_looked_into(empty_hub: Path, name: str) -> None:
    trunk = made(TINY)
    place = in_cache(empty_hub, TINY, name)
    SAVE[name](state(trunk), place)
    assert weights_path(TINY) == place
    assert_same(load_encoder(TINY), trunk)


def test_weights_that_are_not_here_are_told_of_before_anything_is_downloaded(
    empty_hub: Path,
) -> None:
    gated = replace(TINY, gate=Gate.ASK, commercial=False, licence="CC BY-NC-ND 4.0")
    with pytest.raises(EncoderWeightsError) as missing:
        load_encoder(gated)
    for words in ("models get tiny", "CC BY-NC-ND", "no commercial use", "accept its terms"):
        assert words in str(missing.value)
    assert "accept its terms" not in how_to_get(replace(TINY, gate=Gate.OPEN))


def test_offline_the_way_around_is_named(empty_hub: Path) -> None:
    with pytest.raises(EncoderWeightsError, match=r"HF_HUB_OFFLINE is set.*--encoder-weights"):
        download_weights(TINY)


def test_a_gate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def refuse(*_: object, **__: object) -> str:
        raise GatedRepoError("no", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(EncoderWeightsError, match="accept its terms"):
        download_weights(TINY)


def test_a_path_without_weights_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(EncoderWeightsError, match="There are no weights at"):
            weights_path(TINY, path)
