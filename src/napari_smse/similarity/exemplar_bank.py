"""The exemplar bank: labelled tiles by their embeddings, which tiles of a slide are compared with.

A bank is one file. It holds no pixel of a patient unless thumbnails were added on purpose, and the
exemplars that lie beside a model are a bank, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import BankError
from napari_smse.models.card import (
    EXEMPLARS_SUFFIX,
    WEIGHTS_SUFFIX,
    ModelCard,
    model_paths,
)
from napari_smse.scoring.tile_table import unit_length
from napari_smse.similarity.ood.appearance import MEASURES
from napari_smse.slides import Region

THUMBNAIL_PX: Final = 56
"""Edge of an exemplar's picture, px."""

_NOWHERE: Final = (-1, -1, 0, 0)
_FACTS: Final = ("classes", "cases", "sources", "model")


@dataclass(frozen=True)
class ExemplarBank:
    """Labelled tiles by their embeddings.

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
        Of each tile; a source is a data set, or the name of a slide.
    model
        sha256 of the weights that made the embeddings; those of two models do not compare.
    slides
        Of each tile, its slide's quick hash; empty where there is none to fly to.
    places
        ``(n, 4)`` int32: x, y, width, height on that slide, level-0 px.
    thumbnails
        ``(n, THUMBNAIL_PX, THUMBNAIL_PX, 3)`` uint8; black where there is none. None if no tile
        has one.
    licence
        What the thumbnails may be used for, as their data set says.
    looks
        ``(n, k)`` float32, what the tiles look like (`similarity.ood.appearance`); NaN where that
        is not known.
    drawn
        Of each tile, which of the areas drawn on its slide it is of; empty where that is not known.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    mpps: NDArray[np.float32]
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    sources: tuple[str, ...]
    model: str
    slides: tuple[str, ...] = ()
    places: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 4), np.int32))
    thumbnails: NDArray[np.uint8] | None = None
    licence: str = ""
    looks: NDArray[np.float32] = field(default_factory=lambda: _no_looks(0))
    drawn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in that tiles lie nowhere and look like nothing, where nothing is said of that."""
        number = len(self.labels)
        for name in ("slides", "drawn"):
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * number)
        if not len(self.places):
            nowhere = np.tile(np.array(_NOWHERE, np.int32), (number, 1))
            object.__setattr__(self, "places", nowhere)
        if not len(self.looks):
            object.__setattr__(self, "looks", _no_looks(number))

    def __len__(self) -> int:
        """Number of exemplars."""
        return len(self.labels)

    def class_name(self, row: int) -> str:
        """Class of an exemplar."""
        return self.classes[int(self.labels[row])]

    def region(self, row: int) -> Region | None:
        """Where an exemplar lies on its slide, level-0 px; None if it lies on none."""
        if not self.slides[row]:
            return None
        return Region(*(int(side) for side in self.places[row]))

    def thumbnail(self, row: int) -> NDArray[np.uint8] | None:
        """Picture of an exemplar, RGB; None if it has none."""
        if self.thumbnails is None or not self.thumbnails[row].any():
            return None
        picture: NDArray[np.uint8] = self.thumbnails[row]
        return picture

    def require_model(self, model: str, name: str) -> None:
        """Refuse to be compared with the embeddings of another model.

        Parameters
        ----------
        model
            sha256 of the weights that made the other embeddings.
        name
            What that model is called.

        Raises
        ------
        BankError
            They are of another model; the message names both.
        """
        if self.model != model:
            raise BankError(
                f"This bank was made by the model {self.model[:12] or 'of no name'}, the slide was "
                f"scored by {name} ({model[:12]}): embeddings of two models do not compare. Score "
                "the slide with the bank's model, or take a bank of this one."
            )

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> ExemplarBank:
        """Return these exemplars, in this order."""
        index = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            embeddings=self.embeddings[index],
            labels=self.labels[index],
            mpps=self.mpps[index],
            cases=tuple(self.cases[row] for row in index),
            sources=tuple(self.sources[row] for row in index),
            slides=tuple(self.slides[row] for row in index),
            places=self.places[index],
            thumbnails=None if self.thumbnails is None else self.thumbnails[index],
            looks=self.looks[index],
            drawn=tuple(self.drawn[row] for row in index),
        )

    def without(self, rows: Sequence[int]) -> ExemplarBank:
        """Return all but these exemplars."""
        return self.take(np.setdiff1d(np.arange(len(self)), np.asarray(rows, dtype=np.intp)))

    def on_slides(self) -> ExemplarBank:
        """Return the exemplars that lie on slides: those added to what a model brought."""
        return self.take(np.flatnonzero([bool(slide) for slide in self.slides]))

    def joined(self, other: ExemplarBank) -> ExemplarBank:
        """Return these exemplars and then the other ones; classes that only those have come last.

        Raises
        ------
        BankError
            They are of another model.
        """
        other.require_model(self.model, "another bank's model")
        classes = (*self.classes, *(name for name in other.classes if name not in self.classes))
        number = np.array([classes.index(name) for name in other.classes], dtype=np.int64)
        # A slide that has another name by now is still one case.
        known = {slide: case for slide, case in zip(self.slides, self.cases, strict=True) if slide}
        named = zip(other.slides, other.cases, strict=True)
        thumbnails = None
        if self.thumbnails is not None or other.thumbnails is not None:
            thumbnails = np.concatenate([_pictures(self), _pictures(other)])
        return replace(
            self,
            embeddings=np.concatenate([self.embeddings, other.embeddings]),
            labels=np.concatenate([self.labels, number[other.labels]]),
            mpps=np.concatenate([self.mpps, other.mpps]),
            classes=classes,
            cases=self.cases + tuple(known.get(slide, case) for slide, case in named),
            sources=self.sources + other.sources,
            slides=self.slides + other.slides,
            places=np.concatenate([self.places, other.places]),
            thumbnails=thumbnails,
            licence="\n".join(dict.fromkeys(filter(None, (self.licence, other.licence)))),
            looks=np.concatenate([self.looks, other.looks]),
            drawn=self.drawn + other.drawn,
        )


def empty_bank(card: ModelCard) -> ExemplarBank:
    """Return a bank of a model without any exemplar."""
    return ExemplarBank(
        np.empty((0, card.embedding_dim), np.float32),
        np.empty(0, np.int64),
        np.empty(0, np.float32),
        card.classes,
        (),
        (),
        card.weights_sha256,
    )


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
    path = weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + EXEMPLARS_SUFFIX)
    return load_bank(path) if path.exists() else None


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
    if np.isfinite(bank.looks).any():
        tensors["looks"] = bank.looks
    facts = {
        name: json.dumps(getattr(bank, name)) for name in (*_FACTS, "slides", "licence", "drawn")
    }
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        write_atomic(path, save(whole, metadata=facts))
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
    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            facts = {name: json.loads(told[name]) for name in _FACTS}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        bank = ExemplarBank(
            unit_length(tensors["embeddings"]),
            tensors["labels"].astype(np.int64),
            tensors["mpps"].astype(np.float32),
            tuple(facts["classes"]),
            tuple(facts["cases"]),
            tuple(facts["sources"]),
            facts["model"],
            tuple(json.loads(told.get("slides", "[]"))),
            tensors.get("places", np.empty((0, 4), np.int32)),
            tensors.get("thumbnails"),
            json.loads(told.get("licence", '""')),
            tensors.get("looks", _no_looks(0)),
            tuple(json.loads(told.get("drawn", "[]"))),
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BankError(
            f"{path} holds no exemplars ({_reason(error)}): choose a file that was saved as a bank."
        ) from error
    _require_whole(bank, path)
    return bank


def _require_whole(bank: ExemplarBank, path: Path) -> None:
    if not (_is_shaped(bank) and _fits_together(bank)):
        raise BankError(
            f"{path} is damaged (its columns do not fit together): save the bank again."
        )


def _is_shaped(bank: ExemplarBank) -> bool:
    pictures = bank.thumbnails
    edges = (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return (
        bank.labels.ndim == bank.mpps.ndim == 1
        and bank.places.shape[1:] == (4,)
        and bank.looks.shape[1:] == (len(MEASURES),)
        and (pictures is None or (pictures.dtype == np.uint8 and pictures.shape[1:] == edges))
    )


def _fits_together(bank: ExemplarBank) -> bool:
    columns: list[Sized] = [bank.embeddings, bank.labels, bank.mpps, bank.places, bank.looks]
    columns += [bank.cases, bank.sources, bank.slides, bank.drawn]
    columns += [] if bank.thumbnails is None else [bank.thumbnails]
    known = ((bank.labels >= 0) & (bank.labels < len(bank.classes))).all()
    scaled = (np.isfinite(bank.mpps) & (bank.mpps > 0)).all()
    return {len(column) for column in columns} == {len(bank)} and bool(known and scaled)


def _no_looks(number: int) -> NDArray[np.float32]:
    return np.full((number, len(MEASURES)), np.nan, dtype=np.float32)


def _pictures(bank: ExemplarBank) -> NDArray[np.uint8]:
    if bank.thumbnails is not None:
        return bank.thumbnails
    return np.zeros((len(bank), THUMBNAIL_PX, THUMBNAIL_PX, 3), dtype=np.uint8)


def _reason(error: Exception) -> str:
    missing = f"no {error}" if isinstance(error, KeyError) else str(error)
    return missing.splitlines()[0] if missing else type(error).__name__
