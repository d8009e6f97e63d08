"""Which WSInfer models somebody has agreed to run, and what they gave when they were tried.

TorchScript is a program, and whose it is cannot be known from its file. So it is run only after a
person agreed to this very content, by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import DamagedModelError
from napari_smse.models.card import ExpectedOutput, ModelCard
from napari_smse.models.wsinfer.configuration import (
    WsinferConfiguration,
    read_configuration,
    stated_licence,
    wsinfer_paths,
)

TRUNK_PREFIX: Final = "wsinfer/"
_NO_EMBEDDING: Final = 1
_LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Made by others: nothing was measured here, and what it was trained on is not recorded.",
)


class Agreement(BaseModel):
    """That a person agreed to run an archive, and what it gave.

    Attributes
    ----------
    path
        Of the archive, as it was then.
    sha256
        Of its content.
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


def agreement_for(sha256: str) -> Agreement | None:
    """Return what was agreed to of an archive; None if nobody did on this machine."""
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


def archive_sha256(archive: Path) -> str:
    """Return the SHA-256 of an archive.

    Raises
    ------
    DamagedModelError
        It cannot be read.
    """
    try:
        state = archive.stat()
        return _sha256(archive, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise DamagedModelError(
            f"{archive} cannot be read ({error.strerror}): get the model again."
        ) from error


@lru_cache(maxsize=32)
def _sha256(archive: Path, _size: int, _time: int) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    archive, configuration_path = wsinfer_paths(path)
    configuration = read_configuration(configuration_path)
    sha256 = archive_sha256(archive)
    return card_of(archive, configuration, sha256, agreement_for(sha256))


def card_of(
    archive: Path,
    configuration: WsinferConfiguration,
    sha256: str,
    agreement: Agreement | None,
) -> ModelCard:
    """Return the card of an archive with its configuration."""
    embedding_dim = 0 if agreement is None else agreement.embedding_dim
    licence = stated_licence(archive.parent)
    return ModelCard(
        name=archive.parent.name,
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
        weights_sha256=sha256,
        parent="a model in WSInfer's format",
    )


def _record(sha256: str) -> Path:
    return platformdirs.user_data_path("napari-smse") / "wsinfer" / f"{sha256}.json"
