"""Networks of timm as encoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.encoders import Gate, Pooling, find_encoder
from napari_smse.models.encoders.check import check_encoder, last_check
from napari_smse.models.encoders.construction import build_encoder
from napari_smse.models.encoders.weights import load_encoder
from support.encoders import empty_hub

__all__ = ["empty_hub"]  # the fixture
LITE = "timm/tf_efficientnet_lite0.in1k"


def test_what_timm_knows_of_it_is_known() -> None:
    found = find_encoder(LITE)
    assert found.name == LITE
    assert found.repository == "timm/tf_efficientnet_lite0.in1k"
    assert found.normalisation == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (found.features, found.pooling, found.gate) == (1280, Pooling.OWN, Gate.OPEN)
    assert found.parameters == 3.4
    assert (found.licence, found.commercial) == ("apache-2.0", True)
    assert found.trunk_name == f"encoder/{LITE}"


def test_a_vision_transformer_takes_tiles_of_the_usual_size() -> None:
    found = find_encoder("timm/vit_small_patch14_dinov2.lvd142m")
    with torch.device("meta"):
        trunk = build_encoder(found)
        assert trunk(torch.zeros(1, 3, found.input_px, found.input_px)).shape == (1, 384)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm/resnet50", "did you mean timm/resnet50."),
        ("timm/resnet50.a7_in1k", "did you mean timm/resnet50."),
        ("timm/zzzzqqqq", "timm has no weights called 'zzzzqqqq'"),
    ],
)
def test_an_unknown_name_is_told_with_close_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownEncoderError) as unknown:
        find_encoder(name)
    assert hint in str(unknown.value)


@pytest.mark.usefixtures("empty_hub")
def test_its_weights_are_filled_in_and_tried(tmp_path: Path) -> None:
    encoder = find_encoder("timm/test_efficientnet.r160_in1k")
    network = build_encoder(encoder)
    path = tmp_path / "model.safetensors"
    extra = {"classifier.weight": torch.zeros(1000, 256), "classifier.bias": torch.zeros(1000)}
    save_file({**network.body.state_dict(), **extra}, path)
    images = torch.randn(2, 3, 64, 64)
    loaded = load_encoder(encoder, path)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), network.eval()(images))
    check_encoder(encoder, path)
    assert last_check(encoder) is not None


@pytest.mark.slow
@pytest.mark.usefixtures("empty_hub")
@pytest.mark.parametrize(
    "name",
    [
        "swin_tiny_patch4_window7_224.ms_in1k",
        "eva02_tiny_patch14_336.mim_in22k_ft_in1k",
        "efficientformer_l1.snap_dist_in1k",
    ],
)
def test_tables_that_no_checkpoint_has_are_computed(name: str, tmp_path: Path) -> None:
    encoder = find_encoder(f"timm/{name}")
    network = build_encoder(encoder).eval()
    save_file(
        {k: v.contiguous() for k, v in network.body.state_dict().items()},
        tmp_path / "a.safetensors",
    )
    images = torch.randn(1, 3, encoder.input_px, encoder.input_px)
    with torch.inference_mode():
        loaded = load_encoder(encoder, tmp_path / "a.safetensors")(images)
        torch.testing.assert_close(loaded, network(images))
