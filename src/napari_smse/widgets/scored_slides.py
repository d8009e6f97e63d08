"""The slides of a viewer with what is annotated on them, and the classes to annotate with."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Layer

from napari_smse.palette import USUAL_CLASSES, Colour, annotation_colours, with_ignore
from napari_smse.slides import Slide
from napari_smse.widgets.layers.annotation_layer import colours_drawn_with, drawn_on
from napari_smse.widgets.session import session_of
from napari_smse.workflows.scored_slide import ScoredSlide


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
