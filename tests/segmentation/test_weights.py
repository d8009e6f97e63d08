"""Which network a file of weights is, and that none of them runs anything."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_smse.errors import MaskError
from napari_smse.segmentation import weights
from napari_smse.segmentation.networks import (
    GRANDQC_ARTEFACTS,
    GRANDQC_TISSUE,
    HEST,
    mpp_in_name,
    recognise,
)
from napari_smse.segmentation.weights import Segmenter, build, load_segmenter, read_weights
from napari_smse.tiles import Ground
from support.tissue_masks import ColourNetwork


@pytest.fixture(scope="module")
def artefacts():
    """A network as GrandQC's, that calls everything out of focus."""
    return _always(build(GRANDQC_ARTEFACTS), "segmentation_head.0", 6)


def _always(network, layer, output):
    state = network.state_dict()
    state[f"{layer}.weight"].zero_()
    state[f"{layer}.bias"].zero_()
    state[f"{layer}.bias"][output] = 9.0
    return network.eval()


IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)


def test_grandqcs_artefact_weights_are_known_by_their_keys(artefacts, tmp_path):
    path = tmp_path / "GrandQC_MPP15_state_dict.pth"
    torch.save(artefacts.state_dict(), path)
    found = load_segmenter(path, mpp_in_name(path))
    assert found.network is GRANDQC_ARTEFACTS
    assert found.mpp == 1.5
    assert (found.ground(IMAGES) == Ground.BLUR).all()


def test_a_wrapper_around_the_weights_changes_nothing(artefacts, tmp_path):
    named = {f"model.{name}": value for name, value in artefacts.state_dict().items()}
    torch.save({"state_dict": named, "epoch": 3}, tmp_path / "last.ckpt")
    found = load_segmenter(tmp_path / "last.ckpt", mpp=2.0)
    assert (found.network, found.mpp) == (GRANDQC_ARTEFACTS, 2.0)


def test_grandqcs_tissue_weights_call_their_first_output_tissue(tmp_path):
    network = _always(build(GRANDQC_TISSUE), "segmentation_head.0", 0)
    save_file(network.state_dict(), tmp_path / "tissue.safetensors")
    found = load_segmenter(tmp_path / "tissue.safetensors")
    assert (found.network, found.mpp) == (GRANDQC_TISSUE, 10.0)
    assert (found.ground(IMAGES) == Ground.TISSUE).all()


@pytest.mark.slow
def test_hests_weights_need_no_extra_and_their_auxiliary_output_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    network = _always(build(HEST), "classifier.4", 1)
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    state["model.aux_classifier.0.weight"] = torch.zeros(2, 2)
    torch.save({"state_dict": state}, tmp_path / "deeplabv3_seg_v4.ckpt")
    found = load_segmenter(tmp_path / "deeplabv3_seg_v4.ckpt")
    assert (found.network, found.mpp) == (HEST, 1.0)
    assert (found.ground(IMAGES) == Ground.TISSUE).all()


def test_keys_of_published_weights_are_those_that_are_built_now(artefacts):
    """As segmentation_models_pytorch 0.3 named the parts of its Unet on a timm-efficientnet-b0."""
    names = set(artefacts.state_dict())
    assert {
        "encoder.conv_stem.weight",
        "encoder.bn1.running_mean",
        "encoder.blocks.0.0.conv_dw.weight",
        "encoder.blocks.6.0.bn3.weight",
        "encoder.conv_head.weight",
        "encoder.bn2.weight",
        "decoder.blocks.0.conv1.0.weight",
        "decoder.blocks.4.conv2.1.bias",
        "segmentation_head.0.weight",
    } <= names


def test_artefact_weights_of_no_known_scale_are_refused(artefacts, tmp_path):
    torch.save(artefacts.state_dict(), tmp_path / "mine.pth")
    with pytest.raises(MaskError, match=r"mine\.pth does not say which scale .* --mask-mpp"):
        load_segmenter(tmp_path / "mine.pth")


@pytest.mark.parametrize(
    ("name", "mpp"),
    [
        ("GrandQC_MPP1.pth", 1.0),
        ("GrandQC_MPP15_state_dict.pth", 1.5),
        ("GrandQC_MPP2.pth", 2.0),
        ("Tissue_Detection_MPP10.pth", 10.0),
        ("deeplabv3_seg_v4.ckpt", None),
    ],
)
def test_the_scale_is_read_from_the_name(name, mpp):
    assert mpp_in_name(Path(name)) == mpp


def test_other_weights_are_refused():
    with pytest.raises(MaskError, match=r"other\.pth holds weights of none of the networks"):
        recognise({"fc.weight": (10, 512)}, Path("other.pth"))


def test_weights_that_are_not_whole_are_refused(artefacts, tmp_path):
    state = artefacts.state_dict()
    del state["encoder.conv_stem.weight"]
    torch.save(state, tmp_path / "GrandQC_MPP1.pth")
    with pytest.raises(MaskError, match="is not whole"):
        load_segmenter(tmp_path / "GrandQC_MPP1.pth", 1.0)


class _Runs:
    """What would write a file, if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


def test_a_pickled_network_is_refused_and_how_to_convert_it_said(tmp_path):
    trap = tmp_path / "trap"
    torch.save(_Runs(trap), tmp_path / "GrandQC_MPP1.pth")
    with pytest.raises(MaskError, match=r"could run code.*state_dict\(\)"):
        read_weights(tmp_path / "GrandQC_MPP1.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Runs(trap)))
    with pytest.raises(MaskError):
        read_weights(tmp_path / "plain.pth")
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"no weights", b"\x80\x02."])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_is_no_file_of_weights_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskError, match=name):
        read_weights(tmp_path / name)
    with pytest.raises(MaskError, match=r"gone\.pth"):
        read_weights(tmp_path / "gone.pth")


def test_a_program_of_torchscript_is_not_run(tmp_path):
    with pytest.warns(FutureWarning):  # torch's own, of TorchScript
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "GrandQC_MPP1_traced.pt")
    with pytest.raises(MaskError, match="is a program"):
        read_weights(tmp_path / "GrandQC_MPP1_traced.pt")


def test_grandqc_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    with pytest.raises(MaskError, match=r"pip install napari-smse\[masks\]"):
        build(GRANDQC_TISSUE)


def test_images_are_compressed_first_where_the_network_learnt_from_such(monkeypatch):
    qualities = []
    monkeypatch.setattr(
        weights, "_compressed", lambda image, quality: qualities.append(quality) or image
    )
    for network in (GRANDQC_TISSUE, HEST):
        Segmenter(network, 1.0, ColourNetwork(network)).ground(IMAGES)
    assert qualities == [80]


def test_the_licence_is_told():
    for network in (HEST, GRANDQC_TISSUE, GRANDQC_ARTEFACTS):
        assert "CC BY-NC" in network.notice
        assert "as their authors state" in network.notice
