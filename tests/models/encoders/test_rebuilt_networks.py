"""CONCH and CTransPath are what their authors' checkpoints hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_smse.models.encoders import Encoder, find_encoder
from napari_smse.models.encoders.construction import build_encoder
from napari_smse.models.encoders.rebuilt_networks import AttentionPooling, ConvolutionStem
from napari_smse.models.encoders.weights import load_encoder


def small(name: str, **arguments: object) -> Encoder:
    encoder = find_encoder(name)
    architecture = replace(encoder.architecture, arguments={"img_size": 64, **arguments})
    return replace(encoder, architecture=architecture, input_px=64)


CONCH = replace(
    small("conch", features=24, heads=4, depth=2, embed_dim=48, num_heads=3), features=24
)
CTRANSPATH = replace(
    small("ctranspath", embed_dim=16, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8)), features=128
)


def made(encoder: Encoder) -> nn.Module:
    torch.manual_seed(3)
    trunk = build_encoder(encoder)
    for tensor in trunk.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.05, 0.3)
    return trunk.eval()


def features(trunk: nn.Module) -> Tensor:
    torch.manual_seed(4)
    with torch.inference_mode():
        found: Tensor = trunk(torch.randn(2, 3, 64, 64))
    return found


def test_the_query_attends_to_the_tokens_as_a_slow_loop_does() -> None:
    torch.manual_seed(0)
    width, number, heads = 10, 8, 2
    pooling = AttentionPooling(width, number, heads)
    nn.init.normal_(pooling.query)
    tokens = torch.randn(1, 5, width)
    attention, each = pooling.attn, number // heads
    weights = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
    assert attention.in_proj_bias is not None
    biases = attention.in_proj_bias.split(number)
    normalised = nn.functional.layer_norm(tokens[0], (width,))
    query = weights[0] @ nn.functional.layer_norm(pooling.query[0], (number,)) + biases[0]
    heard = torch.zeros(number)
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        keys = [(weights[1] @ token + biases[1])[part] for token in normalised]
        scores = torch.stack([(query[part] @ key) / each**0.5 for key in keys])
        for share, token in zip(scores.softmax(dim=0), normalised, strict=True):
            heard[part] += share * (weights[2] @ token + biases[2])[part]
    torch.testing.assert_close(pooling(tokens)[0], attention.out_proj(heard))


def test_conch_is_read_from_a_checkpoint_of_both_its_halves(tmp_path: Path) -> None:
    trunk = made(CONCH)
    own = {f"visual.{name}": value for name, value in trunk.body.state_dict().items()}
    others = {
        "visual.proj_contrast": torch.zeros(24, 24),
        "visual.attn_pool_caption.query": torch.zeros(256, 48),
        "visual.ln_caption.weight": torch.zeros(48),
        "text.ln_final.weight": torch.zeros(48),
        "logit_scale": torch.zeros(()),
    }
    torch.save({**own, **others}, tmp_path / "pytorch_model.bin")
    loaded = load_encoder(CONCH, tmp_path)
    torch.testing.assert_close(features(loaded), features(trunk))
    assert features(loaded).std() > 0


def as_published(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of a time when a stage ended, rather than began, by halving, and kept its tables."""
    renamed = {
        re.sub(r"layers\.(\d)\.down", lambda stage: f"layers.{int(stage[1]) - 1}.down", name): value
        for name, value in tensors.items()
    }
    tables = {
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.long),
        "layers.1.blocks.1.attn_mask": torch.zeros(4, 49, 49),
    }
    return {**renamed, **tables}


def test_ctranspath_is_read_as_its_authors_wrote_it_and_as_timm_does_today(tmp_path: Path) -> None:
    trunk = made(CTRANSPATH)
    tensors = trunk.body.state_dict()
    torch.save({"model": as_published(tensors)}, tmp_path / "ctranspath.pth")
    torch.save(tensors, tmp_path / "today.pth")
    for name in ("ctranspath.pth", "today.pth"):
        loaded = load_encoder(CTRANSPATH, tmp_path / name)
        torch.testing.assert_close(features(loaded), features(trunk))


def test_the_stem_of_ctranspath_sees_four_pixels_a_token() -> None:
    stem = ConvolutionStem(img_size=(32, 48), embed_dim=16, norm_layer=nn.LayerNorm)
    tokens = stem.eval()(torch.randn(2, 3, 32, 48))
    assert tokens.shape == (2, 8, 12, 16)
    assert stem.grid_size == (8, 12)
    assert sum(layer.stride == (2, 2) for layer in stem.proj if isinstance(layer, nn.Conv2d)) == 2
