"""Make a network in int8 out of a model's, by NNCF, and measure how far its outputs lie off."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_smse.errors import DeviceError, ModelError, SmseError
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring.device import ComputeDevice, Quantisation, choose_device
from napari_smse.scoring.runtimes.base import Prediction, TileRunner, is_installed, unreported
from napari_smse.scoring.runtimes.network_archive import ConvertedFiles
from napari_smse.scoring.runtimes.quantised_network import network_sha256, write_quantised

if TYPE_CHECKING:
    from napari_smse.models import Model

FEWEST_TILES: Final = 16
_GENERATED_TILES: Final = 16
_EXACT_CONVOLUTIONS: Final = 3
"""How many of the first convolutions stay float32, for the reason that `bfloat16` states."""

_CONVOLUTIONS: Final = ("Convolution", "GroupConvolution")
_AROUND_THEM: Final = ("Add", "Clamp", "Relu", "Constant", "Convert", "Parameter", "Result")
_log = logging.getLogger(__name__)


def quantise(model: Model, tiles: NDArray[np.uint8], slides: int) -> Quantisation:
    """Make a model's network in int8, keep it, and return how far its outputs lie off.

    Convolutions compute in int8 but for the first few: weights by channel with 7 bits, as a CPU
    without VNNI adds pairs of products in 16 bits, which 8 bits could overflow. What weighs tissue,
    pools it and comes after stays float32. Every other tile is calibrated on, together with
    generated ones; the deviation is that of the tiles between.

    Parameters
    ----------
    model
        The loaded model; its network is not changed.
    tiles
        RGB, ``(n, tile_px, tile_px, 3)``, at the scales to be scored at.
    slides
        Number of slides that they are of.

    Raises
    ------
    DeviceError
        What quantises is not installed.
    ModelError
        There are too few tiles, or the network cannot be quantised.
    OutputError
        It cannot be kept.
    """
    _require_installed()
    if len(tiles) < FEWEST_TILES:
        raise ModelError(
            f"{len(tiles)} tiles are too few to quantise {model.card.label} with, which takes "
            f"{FEWEST_TILES}: give more slides, or such with more tissue."
        )
    if sum(isinstance(module, nn.Conv2d) for module in model.network.modules()) < 8:
        raise ModelError(
            f"{model.card.label} has hardly any convolutions, and int8 is for those: score with it "
            "without int8."
        )
    calibration, others = tiles[::2], tiles[1::2]
    files = _quantised(model, calibration)
    device = choose_device("cpu", exact=True)
    measured = _measured(model, device, files, others)
    quantisation = replace(measured, slides=slides, calibration_tiles=len(calibration))
    write_quantised(model.card, files, quantisation)
    return quantisation


def _require_installed() -> None:
    if not is_installed("openvino") or find_spec("nncf") is None:
        raise DeviceError(
            "A network is brought into int8 by packages of an extra: pip install "
            '"napari-smse[int8]".'
        )


def _quantised(model: Model, tiles: NDArray[np.uint8]) -> ConvertedFiles:
    from napari_smse.scoring.runtimes.openvino_runner import converted_model, model_files

    px = model.card.tile_px
    generated = [generated_tile(number, px, px) for number in range(_GENERATED_TILES)]
    batches = list(np.concatenate([np.stack(generated), tiles])[:, None])
    try:
        with _quiet_nncf() as nncf:
            exact = converted_model(model)
            quantised = nncf.quantize(
                exact,
                nncf.Dataset(batches),
                subset_size=len(batches),
                ignored_scope=_stays_exact(nncf, exact),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.ENABLE
                ),
            )
        return model_files(quantised)
    except SmseError:
        raise
    except Exception as error:  # converters, and what they convert, fail in their own ways
        _log.debug("quantising failed", exc_info=True)
        raise ModelError(
            f"{model.card.label} cannot be brought into int8 ({type(error).__name__}): score with "
            "it without int8."
        ) from error


@contextlib.contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """Import NNCF so that it reports nothing, neither to its makers nor on the screen."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with unreported(), contextlib.redirect_stdout(io.StringIO()):
        import nncf

        # Its set_log_level is also applied to handlers of others, who then miss our warnings.
        nncf.nncf_logger.setLevel(logging.ERROR)
        yield nncf


def _stays_exact(nncf: Any, network: Any) -> Any:
    """Whatever is not a convolution or between two, and the first few of those."""
    layers = network.get_ordered_ops()
    first = [layer for layer in layers if layer.get_type_name() in _CONVOLUTIONS]
    kinds = {layer.get_type_name() for layer in layers} - {*_CONVOLUTIONS, *_AROUND_THEM}
    return nncf.IgnoredScope(
        names=[layer.get_friendly_name() for layer in first[:_EXACT_CONVOLUTIONS]],
        types=sorted(kinds),
        validate=False,
    )


def _measured(
    model: Model, device: ComputeDevice, files: ConvertedFiles, tiles: NDArray[np.uint8]
) -> Quantisation:
    from napari_smse.scoring.runtimes.openvino_runner import OpenVinoRunner
    from napari_smse.scoring.runtimes.torch_runner import TorchRunner

    exact, exact_embedding = _predictions(TorchRunner(model, device, 1), tiles, device.batch_size)
    quantised = OpenVinoRunner.from_files(files, model.card.tile_px, device.batch_size, 1)
    probability, embedding = _predictions(quantised, tiles, device.batch_size)
    difference = np.abs(probability - exact).max(axis=1)
    cosine = _cosine(embedding, exact_embedding)
    return Quantisation(
        network_sha256=network_sha256(files),
        slides=0,
        calibration_tiles=0,
        measured_tiles=len(tiles),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        mean_cosine=float(cosine.mean()),
        smallest_cosine=float(cosine.min()),
    )


def _predictions(run: TileRunner, tiles: NDArray[np.uint8], batch_size: int) -> Prediction:
    missing = -len(tiles) % batch_size
    filled = np.concatenate([tiles, np.repeat(tiles[-1:], missing, axis=0)])
    parts = [run(batch) for batch in np.split(filled, len(filled) // batch_size)]
    probability, embedding = (
        np.concatenate(part)[: len(tiles)] for part in zip(*parts, strict=True)
    )
    return probability, embedding


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)
