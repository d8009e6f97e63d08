"""Exemplar banks on disk: one reader and one writer, for a bank's own file and for a model's."""

from __future__ import annotations

import json
from collections.abc import Sized
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_smse.atomic_write import write_atomic
from napari_smse.checksum import CHECKSUM, with_checksum, without_checksum
from napari_smse.errors import BankError
from napari_smse.models.card import EXEMPLARS_SUFFIX, WEIGHTS_SUFFIX
from napari_smse.models.model_files import model_paths
from napari_smse.scoring.tile_table import unit_length
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.tiles.appearance import MEASURES

_FACTS: Final = ("classes", "cases", "sources", "model")
_ADDED_FACTS: Final = ("slides", "licence", "drawn")
"""Banks of earlier versions lack some of these."""
_TENSORS: Final = frozenset({"embeddings", "labels", "mpps", "places", "thumbnails", "looks"})


def model_bank_path(weights: Path) -> Path:
    """Return where the exemplars of the weights in this file lie."""
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + EXEMPLARS_SUFFIX)


def bank_of(model: str | Path) -> ExemplarBank | None:
    """Return the exemplars that lie beside a model's weights; None if there are none.

    Raises
    ------
    ModelNotFoundError
        There is no such model.
    BankError
        There is a file of them that cannot be read.
    """
    weights, _ = model_paths(model)
    return _read_beside(weights)


def bank_of_weights(weights: Path, sha256: str) -> ExemplarBank | None:
    """Return the exemplars beside these weights, which need not be there any more.

    Parameters
    ----------
    weights
        File that a model was loaded from.
    sha256
        Of the weights: exemplars of others that were left there are none of this model.

    Returns
    -------
    ExemplarBank or None
        None if there are none of this model.

    Raises
    ------
    BankError
        There is a file of them that cannot be read.
    """
    bank = _read_beside(weights)
    return bank if bank is not None and bank.model == sha256 else None


def save_bank(bank: ExemplarBank, path: Path) -> None:
    """Write a bank as one file, whole or not at all; embeddings are stored in float16.

    Raises
    ------
    BankError
        The file cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {
        "embeddings": bank.embeddings.astype(np.float16),
        "labels": bank.labels,
        "mpps": bank.mpps,
        "places": bank.places,
    }
    if bank.thumbnails is not None:
        tensors["thumbnails"] = bank.thumbnails
    if np.isfinite(bank.appearances).any():
        tensors["looks"] = bank.appearances
    facts = {name: json.dumps(getattr(bank, name)) for name in (*_FACTS, *_ADDED_FACTS)}
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        write_atomic(path, save(whole, metadata=with_checksum(facts, whole)))
    except OSError as error:
        raise BankError(
            f"{path} cannot be written ({error.strerror or error}): choose a folder that you may "
            "write to, on a disk with room."
        ) from error


def load_bank(path: Path) -> ExemplarBank:
    """Read a bank, or the exemplars that lie beside a model.

    Raises
    ------
    BankError
        The file is missing, cut off, or holds something else.
    """
    return _read(path, "choose a file that was saved as a bank, or save the bank again")


def _read_beside(weights: Path) -> ExemplarBank | None:
    path = model_bank_path(weights)
    if not path.exists():
        return None
    return _read(path, "get the model again, or remove this file to go on without its exemplars")


def _read(path: Path, remedy: str) -> ExemplarBank:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = _checked(file.metadata() or {}, tensors, path)
            facts = {name: json.loads(metadata[name]) for name in _FACTS}
        bank = ExemplarBank(
            unit_length(tensors["embeddings"]),
            tensors["labels"].astype(np.int64),
            tensors["mpps"].astype(np.float32),
            tuple(facts["classes"]),
            tuple(facts["cases"]),
            tuple(facts["sources"]),
            facts["model"],
            tuple(json.loads(metadata.get("slides", "[]"))),
            tensors.get("places", np.empty((0, 4), np.int32)),
            tensors.get("thumbnails"),
            json.loads(metadata.get("licence", '""')),
            tensors.get("looks", np.empty((0, len(MEASURES)), np.float32)),
            tuple(json.loads(metadata.get("drawn", "[]"))),
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise BankError(f"{path} holds no exemplars ({_reason(error)}): {remedy}.") from error
    if not (_is_shaped(bank) and _fits_together(bank)):
        raise BankError(f"{path} is damaged (its columns do not fit together): {remedy}.")
    return bank


def _checked(
    metadata: dict[str, str], tensors: dict[str, NDArray[Any]], path: Path
) -> dict[str, str]:
    """Return the facts of a bank that are what was written, with its tensors."""
    unknown = metadata.keys() - {*_FACTS, *_ADDED_FACTS, CHECKSUM} | tensors.keys() - _TENSORS
    if unknown:
        raise ValueError(f"it has {min(unknown)!r}, which is not known here")
    return without_checksum(metadata, path, tensors)


def _is_shaped(bank: ExemplarBank) -> bool:
    pictures = bank.thumbnails
    edges = (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return (
        bank.labels.ndim == bank.mpps.ndim == 1
        and bank.places.shape[1:] == (4,)
        and bank.appearances.shape[1:] == (len(MEASURES),)
        and (pictures is None or (pictures.dtype == np.uint8 and pictures.shape[1:] == edges))
    )


def _fits_together(bank: ExemplarBank) -> bool:
    columns: list[Sized] = [bank.embeddings, bank.labels, bank.mpps, bank.places, bank.appearances]
    columns += [bank.cases, bank.sources, bank.slides, bank.drawn]
    columns += [] if bank.thumbnails is None else [bank.thumbnails]
    known = ((bank.labels >= 0) & (bank.labels < len(bank.classes))).all()
    scaled = (np.isfinite(bank.mpps) & (bank.mpps > 0)).all()
    return {len(column) for column in columns} == {len(bank)} and bool(known and scaled)


def _reason(error: Exception) -> str:
    missing = f"no {error}" if isinstance(error, KeyError) else str(error)
    return missing.splitlines()[0] if missing else type(error).__name__
