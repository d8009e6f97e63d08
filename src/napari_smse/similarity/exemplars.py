"""Exemplars: embeddings of labelled tiles a model learnt from, kept beside its weights.

They are what a later training must not forget, and hold no pixel of any patient.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import DamagedModelError
from napari_smse.models.card import EXEMPLARS_SUFFIX, WEIGHTS_SUFFIX

if TYPE_CHECKING:
    from napari_smse.models.checkpoint import Model

_FACTS: Final = ("classes", "cases", "sources", "model")


@dataclass(frozen=True)
class Exemplars:
    """Embeddings of labelled tiles.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    labels
        ``(n,)`` int64, indices into `classes`.
    mpps
        ``(n,)`` float32, um/px of the tiles.
    classes
        Names.
    cases, sources
        Of each tile.
    model
        sha256 of the weights that made them; embeddings of two models do not compare.
    """

    embeddings: Tensor
    labels: Tensor
    mpps: Tensor
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    sources: tuple[str, ...]
    model: str

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, older: Exemplars, embeddings: Tensor) -> Exemplars:
        """Return these and, where the classes are the same, older ones.

        Parameters
        ----------
        older
            Of the model that these came from.
        embeddings
            ``(n, d)``, where the older ones lie for the model of these.
        """
        if older.classes != self.classes:
            return self
        return replace(
            self,
            embeddings=torch.cat([embeddings, self.embeddings]),
            labels=torch.cat([older.labels, self.labels]),
            mpps=torch.cat([older.mpps, self.mpps]),
            cases=older.cases + self.cases,
            sources=older.sources + self.sources,
        )


def exemplars_path(weights: Path) -> Path:
    """Return where the exemplars of the weights in this file lie."""
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + EXEMPLARS_SUFFIX)


def save_exemplars(exemplars: Exemplars, path: Path) -> None:
    """Write one file, whole or not at all; embeddings are stored in float16."""
    tensors = {
        "embeddings": exemplars.embeddings.half().contiguous(),
        "labels": exemplars.labels.contiguous(),
        "mpps": exemplars.mpps.contiguous(),
    }
    facts = {name: json.dumps(getattr(exemplars, name)) for name in _FACTS}
    write_atomic(path, save(tensors, metadata=facts))


def load_exemplars(path: Path) -> Exemplars:
    """Read exemplars.

    Raises
    ------
    DamagedModelError
        The file is missing, cut off, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = {name: json.loads((file.metadata() or {})[name]) for name in _FACTS}
            tensors = {name: file.get_tensor(name) for name in ("embeddings", "labels", "mpps")}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DamagedModelError(
            f"{path} holds no exemplars ({error}): get the model again, or train without them."
        ) from error
    found = Exemplars(
        torch.nn.functional.normalize(tensors["embeddings"].float(), dim=1),
        tensors["labels"],
        tensors["mpps"],
        tuple(facts["classes"]),
        tuple(facts["cases"]),
        tuple(facts["sources"]),
        facts["model"],
    )
    sizes = {len(found.embeddings), len(found.labels), len(found.mpps), len(found.cases)}
    if sizes != {len(found.sources)}:
        raise DamagedModelError(f"{path} holds columns of different lengths: get it again.")
    return found


def exemplars_of(model: Model) -> Exemplars | None:
    """Return the exemplars that lie beside a model's weights, if there are any of this model.

    Raises
    ------
    DamagedModelError
        There is a file of them that cannot be read.
    """
    path = exemplars_path(model.path)
    if not path.exists():
        return None
    found = load_exemplars(path)
    return found if found.model == model.card.weights_sha256 else None
