"""A model file that a user picked, checked before it is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_smse.errors import ModelError, SmseError
from napari_smse.models import ModelCard, read_card
from napari_smse.models.card import CARD_SUFFIX, EXEMPLARS_SUFFIX, WEIGHTS_SUFFIX
from napari_smse.models.model_files import bundled_models, model_paths
from napari_smse.models.wsinfer import is_wsinfer_model
from napari_smse.models.wsinfer.agreement import agreement_for
from napari_smse.scoring import require_tiles

_PICK = "pick a model's .safetensors file, or the .json that lies beside one"


@dataclass(frozen=True)
class CheckedModel:
    """A model that can score slides.

    Attributes
    ----------
    path
        Of the weights.
    card
        What it is.
    label
        What to call it, where its file is called after nothing; else empty.
    """

    path: str
    card: ModelCard
    label: str = ""


@dataclass(frozen=True)
class Question:
    """What a person has to be asked before a file is run.

    Attributes
    ----------
    text
        Plain text.
    sha256
        Of the files that it is about.
    """

    text: str
    sha256: str


def agreement_wanted(picked: str) -> Question | None:
    """Return what a person has to be asked before a file is run; None if nothing.

    A model in WSInfer's format is a program, which is run only after somebody agreed to it.

    Raises
    ------
    DamagedModelError
        It is such a model, and not whole.
    """
    if not is_wsinfer_model(picked):
        return None
    card = read_card(picked)
    if agreement_for(card.weights_sha256) is not None:
        return None
    archive, _ = model_paths(picked)
    text = (
        f"{card.name} is a model in WSInfer's format, of the classes {', '.join(card.classes)}.\n\n"
        f"It is a program (TorchScript): {archive}\nSHA-256 of its files {card.weights_sha256}\n"
        f"{card.intended_use}\n\nRun it, now and whenever it is chosen?"
    )
    return Question(text, card.weights_sha256)


def check_model(picked: str, *, agreed: str = "", encoder: str = "") -> CheckedModel:
    """Return the model behind a file.

    The weights are read, and the network tried, since a card alone may promise anything.

    Parameters
    ----------
    picked
        The path, or the name of a model that comes with the program.
    agreed
        SHA-256 of the files of which a person agreed to what `agreement_wanted` says.
    encoder
        Name of the encoder whose weights the file is said to hold; none for a model.

    Raises
    ------
    ModelError
        It cannot score slides; the message says what to pick instead.
    """
    path = model_paths(picked)[0] if picked in bundled_models() else Path(picked)
    if encoder:
        return _check_encoder(encoder, path)
    if is_wsinfer_model(path):
        return _check_wsinfer(path, agreed=agreed)
    _refuse_exemplars(path)
    _refuse_other_json(path)
    # Before the weights, as these may take a while, and so does importing torch.
    require_tiles(read_card(path))
    from napari_smse.models import load_model

    model = load_model(path)
    label = "" if model.card.knows_classes else model.card.name
    return CheckedModel(str(model.path), model.card, label)


def _check_encoder(name: str, path: Path) -> CheckedModel:
    from napari_smse.models import load_model

    model = load_model(name, encoder_weights=path)
    return CheckedModel(str(model.path), model.card, model.card.name)


def _check_wsinfer(path: Path, *, agreed: str) -> CheckedModel:
    from napari_smse.models import load_model
    from napari_smse.models.wsinfer.loading import agree_to

    if agreed:
        agree_to(path, agreed)
    card = load_model(path).card
    # By its folder, which says what it is; several archives in one are told apart by name.
    _, configuration = model_paths(path)
    return CheckedModel(str(path.parent if path == configuration else path), card, card.name)


def same_model(one: str, other: str) -> bool:
    """Whether two names or paths (weights, card, stem) lead to the same model."""
    return _place(one) == _place(other)


def _place(name: str) -> Path:
    try:
        weights, _ = model_paths(name)
    except SmseError:
        # It was there once.
        return Path(name).resolve()
    return weights.resolve()


def _refuse_exemplars(path: Path) -> None:
    if not path.name.endswith(EXEMPLARS_SUFFIX):
        return
    own = path.with_name(path.name.removesuffix(EXEMPLARS_SUFFIX) + WEIGHTS_SUFFIX)
    instead = f"pick {own.name} beside it" if own.is_file() else _PICK
    raise ModelError(f"{path} holds a model's exemplars, not the model: {instead}.")


def _refuse_other_json(path: Path) -> None:
    if path.suffix == CARD_SUFFIX and not path.with_suffix(WEIGHTS_SUFFIX).is_file():
        raise ModelError(f"{path} has no weights beside it, so it is no model: {_PICK}.")
