"""A network in int8 answers nearly as in float32, and how nearly is measured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_smse.errors import DeviceError, ModelError
from napari_smse.models import Model
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring import choose_device
from napari_smse.scoring.device import Quantisation
from napari_smse.scoring.runtimes import quantising
from napari_smse.scoring.runtimes.factory import build_runner
from napari_smse.scoring.runtimes.quantised_network import device_in_int8, quantised_files
from napari_smse.scoring.runtimes.quantising import FEWEST_TILES, quantise
from support.cluster import TILE_PX, write_model
from support.int8 import use_folder

pytest.importorskip("nncf")
pytest.importorskip("openvino")
DEVICE = choose_device("cpu", exact=True)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_folder(monkeypatch, tmp_path_factory.mktemp("int8"))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    """Other tiles than those that every network is calibrated on besides."""
    return np.stack([generated_tile(40 + number, TILE_PX, TILE_PX) for number in range(16)])


@pytest.fixture(scope="module")
def made(model: Model, tiles: NDArray[np.uint8]) -> Quantisation:
    return quantise(model, tiles, 1)


def test_outputs_are_nearly_those_of_float32(
    model: Model, tiles: NDArray[np.uint8], made: Quantisation
) -> None:
    device = device_in_int8(DEVICE, model.card)
    assert (device.precision, device.runtime, device.quantisation) == ("int8", "openvino", made)
    held_out = tiles[1::2]
    probability, embedding = build_runner(model, device, 1)(held_out)
    exact, exact_embedding = build_runner(model, DEVICE, 1)(held_out)
    difference = np.abs(probability - exact).max(axis=1)
    cosine = (embedding * exact_embedding).sum(axis=1)
    assert 0 < difference.max() < 0.1
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    told = made.largest_difference, made.mean_difference, made.mean_cosine, made.smallest_cosine
    now = difference.max(), difference.mean(), cosine.mean(), cosine.min()
    np.testing.assert_allclose(told, now, atol=1e-5)
    assert (made.calibration_tiles, made.measured_tiles, made.slides) == (8, 8, 1)


def test_weights_are_bytes(model: Model, made: Quantisation) -> None:
    weights = quantised_files(model.card, made)["network.bin"]
    parameters = sum(one.numel() for one in model.network.parameters())
    assert len(weights) < 3 * parameters  # four bytes each in float32


@pytest.mark.slow
def test_the_same_tiles_make_the_same_network(
    model: Model, tiles: NDArray[np.uint8], made: Quantisation
) -> None:
    assert quantise(model, tiles, 1) == made


def test_few_tiles_are_refused(model: Model, tiles: NDArray[np.uint8]) -> None:
    with pytest.raises(ModelError, match="too few"):
        quantise(model, tiles[: FEWEST_TILES - 1], 1)


def test_a_network_of_no_convolutions_is_refused(model: Model, tiles: NDArray[np.uint8]) -> None:
    heads = replace(model, network=model.network.class_head)
    with pytest.raises(ModelError, match="hardly any convolutions"):
        quantise(heads, tiles, 1)


def test_what_is_missing_is_named(
    model: Model, tiles: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "is_installed", lambda _: False)
    with pytest.raises(DeviceError, match=r"napari-smse\[int8\]"):
        quantise(model, tiles, 1)


def test_a_failing_converter_leaves_what_there_was(
    model: Model,
    tiles: NDArray[np.uint8],
    made: Quantisation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(_: object) -> None:
        raise RuntimeError("an operator is not known")

    monkeypatch.setattr("napari_smse.scoring.runtimes.openvino_runner.converted_model", failing)
    with pytest.raises(ModelError, match="cannot be brought into int8"):
        quantise(model, tiles, 1)
    assert quantised_files(model.card, made)


def test_logging_by_others_stays_as_it_was() -> None:
    """NNCF's own way to be quiet changes the level of others' handlers, too."""
    handler = logging.NullHandler()
    logging.getLogger("nncf").addHandler(handler)
    try:
        with quantising._quiet_nncf():
            pass
        assert handler.level == logging.NOTSET
    finally:
        logging.getLogger("nncf").removeHandler(handler)
