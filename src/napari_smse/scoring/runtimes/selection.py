"""Which runtime and precision are the fastest on this CPU: measured once, then remembered.

What is remembered is a decision, not a measurement only: whatever scores, searches or fine-tunes
with a model on this machine, in the viewer or a shell, runs it in the same way and so learns from
and compares the same embeddings.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.device import (
    ComputeDevice,
    Precision,
    PrecisionChoice,
    Runtime,
    computes_bfloat16,
)
from napari_smse.scoring.runtimes.base import TileRunner, is_installed
from napari_smse.scoring.runtimes.factory import build_runner
from napari_smse.scoring.runtimes.quantised_network import device_in_int8
from napari_smse.scoring.runtimes.speed_memory import Speed, store_speeds, stored_speeds

if TYPE_CHECKING:
    from napari_smse.models import Model

TOLERANCE: Final = 0.01
"""How far a probability may lie from float32's; see `max_deviation`."""

RuntimeChoice = tuple[Runtime, Precision]
_EXACT: Final[RuntimeChoice] = ("torch", "float32")
_ROUNDS: Final = 6
_NAMES: Final[dict[Runtime, str]] = {
    "torch": "torch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}
_log = logging.getLogger(__name__)


_AS_BUILT: Final = Speed(*_EXACT, tiles_per_s=math.nan, deviation=0.0)


def select_runtime(device: ComputeDevice, model: Model, threads: int = 1) -> ComputeDevice:
    """Return a device set to the fastest runtime and precision that keep the model's outputs.

    Choices are torch in float32 and bfloat16, ONNX Runtime and OpenVINO in float32, as far as
    they are installed; int8 is not among them, as its outputs depend on the tiles that it was
    calibrated on. They are measured with a few generated tiles the first time, which takes
    10 to 20 seconds, and remembered for this machine, trunk and set of versions. Of another model
    with the same trunk, such as a fine-tuned one, only the outputs are compared.

    Parameters
    ----------
    device
        The chosen device; a GPU is returned as it is.
    model
        The loaded model.
    threads
        CPU threads for the arithmetic of one batch; a run gives each batch one.
    """
    if device.torch_name != "cpu":
        return device
    return _running_by(device, selected_speed(device, model, threads))


def device_as_wanted(
    device: ComputeDevice, model: Model, precision: PrecisionChoice, threads: int = 1
) -> ComputeDevice:
    """Return a device set to the precision that was asked for.

    Parameters
    ----------
    device
        The chosen device; for float32, as `choose_device` gives it with `exact`.
    model, threads
        As for `select_runtime`.
    precision
        ``float32`` is by torch, ``int8`` by OpenVINO; with ``auto`` it is what `select_runtime`
        decides.

    Raises
    ------
    DeviceError, ModelError
        See `device_in_int8`.
    """
    if precision == "int8":
        return device_in_int8(device, model.card)
    return device if precision == "float32" else select_runtime(device, model, threads)


def runtime_at_once(device: ComputeDevice, model: Model, threads: int = 1) -> ComputeDevice:
    """Return a device set as `select_runtime` decided, or to torch where that was not measured yet.

    So somebody who waits sees something soon. Torch then runs in the precision of the device, if
    that keeps the model's outputs, else in float32.

    Parameters
    ----------
    device, model, threads
        As for `select_runtime`.
    """
    if device.torch_name != "cpu":
        return device
    speed = remembered_speed(device, model, threads)
    if speed is None:
        begun = begun_at_once(device, model, threads)
        if begun is not None:
            return begun
        speed = _by_torch(device, model, threads)
        speed = store_speeds(_key_at_once(device, model, threads), [speed])[0]
    return _running_by(device, speed)


def begun_at_once(device: ComputeDevice, model: Model, threads: int = 1) -> ComputeDevice | None:
    """Return what runs were begun on before anything was measured; None if there was no such run.

    Parameters
    ----------
    device, model, threads
        As for `select_runtime`.
    """
    speed = next(iter(stored_speeds(_key_at_once(device, model, threads))), None)
    return None if speed is None else _running_by(device, speed)


def has_other_runtimes() -> bool:
    """Whether anything but torch is installed that may be faster on a CPU."""
    return any(is_installed(name) for name in ("onnxruntime", "openvino"))


def needs_measuring(device: ComputeDevice, model: Model, threads: int = 1) -> bool:
    """Whether `select_runtime` would measure, or compare, before it answers."""
    return device.torch_name == "cpu" and remembered_speed(device, model, threads) is None


def remembered_speed(device: ComputeDevice, model: Model, threads: int) -> Speed | None:
    """Return the choice for a model on the CPU; None if it is still to be made."""
    return next(iter(stored_speeds(_weights_key(device, model, threads))), None)


def describe_runtime(device: ComputeDevice, model: Model, threads: int = 1) -> str:
    """Return how the network runs on the CPU here, and what would be faster, as one line.

    Parameters
    ----------
    device, model, threads
        As for `select_runtime`; nothing is measured.
    """
    speed = remembered_speed(device, model, threads)
    if speed is None:
        line = "on the CPU: what runs the network fastest is measured when slides are first scored"
    else:
        name = _NAMES[speed.runtime]
        line = f"on the CPU: {name} in {speed.precision}, as measured on this computer"
    if computes_bfloat16() or has_other_runtimes():
        return line
    return f'{line}; ONNX Runtime may be faster here: pip install "napari-smse[onnx]"'


def _by_torch(device: ComputeDevice, model: Model, threads: int) -> Speed:
    """Torch in the device's precision, if the outputs for these weights hold in it."""
    if device.precision == "float32":
        return _AS_BUILT
    wanted = Speed("torch", device.precision, tiles_per_s=math.nan, deviation=math.nan)
    return _fastest_accurate([wanted], device, model, threads)


def _running_by(device: ComputeDevice, speed: Speed) -> ComputeDevice:
    return replace(device, runtime=speed.runtime, precision=speed.precision)


def selected_speed(device: ComputeDevice, model: Model, threads: int) -> Speed:
    """Return the choice for a model on the CPU, remembered or measured now."""
    trunk, weights = _trunk_key(device, model, threads), _weights_key(device, model, threads)
    speed = remembered_speed(device, model, threads)
    if speed is None:
        speeds = stored_speeds(trunk)
        if speeds:
            speed = _fastest_accurate(speeds, device, model, threads)
        else:
            speeds = measure(device, model, threads)
            speed = fastest_within_tolerance(speeds)
            store_speeds(trunk, speeds)
        speed = store_speeds(weights, [speed])[0]
    return speed


def _fastest_accurate(
    speeds: list[Speed], device: ComputeDevice, model: Model, threads: int
) -> Speed:
    """The fastest choice, as measured of the trunk, whose outputs for these weights hold."""
    tiles = _tiles(model.card.tile_px, device.batch_size)
    fastest_first = sorted(speeds, key=lambda speed: -speed.tiles_per_s)
    exact = dict(_runners(device, model, threads, [_EXACT], tiles))[_EXACT](tiles)[0]
    for speed in fastest_first:
        choice = speed.runtime, speed.precision
        for run in dict(_runners(device, model, threads, [choice], tiles)).values():
            measured = replace(speed, deviation=max_deviation(run(tiles)[0], exact))
            if measured.deviation <= TOLERANCE:
                return measured
    return _AS_BUILT


def fastest_within_tolerance(speeds: list[Speed]) -> Speed:
    """Return the fastest choice among those within the tolerance.

    Where nothing can be compared, as a network returns NaN, it is torch in float32.
    """
    accurate = (speed for speed in speeds if speed.deviation <= TOLERANCE)
    return max(accurate, key=lambda speed: speed.tiles_per_s, default=_AS_BUILT)


def measure(device: ComputeDevice, model: Model, threads: int) -> list[Speed]:
    """Measure every choice for a model on the CPU; torch in float32 is always among them.

    The choices take turns, so that what else the machine does at some moment counts for all.
    """
    tiles = _tiles(model.card.tile_px, device.batch_size)
    runners = dict(_runners(device, model, threads, _choices(), tiles))
    probabilities = {choice: run(tiles)[0] for choice, run in runners.items()}
    seconds = {choice: math.inf for choice in runners}
    for _ in range(_ROUNDS):
        for choice, run in runners.items():
            seconds[choice] = min(seconds[choice], _seconds(run, tiles))
    exact = probabilities[_EXACT]
    return [
        Speed(*choice, len(tiles) / seconds[choice], max_deviation(probabilities[choice], exact))
        for choice in runners
    ]


def max_deviation(probability: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Largest difference of probabilities, each as it would be at a probability of 0.5.

    Near 0 and 1 the softmax hides what a network lost, so the difference is that of the
    log-odds divided by four: what it comes to at a probability of 0.5.

    Parameters
    ----------
    probability, exact
        (n, classes).
    """
    odds, exact_odds = (_log_odds(values) for values in (probability, exact))
    return float(np.abs(odds - exact_odds).max()) / 4


def _log_odds(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    clipped = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _runners(
    device: ComputeDevice,
    model: Model,
    threads: int,
    choices: Iterable[RuntimeChoice],
    tiles: NDArray[np.uint8],
) -> Iterator[tuple[RuntimeChoice, TileRunner]]:
    """Make a runner of each choice that can classify tiles."""
    for choice in choices:
        runtime, precision = choice
        try:
            chosen = replace(device, runtime=runtime, precision=precision)
            run = build_runner(model, chosen, threads)
            run(tiles)
            yield choice, run
        except Exception:
            # Converters, and what they convert, fail in their own ways; what needs none remains.
            if choice == _EXACT:
                raise
            _log.warning("%s in %s cannot run %s", runtime, precision, model.card.name)
            _log.debug("its error", exc_info=True)


def _choices() -> Iterator[RuntimeChoice]:
    yield _EXACT
    if computes_bfloat16():
        yield "torch", "bfloat16"
    if is_installed("onnxruntime"):
        yield "onnxruntime", "float32"
    if is_installed("openvino"):
        # Not in bfloat16: it rounds the first layers too, which moved probabilities of real tiles
        # by up to 0.045.
        yield "openvino", "float32"


def _tiles(tile_px: int, count: int) -> NDArray[np.uint8]:
    from napari_smse.models.generated_tiles import generated_tile

    # Others than those that bfloat16 is corrected with.
    return np.stack([generated_tile(100 + number, tile_px, tile_px) for number in range(count)])


def _seconds(run: TileRunner, tiles: NDArray[np.uint8]) -> float:
    """Time of the faster of two batches: what else the machine does can only slow one down."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        run(tiles)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _trunk_key(device: ComputeDevice, model: Model, threads: int) -> str:
    """What a measurement holds for: another driver or trunk may turn the order round."""
    versions = [_version(name) for name in ("torch", "onnxruntime", "openvino")]
    shape = (model.card.trunk, model.card.tile_px, model.card.embedding_dim)
    return "|".join(map(str, (device.label, threads, device.batch_size, *shape, *versions)))


def _weights_key(device: ComputeDevice, model: Model, threads: int) -> str:
    return f"{_trunk_key(device, model, threads)}|{model.card.weights_sha256[:12]}"


def _key_at_once(device: ComputeDevice, model: Model, threads: int) -> str:
    return f"{_weights_key(device, model, threads)}|at once"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"
