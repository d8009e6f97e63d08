"""Models on disk: safetensors weights with a JSON card beside them, nothing pickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import (
    DamagedModelError,
    ModelError,
    ModelNotFoundError,
    UnknownEncoderError,
)
from napari_smse.models.card import CARD_SUFFIX, WEIGHTS_SUFFIX, ModelCard, card_json
from napari_smse.models.encoders import Encoder, find_encoder
from napari_smse.models.encoders.encoder_card import encoder_card
from napari_smse.models.encoders.weight_files import weights_path
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.models.model_files import (
    find_encoder_model,
    model_paths,
    model_stem,
    read_card,
)
from napari_smse.models.self_test import expected_outputs, run_self_test
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import (
    SmseNetwork,
    embedding_network,
    load_stored_state,
    stored_state,
)
from napari_smse.models.trunk import Trunk
from napari_smse.models.wsinfer import wsinfer_place
from napari_smse.models.wsinfer.loading import load_wsinfer


@dataclass
class Model:
    """A network in evaluation mode, its card, and where its weights lie."""

    network: nn.Module
    card: ModelCard
    path: Path


def build_network(card: ModelCard, trunk: Trunk | None = None) -> SmseNetwork | SmseCnn:
    """Build the untrained network a card describes, on a trunk if it is built already."""
    if card.trunk == SmseCnn.trunk_name:
        return SmseCnn(len(card.classes))
    return SmseNetwork(trunk or card.trunk, card.embedding_dim, len(card.classes))


def load_model(
    model: str | Path = "bundled",
    *,
    self_test: bool = True,
    encoder_weights: str | Path | None = None,
) -> Model:
    """Load a model, float32 and channels last on the CPU, in evaluation mode.

    Parameters
    ----------
    model
        ``"bundled"``, a bundled model's name, or a path (weights, card, or their stem); of a
        WSInfer model its folder; an encoder's name, or its weights if they were used before.
    self_test
        Compare the outputs on generated tiles with those the card promises.
    encoder_weights
        Where the weights of its encoder lie, for an encoder or a model of heads alone; by default
        where they were found before, or the hub's cache.

    Raises
    ------
    ModelNotFoundError
        There is no such model.
    DamagedModelError
        Weights or card are missing, unreadable, or do not belong together.
    EncoderWeightsError
        The weights of its encoder are not here, or are not those it was made with.
    SelfTestError
        The network does not give the outputs its card promises.
    """
    if (place := wsinfer_place(model)) is not None:
        return _load_wsinfer(place, self_test=self_test)
    if (encoder := _encoder_named(model, encoder_weights)) is not None:
        return _load_encoder(*encoder)
    card = read_card(model)
    if card.encoder is not None and not card.encoder.sha256:
        raise ModelNotFoundError(
            f"{card.name} is known here by its features alone, which were read from a file: get "
            f"the encoder's weights (`napari-smse models get {card.name}`), and open the features "
            "again."
        )
    path, _ = model_paths(model)
    network = build_network(card, _encoder_of(card, encoder_weights))
    _fill(network, _read_weights(path, card.weights_sha256), path)
    network.eval().to(memory_format=torch.channels_last)
    if self_test:
        run_self_test(network, card)
    return Model(network, card, path)


def _load_wsinfer(model: str | Path, *, self_test: bool) -> Model:
    network, card, path = load_wsinfer(model)
    if self_test:
        run_self_test(network, card)
    return Model(network, card, path)


def _encoder_named(model: str | Path, weights: str | Path | None) -> tuple[Encoder, Path] | None:
    if weights is None:
        return find_encoder_model(model)
    try:
        encoder = find_encoder(str(model))
    except UnknownEncoderError:
        return None
    return encoder, weights_path(encoder, weights)


def _load_encoder(encoder: Encoder, path: Path) -> Model:
    trunk = load_encoder(encoder, path)
    network = embedding_network(trunk).eval().to(memory_format=torch.channels_last)
    return Model(network, encoder_card(encoder, path), path)


def save_model(network: nn.Module, card: ModelCard, path: str | Path) -> Path:
    """Write ``PATH.safetensors`` and ``PATH.json``, each whole or not at all.

    Matrices and kernels are stored in float16; vectors (biases, batch normalisation)
    stay float32, because running variances can leave float16's range. The card's
    self-test and checksum are made from what was written.

    Returns
    -------
    Path
        Path of the weights.

    Raises
    ------
    ModelError
        A weight is not finite in float16.
    """
    stem = model_stem(path)
    weights = stem.with_name(stem.name + WEIGHTS_SUFFIX)
    stem.parent.mkdir(parents=True, exist_ok=True)
    tensors = _packed(network)
    blob = save(tensors)
    trunk = _trunk_stored_apart(network)
    stored = build_network(card, trunk)
    _fill(stored, tensors, weights)
    if trunk is not None:
        # A trunk that is not in the file is on the device that the network is used on.
        stored.to(next(trunk.parameters()).device)
    card = card.model_copy(
        update={
            "weights_sha256": hashlib.sha256(blob).hexdigest(),
            "expected": expected_outputs(stored, card),
        }
    )
    write_atomic(weights, blob)
    write_atomic(stem.with_name(stem.name + CARD_SUFFIX), card_json(card).encode())
    return weights


def _packed(network: nn.Module) -> dict[str, Tensor]:
    return {name: _stored(name, tensor) for name, tensor in stored_state(network).items()}


def _trunk_stored_apart(network: nn.Module) -> Trunk | None:
    if isinstance(network, SmseNetwork) and network.trunk.is_stored_apart:
        return network.trunk
    return None


def _encoder_of(card: ModelCard, path: str | Path | None) -> Trunk | None:
    if card.encoder is None:
        return None
    return load_encoder(find_encoder(card.encoder.name), path, card.encoder.sha256)


def _stored(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    halved = name.endswith("weight") and tensor.ndim > 1
    stored = tensor.half() if halved else tensor.float()
    if not torch.isfinite(stored).all():
        raise ModelError(f"Weight {name} is not finite as stored: train again.")
    return stored


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise DamagedModelError(
            f"{path} cannot be read ({error.strerror}): get the model again."
        ) from error
    try:
        tensors = load(blob)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedModelError(
            f"{path} is not a whole safetensors file ({error}): get the model again."
        ) from error
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise DamagedModelError(
            f"{path} is not the file its card was written for (sha256 differs): get both again."
        )
    return tensors


def _fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        load_stored_state(network, tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise DamagedModelError(
            f"{path} does not fit the network its card describes ({reason}): get both again."
        ) from error


def write_tensor(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array as a bare tensor, such as ``torch.load(path, weights_only=True)`` reads.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with path.open("wb") as stream:
        torch.save(torch.from_numpy(np.ascontiguousarray(values)), stream)
