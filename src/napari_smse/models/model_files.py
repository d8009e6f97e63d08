"""Where models lie on disk, and what their cards say. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from napari_smse.atomic_write import require_folder
from napari_smse.errors import (
    DamagedModelError,
    ModelNotFoundError,
    OutputError,
)
from napari_smse.models.card import (
    BUNDLED_FOLDER,
    BUNDLED_NAME,
    CARD_SUFFIX,
    EXEMPLARS_SUFFIX,
    OOD_REFERENCE_SUFFIX,
    WEIGHTS_SUFFIX,
    ModelCard,
    parse_card,
)
from napari_smse.models.encoders.encoder import Encoder
from napari_smse.models.encoders.encoder_card import encoder_card, encoder_place
from napari_smse.models.wsinfer import wsinfer_place
from napari_smse.models.wsinfer.agreement import wsinfer_card
from napari_smse.models.wsinfer.configuration import wsinfer_paths


def new_model_paths(path: Path, *, overwrite: bool) -> tuple[Path, Path]:
    """Return the paths of the weights and the card of a model that is to be written.

    Parameters
    ----------
    path
        The weights, the card, or their common stem.
    overwrite
        Another model that lies there may be replaced.

    Raises
    ------
    OutputError
        The folder does not exist, or there is a model already that is to be kept.
    """
    require_folder(path, "the model")
    stem = model_stem(path)
    weights, card = (stem.with_name(stem.name + end) for end in (WEIGHTS_SUFFIX, CARD_SUFFIX))
    for file in (weights, card):
        if file.exists() and not overwrite:
            raise OutputError(
                f"{file} exists already: give another path, or overwrite it (--overwrite in a "
                "shell, overwrite=True in Python)."
            )
    return weights, card


def model_paths(model: str | Path = "bundled") -> tuple[Path, Path]:
    """Return the paths of the weights and the card that `model` stands for.

    Parameters
    ----------
    model
        ``"bundled"``, the name of a bundled model, or a path: the weights, the card,
        or their common stem; of a WSInfer model its folder or its name in the zoo, too; of an
        encoder its name, or its weights if they were used before. It has no card on disk.

    Raises
    ------
    ModelNotFoundError
        Neither the weights nor the card is there; the message lists what is.
    EncoderWeightsError
        The weights of the encoder of that name are not on this machine.
    """
    if (place := wsinfer_place(model)) is not None:
        return wsinfer_paths(place)
    weights, card = _pair(model)
    if (found := find_encoder_model(model)) is not None:
        return found[1], found[1].with_name(found[1].name + CARD_SUFFIX)
    if not weights.is_file() and not card.is_file():
        available = _available_models(weights.parent)
        raise ModelNotFoundError(f"There is no model {str(model)!r}. {available}")
    return weights, card


def find_encoder_model(model: str | Path) -> tuple[Encoder, Path] | None:
    """Return the encoder that a name or path stands for, and its weights; None if for another.

    A model with a card that lies there goes before an encoder of the same name.

    Raises
    ------
    EncoderWeightsError
        Its weights are not on this machine.
    """
    if wsinfer_place(model) is not None or _pair(model)[1].is_file():
        return None
    return encoder_place(model)


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    cards = BUNDLED_FOLDER.glob(f"*{CARD_SUFFIX}")
    return sorted(path.stem for path in cards if not path.name.endswith(OOD_REFERENCE_SUFFIX))


def read_card(model: str | Path = "bundled") -> ModelCard:
    """Read a model's card without importing torch.

    Raises
    ------
    ModelNotFoundError
        There is no such model.
    DamagedModelError
        The card is missing or cannot be read.
    """
    if (place := wsinfer_place(model)) is not None:
        return wsinfer_card(place)
    if (found := find_encoder_model(model)) is not None:
        return encoder_card(*found)
    _, path = model_paths(model)
    if not path.is_file():
        raise DamagedModelError(
            f"{path} is missing: keep a model's card beside its weights, or save it again."
        )
    try:
        return parse_card(path.read_bytes(), path)
    except (ValueError, RecursionError, OSError) as error:
        raise DamagedModelError(
            f"{path} is not a readable model card ({_first_reason(error)}): get the model again."
        ) from error


def model_stem(path: str | Path) -> Path:
    """Return a model path without the weights' or the card's suffix."""
    path = Path(path)
    has_suffix = path.suffix in {WEIGHTS_SUFFIX, CARD_SUFFIX}
    return path.with_suffix("") if has_suffix else path


def _pair(model: str | Path) -> tuple[Path, Path]:
    stem = _stem(model)
    return stem.with_name(stem.name + WEIGHTS_SUFFIX), stem.with_name(stem.name + CARD_SUFFIX)


def _stem(model: str | Path) -> Path:
    if model == "bundled":
        return BUNDLED_FOLDER / BUNDLED_NAME
    if isinstance(model, str) and model in bundled_models():
        return BUNDLED_FOLDER / model
    return model_stem(model)


def _available_models(folder: Path) -> str:
    names = [f"bundled ({BUNDLED_NAME})", *(n for n in bundled_models() if n != BUNDLED_NAME)]
    weights = sorted(folder.glob(f"*{WEIGHTS_SUFFIX}"))
    names += [str(path) for path in weights if not path.name.endswith(EXEMPLARS_SUFFIX)][:8]
    return f"Available: {', '.join(names)}."


def _first_reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        return f"{place}: {problem['msg']}" if place else str(problem["msg"])
    return str(error).splitlines()[0]
