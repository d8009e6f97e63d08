"""The run of a slide in a session, found again without scoring."""

from __future__ import annotations

import logging
from pathlib import Path

from napari_smse.errors import ModelError, ModelNotFoundError, OutputError, SmseError
from napari_smse.models import ModelCard, read_card
from napari_smse.models.card import BUNDLED_FOLDER
from napari_smse.models.encoders.known_files import file_sha256
from napari_smse.models.model_files import bundled_models, model_paths
from napari_smse.scoring import ScoreStore
from napari_smse.slides import Slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.runs.stored_runs import find_stored_run, run_of_store
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.viewer_session.places import Place, place_of, places_to_look
from napari_smse.workflows.viewer_session.record import SessionRun

logger = logging.getLogger(__name__)


def model_place(model: str, session: Path) -> Place:
    """Return the place of a model as a session is to state it.

    Parameters
    ----------
    model
        What it is loaded by: ``bundled``, a name, or a path.
    session
        The file of the session.
    """
    if not Path(model).is_absolute() and not Path(model).exists():
        return Place(path=model)
    try:
        weights = model_paths(model)[0]
    except SmseError:  # whoever opens the session is told
        weights = Path(model)
    if weights.parent == BUNDLED_FOLDER:  # which is elsewhere in another installation
        return Place(path=weights.stem)
    return place_of(weights if weights.exists() else Path(model), session)


def find_run(stated: SessionRun, slide: Slide, session: Path) -> Run:
    """Open the run of a session again.

    Parameters
    ----------
    stated
        What the session says of it.
    slide
        The slide that was scored.
    session
        The file of the session.

    Raises
    ------
    ModelError
        The model is not there, or not the one that scored it.
    OutputError
        The scores are not there any more, or others lie in their place.
    SlideError, ScaleError
        They are of another slide, or of another um/px.
    """
    model, card = find_model(stated.model, stated.weights_sha256, stated.label, session)
    return run_of_store(slide, _store(stated, slide, card, session), card, model)


def find_model(
    place: Place, weights_sha256: str, label: str, session: Path
) -> tuple[str, ModelCard]:
    """Return what a model is loaded by, and its card; its weights are those of the session.

    Parameters
    ----------
    place
        Where the session says that it is.
    weights_sha256, label
        Of its weights; name and version for messages.
    session
        The file of the session.

    Raises
    ------
    ModelError
        It is not there, damaged, or another one.
    """
    other = ""
    named = [place.path] if place.path == place.name else []
    found = [str(path) for path in places_to_look(place, session)] if not named else []
    for model in (*named, *found, *bundled_models()):
        try:
            card = read_card(model)
        except (SmseError, OSError, ValueError):
            logger.info("%s is not the model of %s", model, session, exc_info=True)
            continue
        if card.weights_sha256 == weights_sha256:
            _require_weights(model, card)
            return model, card
        if model not in bundled_models():
            other = other or f"{model} is another model now ({card.label})"
    raise ModelNotFoundError(
        f"the scores by {label} ({weights_sha256[:8]}) are not shown, as "
        f"{other or 'that model is not there'}: put it back, or beside the session."
    )


def _require_weights(model: str, card: ModelCard) -> None:
    """Refuse weights that were changed under their card."""
    weights, written_card = model_paths(model)
    if not weights.is_file() or not written_card.is_file():
        return  # of an encoder there is no card, and the hash is that of the file
    if file_sha256(weights) != card.weights_sha256:
        raise ModelError(
            f"the scores by {card.label} are not shown, as {weights} was changed and does not "
            "have the SHA-256 of its card: get the model again."
        )


def _store(stated: SessionRun, slide: Slide, card: ModelCard, session: Path) -> ScoreStore:
    there = False
    cached = score_slide.runs_folder() / stated.store.name
    for path in (*places_to_look(stated.store, session), cached):
        try:
            store = ScoreStore.open(path)
            facts = store.facts
            there = True
            if (facts["slide"]["quick_hash"], facts["model"]["hash"]) == (
                slide.quick_hash,
                card.weights_sha256,
            ):
                return store
        except (SmseError, OSError, KeyError, TypeError, ValueError):
            logger.info("%s is not the run of %s", path, session, exc_info=True)
    same = find_stored_run(slide, card)
    if same is not None and same.mpps == stated.mpps:
        return ScoreStore.open(same.path)
    why = "other scores lie" if there else "nothing lies"
    raise OutputError(
        f"the scores by {stated.label} are gone ({why} at {stated.store.path}): score the slide "
        "again."
    )
