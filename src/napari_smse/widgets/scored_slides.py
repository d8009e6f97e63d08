"""The slides of a viewer with what is annotated on them, and the classes to annotate with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari.components import ViewerModel
from napari.layers import Layer

from napari_smse.errors import SmseError
from napari_smse.models.card import ModelCard
from napari_smse.palette import USUAL_CLASSES, Colour, annotation_colours, with_ignore
from napari_smse.slides import Slide
from napari_smse.widgets.layers.annotation_layer import colours_drawn_with, drawn_on
from napari_smse.widgets.session import ScoredLayer, session_of
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.workflows.scored_slide import ScoredSlide


class ResultModels:
    """The models that results were found with, which stay on show when others come in force."""

    def __init__(self) -> None:
        self._asked: dict[str, list[ModelCard]] = {}
        self._shown: dict[str, list[ModelCard]] = {}

    def ask(self, result: str, slides: Sequence[ScoredLayer]) -> None:
        """Note which models are in force when a result is asked for."""
        self._asked[result] = [scored.run.card for scored in slides]

    def show(self, result: str) -> None:
        """Note that the result that was asked for last is shown."""
        self._shown[result] = self._asked[result]

    def forget(self, result: str) -> None:
        """Note that no such result is shown any more."""
        self._shown.pop(result, None)

    def outdated(self, slides: Sequence[ScoredLayer]) -> list[str]:
        """Say which results were found with other models than those in force on slides."""
        now = _identities([scored.run.card for scored in slides])
        results: dict[str, list[str]] = {}
        for result, cards in self._shown.items():
            if slides and _identities(cards) != now:
                results.setdefault(model_names(cards), []).append(result)
        return [
            f"Found with {names}, and shown until you look again: {', '.join(which)}."
            for names, which in results.items()
        ]


def model_names(cards: Iterable[ModelCard]) -> str:
    """Return the names of models with their versions, each once."""
    return ", ".join(dict.fromkeys(f"{card.name} {card.version}" for card in cards))


def _identities(cards: Iterable[ModelCard]) -> set[tuple[str, str, str]]:
    # Two fine-tuned models may have one name, and what few-shot learning made the same weights.
    return {(card.name, card.version, card.weights_sha256) for card in cards}


def scored_slides(viewer: ViewerModel) -> list[ScoredSlide]:
    """Return the slides that were scored, with what is annotated on them.

    A slide that is open under several names is one: its first run counts, and what was said of its
    tiles under any name.
    """
    slides: dict[str, ScoredSlide] = {}
    for scored in session_of(viewer).scored_layers():
        annotations = drawn_on(viewer, scored.layer, scored.slide)
        slide = ScoredSlide(scored.slide, scored.run, annotations)
        same = slides.get(slide.slide.quick_hash)
        slides[slide.slide.quick_hash] = slide if same is None else same.with_notes_of(slide)
    return list(slides.values())


def slides_gone(viewer: ViewerModel) -> list[str]:
    """Say of each scored slide whose file is gone that it is left out."""
    reasons = []
    for layer in slide_layers(viewer):
        if session_of(viewer).run_of(layer) is not None:
            try:
                slide_of(layer)
            except SmseError as error:
                reasons.append(f"Left out: {error}")
    return reasons


def classes_for(viewer: ViewerModel, layer: Layer, slide: Slide) -> dict[str, Colour]:
    """Return the classes that a slide can be annotated with, and their colours.

    Those of the Annotate dock if it is open, else those that are drawn on the slide, else those of
    the model that scored it, else the usual ones; ``Ignore*`` always.
    """
    session = session_of(viewer)
    if session.annotator is not None and session.annotator.classes:
        return session.annotator.classes
    if colours := colours_drawn_with(viewer, slide):
        return with_ignore(colours)
    run = session.run_of(layer)
    if run is not None and run.card.knows_classes:
        return with_ignore(annotation_colours(run.card.classes))
    return with_ignore(annotation_colours(USUAL_CLASSES))
