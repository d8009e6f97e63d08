"""A model's network in int8, on disk: which there is, and what runs it.

It is data of the user and not a cache: what it scored can only go on as long as it is there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import platformdirs

from napari_smse.atomic_write import output_error
from napari_smse.errors import DeviceError, ModelError
from napari_smse.models.card import ModelCard
from napari_smse.scoring.device import ComputeDevice, Quantisation
from napari_smse.scoring.runtimes.base import is_installed
from napari_smse.scoring.runtimes.network_archive import (
    ConvertedFiles,
    read_archive,
    write_archive,
)

NETWORK_FILES: Final = ("network.xml", "network.bin")
"""OpenVINO's form of a network: its layers and its weights."""

_FACTS: Final = "quantisation.json"


def device_in_int8(device: ComputeDevice, card: ModelCard) -> ComputeDevice:
    """Return a CPU set to run a model's network in int8.

    Parameters
    ----------
    device
        The chosen device.
    card
        Of the model.

    Raises
    ------
    DeviceError
        It is a GPU, or OpenVINO is not installed.
    ModelError
        The model was not quantised on this machine.
    """
    require_int8(device)
    quantisation = find_quantisation(card.weights_sha256)
    if quantisation is None:
        raise ModelError(
            f"There is no int8 network of model {card.label} on this machine: run napari-smse "
            "models quantise with the model and some slides of yours first, or leave out int8."
        )
    return replace(device, precision="int8", runtime="openvino", quantisation=quantisation)


def require_int8(device: ComputeDevice) -> None:
    """Refuse a device that does not compute in int8; raises `DeviceError`."""
    if device.torch_name != "cpu":
        raise DeviceError(
            f"int8 is for CPUs, and {device.label} is none: choose the device cpu, or leave out "
            "int8."
        )
    if not is_installed("openvino"):
        raise DeviceError(
            'int8 needs OpenVINO: run pip install "napari-smse[int8]", or leave out int8.'
        )


def find_quantisation(weights_sha256: str) -> Quantisation | None:
    """Return what is known of a model's int8 network; None if there is none, or it is damaged."""
    files = read_archive(_path(weights_sha256))
    return None if files is None else Quantisation(**json.loads(files[_FACTS]))


def quantised_files(card: ModelCard, wanted: Quantisation | None) -> ConvertedFiles:
    """Return the files of a model's int8 network.

    Raises
    ------
    DeviceError
        There is none on this machine, or another one than is wanted.
    """
    files = read_archive(_path(card.weights_sha256))
    if wanted is None or files is None or network_sha256(files) != wanted.network_sha256:
        raise DeviceError(
            f"This machine has another int8 network of model {card.label}, or none: copy "
            f"{_path(card.weights_sha256)} from the machine that made it, or score without int8."
        )
    return {name: files[name] for name in NETWORK_FILES}


def write_quantised(card: ModelCard, files: ConvertedFiles, quantisation: Quantisation) -> None:
    """Keep a model's int8 network, in place of an earlier one.

    Raises
    ------
    OutputError
        It cannot be written; an earlier one stays.
    """
    path, facts = _path(card.weights_sha256), json.dumps(asdict(quantisation), indent=2).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_archive(path, {**files, _FACTS: facts})
    except OSError as error:
        raise output_error(path, error) from error


def network_sha256(files: ConvertedFiles) -> str:
    """Return the SHA-256 of a network's weights and ranges.

    The names of its layers are left out: they are others whenever it is made from the same tiles.
    """
    return hashlib.sha256(files[NETWORK_FILES[1]]).hexdigest()


def quantised_folder() -> Path:
    """Folder of all int8 networks of this user."""
    return platformdirs.user_data_path("napari-smse") / "int8"


def _path(weights_sha256: str) -> Path:
    return quantised_folder() / f"{weights_sha256}.int8"
