"""Which WSInfer models somebody has agreed to run, and what they gave when they were tried.

TorchScript is a program, and whose it is cannot be known from its file. So it is run only after a
person agreed to this very content: archive, configuration and weights.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import DamagedModelError
from napari_smse.models.card import ExpectedOutput, ModelCard
from napari_smse.models.wsinfer.configuration import (
    STATE_NAME,
    WsinferConfiguration,
    read_configuration,
    stated_licence,
    wsinfer_paths,
)

TRUNK_PREFIX: Final = "wsinfer/"
_NO_EMBEDDING: Final = 1
_HUB_PREFIX: Final = "models--"
_LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Made by others: nothing was measured here, and what it was trained on is not recorded.",
)


class WsinferFiles(NamedTuple):
    """A WSInfer model's folder.

    Attributes
    ----------
    archive
        Of TorchScript.
    configuration
        What it says of the model.
    sha256
        Of archive, configuration and weights together.
    """

    archive: Path
    configuration: WsinferConfiguration
    sha256: str


class Agreement(BaseModel):
    """That a person agreed to run a model, and what it gave.

    Attributes
    ----------
    path
        Of the archive, as it was then.
    sha256
        Of the model's files, as in `WsinferFiles`.
    embedding_dim
        Features before its classifier, where timm's network gives the same logits; else 0, and
        the archive itself is run.
    expected
        Its outputs for generated tiles.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    embedding_dim: int
    expected: tuple[ExpectedOutput, ...]


def read_files(path: str | Path) -> WsinferFiles:
    """Read what a WSInfer model's folder holds; nothing of it is run.

    Parameters
    ----------
    path
        The folder, the archive, or the configuration.

    Raises
    ------
    DamagedModelError
        The folder is not whole, or its configuration says something impossible.
    """
    archive, configuration_path = wsinfer_paths(path)
    configuration = read_configuration(configuration_path)
    weights = archive.parent / STATE_NAME
    try:
        found = [_sha256_of(archive), _sha256_of(configuration_path)]
        found.append(_sha256_of(weights) if weights.is_file() else "")
    except OSError as error:
        raise DamagedModelError(
            f"{archive.parent} cannot be read ({error.strerror}): get the model again."
        ) from error
    whole = hashlib.sha256(" ".join(found).encode()).hexdigest()
    return WsinferFiles(archive, configuration, whole)


def agreement_for(sha256: str) -> Agreement | None:
    """Return what was agreed to of a model's files; None if nobody did on this machine."""
    try:
        return Agreement.model_validate_json(_record(sha256).read_bytes())
    except (OSError, ValidationError):
        return None


def agreements() -> list[Agreement]:
    """Return all that was agreed to on this machine and is still there, by path."""
    kept = (agreement_for(path.stem) for path in _record("").parent.glob("*.json"))
    found = (one for one in kept if one is not None and Path(one.path).is_file())
    return sorted(found, key=lambda one: one.path)


def keep_agreement(agreement: Agreement) -> None:
    """Remember an agreement on this machine.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    path = _record(agreement.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(agreement.model_dump(mode="json"), indent=1).encode())


def wsinfer_card(path: str | Path) -> ModelCard:
    """Return a WSInfer model's card, as far as its folder says.

    Parameters
    ----------
    path
        Its folder, its archive, or its configuration.

    Raises
    ------
    DamagedModelError
        The folder is not whole, or its configuration says something impossible.
    """
    files = read_files(path)
    return card_of(files, agreement_for(files.sha256))


def card_of(files: WsinferFiles, agreement: Agreement | None) -> ModelCard:
    """Return the card of a model, with what it gave if it was tried."""
    configuration = files.configuration
    embedding_dim = 0 if agreement is None else agreement.embedding_dim
    licence = stated_licence(files.archive.parent)
    return ModelCard(
        name=_name_of(files.archive.parent),
        version="WSInfer",
        classes=configuration.classes,
        tile_px=configuration.input_px,
        mpp_range=(configuration.mpp, configuration.mpp),
        trunk=f"{TRUNK_PREFIX}{configuration.architecture or 'TorchScript'}",
        embedding_dim=embedding_dim or _NO_EMBEDDING,
        has_embedding=embedding_dim > 0,
        intended_use=f"Research use only. Licence: {licence}.",
        limits=_LIMITS,
        expected=() if agreement is None else agreement.expected,
        weights_sha256=files.sha256,
        parent="a model in WSInfer's format",
    )


def _name_of(folder: Path) -> str:
    """Return the name of a model's folder; in the hub's cache, that of its repository."""
    parts = folder.absolute().parts
    of_hub = [part for part in parts if part.startswith(_HUB_PREFIX)]
    return of_hub[-1].rsplit("--", 1)[1] if of_hub else folder.resolve().name


def _sha256_of(path: Path) -> str:
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(sha256: str) -> Path:
    return platformdirs.user_data_path("napari-smse") / "wsinfer" / f"{sha256}.json"
