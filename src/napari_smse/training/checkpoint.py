"""Trainings on disk, so that a killed one goes on exactly; nothing is pickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import TrainingError
from napari_smse.models.smse_network import SmseNetwork

START_NAME: Final = "start.safetensors"
CHECKPOINT_NAME: Final = "checkpoint.safetensors"
_FACTS: Final = "training"
_FORMAT: Final = 1


class Saved(NamedTuple):
    """A checkpoint.

    Attributes
    ----------
    tensors
        By name.
    facts
        JSON values: step, signature and the like.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class TrainingFolder:
    """The folder of one training.

    Parameters
    ----------
    path
        Made if it does not exist.
    signature
        Of recipe and data, `training_signature`.

    Raises
    ------
    TrainingError
        The folder cannot be made.
    """

    def __init__(self, path: Path, signature: str) -> None:
        self.path = path
        self._signature = signature
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{path} cannot be made ({error.strerror}): give another folder for the training."
            ) from error

    def load(self, name: str = CHECKPOINT_NAME) -> Saved | None:
        """Return a checkpoint of this training; none if there is none yet.

        Raises
        ------
        TrainingError
            It is another training's, or cannot be read.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_FACTS])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path} is not a whole checkpoint ({error}): delete {self.path} and train anew."
            ) from error
        if facts.get("signature") != self._signature or facts.get("format") != _FORMAT:
            raise TrainingError(
                f"{self.path} holds the training of another recipe or of other images: give "
                "another folder, or delete it."
            )
        return Saved(tensors, facts)

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], name: str) -> None:
        """Write a checkpoint whole, or leave the one before it.

        Raises
        ------
        TrainingError
            The system refuses.
        """
        metadata = {**facts, "signature": self._signature, "format": _FORMAT}
        on_cpu = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        blob = save(on_cpu, {_FACTS: json.dumps(metadata)})
        path = self.path / name
        part = path.with_name(f".{name}.{uuid4().hex[:8]}.part")
        try:
            with part.open("wb") as stream:
                stream.write(blob)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError as error:
            raise TrainingError(
                f"{path} cannot be written ({error.strerror}): free some space or give another "
                "folder; the checkpoint before it is kept."
            ) from error
        finally:
            part.unlink(missing_ok=True)


def training_signature(
    recipe: BaseModel,
    images: Sequence[LabelledImage],
    training: Sequence[int],
    validation: Sequence[int],
    network: torch.nn.Module,
) -> str:
    """Return a hash that identifies a training: recipe, images, network.

    Of an image its file, field, label, case, scales and which side it is on count; of the network
    the names and shapes of its weights, and the weights of an encoder.

    Parameters
    ----------
    recipe
        Any frozen record of settings.
    images
        Of the labelled set.
    training, validation
        Indices into them.
    network
        To be trained.
    """
    found = hashlib.sha256(recipe.model_dump_json(by_alias=True).encode())
    for side, indices in (("training", training), ("validation", validation)):
        for i in indices:
            found.update(f"{side} {_described(images[i])}\n".encode())
    for name, tensor in network.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)}\n".encode())
    if isinstance(network, SmseNetwork) and network.trunk.is_stored_apart:
        # Its weights are not in the folder, so they have to be the same again.
        found.update(network.trunk.weights_sha256.encode())
    return found.hexdigest()


def _described(image: LabelledImage) -> str:
    facts = (image.path.resolve(), image.region, image.label, image.case)
    return repr((*map(str, facts), image.mpp, image.mpp_range, image.source, image.stratum))


def flat_optimiser(
    optimiser: torch.optim.Optimizer, names: Mapping[Tensor, str]
) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors called ``optimiser/KIND/PARAMETER``."""
    return {
        f"optimiser/{kind}/{names[parameter]}": value
        for parameter, state in optimiser.state.items()
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def fill_optimiser(
    optimiser: torch.optim.Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Give an optimiser the state that `flat_optimiser` returned."""
    parameter_of = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        if not key.startswith("optimiser/"):
            continue
        _, kind, name = key.split("/", 2)
        parameter = parameter_of[name]
        # Adam counts its steps on the CPU, wherever the parameter is.
        state = value.clone() if kind == "step" else torch.empty_like(parameter).copy_(value)
        optimiser.state[parameter][kind] = state.detach()
