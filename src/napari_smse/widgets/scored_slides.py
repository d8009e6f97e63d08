"""The slides of a viewer that were scored and annotated, to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.errors import SmseError
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.slide_layers import slide_layers, slide_of
from napari_smse.widgets.tile_notes import NOTES_KEY, SlideTileNotes
from napari_smse.workflows.fine_tune import TrainingSlide
from napari_smse.workflows.score_slide import RUN_KEY
from napari_smse.workflows.scored_slide import Run


def find_scored_slides(
    viewer: ViewerModel, *, strict: bool = False, bare_of: str = ""
) -> list[tuple[Image, TrainingSlide]]:
    """Return the slides that were scored and have regions, with their layers.

    Parameters
    ----------
    viewer
        Where they are open.
    strict
        Whether it is an error that the file of a slide is gone.
    bare_of
        sha256 of a model's weights: slides that it scored are returned without regions, too.

    Raises
    ------
    SlideError
        The file of one is gone; only if `strict`, else it is left out.
    """
    found = []
    for layer in slide_layers(viewer):
        run = _run_to_learn_from(layer, bare_of)
        if run is None:
            continue
        try:
            slide = slide_of(layer)
        except SmseError:
            if strict and bare_of in ("", run.card.weights_sha256):
                raise
            continue
        drawn = drawn_on(viewer, layer, slide)
        regions = drawn.regions()
        if regions or run.card.weights_sha256 == bare_of:
            colours = {name: drawn.class_colour(name) for name in regions}
            one = TrainingSlide(slide, run, regions, colours, drawn.constraints, drawn.corrections)
            found.append((layer, one))
    return found


def _run_to_learn_from(layer: Image, bare_of: str) -> Run | None:
    """Return a slide's run; of a fine-tuned one the run it came of, as a tuning begins anew.

    The tuned one has learnt from tiles that would be held out now, so that no figure of it would
    be true. Only exemplars of its own embeddings need the tuned model itself.
    """
    run = layer.metadata.get(RUN_KEY)
    if not isinstance(run, Run):
        return None
    return run if run.base is None or run.card.weights_sha256 == bare_of else run.base


def notes_in(viewer: ViewerModel) -> list[SlideTileNotes]:
    """Return the notes of all slides that have any."""
    found = (layer.metadata.get(NOTES_KEY) for layer in slide_layers(viewer))
    return [notes for notes in found if isinstance(notes, SlideTileNotes)]


def describe_slides(slides: Sequence[TrainingSlide], known_tiles: int = 0) -> str:
    """Say what is drawn on the slides, and which model scored them; nothing if there are none."""
    if not slides:
        return ""
    mm2: dict[str, float] = {}
    for one in slides:
        for name, area in one.regions.items():
            mm2[name] = mm2.get(name, 0.0) + area.area * (one.slide.mpp / 1000) ** 2
    drawn = ", ".join(f"{name} {area:.2f} mm²" for name, area in mm2.items())
    number = "1 slide" if len(slides) == 1 else f"{len(slides)} slides"
    models = ", ".join(dict.fromkeys(one.started.card.name for one in slides))
    regions = f"{number} with regions: {drawn}" if drawn else f"{number}, nothing drawn"
    known = f"; {known_tiles:,} known tiles" if known_tiles else ""
    return f"Model {models}. {regions}{known}"
