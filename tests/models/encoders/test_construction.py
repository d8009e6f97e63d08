"""Encoders are built as published, and pooled as their authors do."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import ModelError
from napari_smse.models.encoders import ENCODERS, Architecture, Encoder, Pooling, find_encoder
from napari_smse.models.encoders.construction import build_encoder, pool_tokens

PUBLISHED_MILLIONS = {
    "kaiko-vits16": 22,
    "kaiko-vits8": 22,
    "kaiko-vitb16": 86,
    "kaiko-vitb8": 86,
    "kaiko-vitl14": 303,
    "lunit-vits16": 22,
    "lunit-vits8": 22,
    "lunit-bt": 24,
    "lunit-mocov2": 24,
    "lunit-swav": 24,
    "h-optimus-0": 1130,
    "h-optimus-1": 1130,
    "h0-mini": 86,
    "uni": 303,
    "uni2-h": 681,
    "virchow": 631,
    "virchow2": 631,
    "prov-gigapath": 1130,
    "phikon": 86,
    "phikon-v2": 303,
    "midnight": 1140,
    "hibou-b": 86,
    "hibou-l": 304,
    "gpfm": 303,
    "conch": 86,
    "ctranspath": 27.5,
    "dinov2-vitb14": 86,
}
"""As their authors and other tools state them, rounded as they are there."""
PREFIX_TOKENS = {
    "uni2-h": 9,
    "virchow2": 5,
    "h-optimus-0": 5,
    "h-optimus-1": 5,
    "h0-mini": 5,
    "kaiko-vitl14": 5,
    "hibou-b": 5,
    "hibou-l": 5,
}


def built(encoder: Encoder) -> torch.nn.Module:
    with torch.device("meta"):
        return build_encoder(encoder)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_size_and_features_are_those_published(encoder: Encoder) -> None:
    trunk = built(encoder)
    number = sum(parameter.numel() for parameter in trunk.parameters()) / 1e6
    assert number == pytest.approx(PUBLISHED_MILLIONS[encoder.name], rel=0.025)
    # What the user is shown, before anything is built.
    assert encoder.parameters == pytest.approx(number, abs=0.06)
    pools_itself = encoder.pooling is Pooling.OWN
    assert trunk.prefix_tokens == (0 if pools_itself else PREFIX_TOKENS.get(encoder.name, 1))
    px = encoder.input_px
    found = trunk(torch.empty(1, 3, px, px, device="meta"))
    assert found.shape == (1, encoder.features)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 20), st.integers(1, 6))
def test_pooling_is_what_a_slow_loop_finds(
    number: int, prefix: int, patches: int, width: int
) -> None:
    tokens = torch.randn(number, prefix + patches, width)
    both = pool_tokens(tokens, Pooling.CLASS_TOKEN_AND_MEAN, prefix)
    for image in range(number):
        mean = sum(tokens[image, prefix + patch] for patch in range(patches)) / patches
        torch.testing.assert_close(both[image], torch.cat([tokens[image, 0], mean]))
    assert torch.equal(pool_tokens(tokens, Pooling.CLASS_TOKEN, prefix), tokens[:, 0])


def test_registers_are_in_no_mean() -> None:
    small = Architecture(
        "timm",
        "vit_tiny_patch16_224",
        {"num_classes": 0, "img_size": 64, "reg_tokens": 4, "depth": 2},
    )
    encoder = replace(find_encoder("virchow2"), architecture=small, features=384)
    trunk = build_encoder(encoder)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        tokens = trunk.body(images)
        assert tokens.shape == (2, 1 + 4 + 16, 192)
        expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(dim=1)], dim=1)
        torch.testing.assert_close(trunk(images), expected)


def test_a_network_may_pool_for_itself() -> None:
    encoder = replace(
        find_encoder("uni"),
        architecture=Architecture("timm", "test_efficientnet", {"num_classes": 0}),
        pooling=Pooling.OWN,
        features=256,
    )
    with torch.inference_mode():
        assert build_encoder(encoder)(torch.randn(2, 3, 64, 64)).shape == (2, 256)


def test_without_transformers_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"napari-smse\[encoders\]"):
        build_encoder(find_encoder("phikon"))
