"""All models and encoders there are: which can be used now, and how the others are got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_smse.errors import EncoderWeightsError, SmseError, UnknownEncoderError
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.models import ModelCard, bundled_models, read_card
from napari_smse.models.card import BUNDLED_NAME
from napari_smse.models.encoders import Encoder, catalogue, find_encoder
from napari_smse.models.encoders.encoder import Gate
from napari_smse.models.encoders.encoder_card import encoder_card
from napari_smse.models.encoders.known_files import known_encoders
from napari_smse.models.encoders.weight_files import how_to_get, weights_path
from napari_smse.models.model_files import model_paths
from napari_smse.models.wsinfer.agreement import agreements
from napari_smse.models.wsinfer.zoo import ACCOUNT, ZOO, cached_folder

_MB = 1e6


class ModelKind(StrEnum):
    """Where a model comes from."""

    BUNDLED = "bundled"
    TUNED = "fine-tuned here"
    WSINFER = "WSInfer"
    ENCODER = "encoder"


class ModelState(StrEnum):
    """Whether a model can be used."""

    READY = "ready"
    NOT_HERE = "to be downloaded"
    GATED = "to be asked for"


@dataclass(frozen=True)
class ListedModel:
    """A model, whether it is on this machine or not.

    Attributes
    ----------
    model
        What to choose it by: a name or a path.
    name
        To show.
    kind, state
        Where it comes from, and whether it can be used.
    organs
        What it was trained on, or judges.
    classes
        Class names; none if it knows none, or they are not known before it is here.
    scales
        um/px that it was trained at, as words; empty if not known.
    licence
        As its authors state it; empty if its card does not say.
    commercial
        Whether the licence allows commercial use; None if not known.
    size_mb
        Of its weights, MB; None if not known.
    card
        What it is, if it is here.
    how_to_get
        If it is not.
    """

    model: str
    name: str
    kind: ModelKind
    state: ModelState
    organs: str = ""
    classes: tuple[str, ...] = ()
    scales: str = ""
    licence: str = ""
    commercial: bool | None = None
    size_mb: float | None = None
    card: ModelCard | None = None
    how_to_get: str = ""

    def matches(self, words: str) -> bool:
        """Whether all of some words are in what is shown of it."""
        shown = (self.name, self.kind, self.state, self.organs, *self.classes, self.licence)
        text = " ".join((*shown, *self._spellings)).casefold()
        return all(word in text for word in words.casefold().split())

    @property
    def _spellings(self) -> tuple[str, ...]:
        found = (one for one in catalogue.ENCODERS if one.name == self.name)
        return next((one.spellings for one in found), ())


def listed_models(history: FineTuneHistory | None = None) -> list[ListedModel]:
    """Return all models and encoders there are; those that can be used first, kind by kind.

    Parameters
    ----------
    history
        Of fine-tunings; this machine's by default.
    """
    found = [
        *(_of_card(_chosen_by(name), ModelKind.BUNDLED) for name in reversed(bundled_models())),
        *_tuned(FineTuneHistory() if history is None else history),
        *_agreed(),
        *_zoo(),
        *map(_encoder, _encoders()),
    ]
    return sorted(found, key=lambda one: one.state is not ModelState.READY)


def _encoders() -> list[Encoder]:
    """Return those of the catalogue, and what else of timm was used."""
    named = [one.name for one in catalogue.ENCODERS]
    others = []
    for name in known_encoders():
        # One of an earlier or later version may be unknown to this one.
        with suppress(UnknownEncoderError):
            others += [] if name in named else [find_encoder(name)]
    return [*catalogue.ENCODERS, *others]


def _chosen_by(name: str) -> str:
    return "bundled" if name == BUNDLED_NAME else name


def _of_card(model: str, kind: ModelKind) -> ListedModel:
    card = read_card(model)
    return _here(model, card, kind, model_paths(model)[0])


def _here(model: str, card: ModelCard, kind: ModelKind, weights: Path) -> ListedModel:
    encoder = card.encoder
    organs = dict.fromkeys(source.organ for source in card.training)
    return ListedModel(
        model,
        card.name if kind is ModelKind.ENCODER else card.label,
        kind,
        ModelState.READY,
        ", ".join(organs),
        card.classes if card.knows_classes else (),
        card.trained_scales,
        "" if encoder is None else encoder.licence,
        None if encoder is None else encoder.commercial,
        weights.stat().st_size / _MB if weights.exists() else None,
        card,
    )


def _tuned(history: FineTuneHistory) -> Iterator[ListedModel]:
    for entry in history.entries():
        yield _here(str(entry.path), entry.card, ModelKind.TUNED, entry.path)


def _agreed() -> Iterator[ListedModel]:
    for one in agreements():
        folder = str(Path(one.path).parent)
        try:
            yield _of_card(folder, ModelKind.WSINFER)
        except SmseError:  # it was changed since: to be agreed to anew
            continue


def _zoo() -> Iterator[ListedModel]:
    for name, judges in ZOO.items():
        if cached_folder(name) is not None:
            continue
        yield ListedModel(
            name,
            name,
            ModelKind.WSINFER,
            ModelState.NOT_HERE,
            organs=judges,
            how_to_get=f"`napari-smse models get {name}` downloads it from {ACCOUNT}/{name}, after "
            "it was shown what it is and agreed to.",
        )


def _encoder(encoder: Encoder) -> ListedModel:
    low, high = encoder.mpp_range
    try:
        path = weights_path(encoder)
    except EncoderWeightsError:
        gated = encoder.gate is Gate.ASK
        return ListedModel(
            encoder.name,
            encoder.name,
            ModelKind.ENCODER,
            ModelState.GATED if gated else ModelState.NOT_HERE,
            scales=f"{low:.4g}" if low == high else f"{low:.4g}-{high:.4g}",
            licence=encoder.licence,
            commercial=encoder.commercial,
            size_mb=encoder.parameters * 4,
            how_to_get=how_to_get(encoder),
        )
    return _here(encoder.name, encoder_card(encoder, path), ModelKind.ENCODER, path)
