"""The slides of a viewer that were scored, with what is drawn on them."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.errors import SmseError
from napari_smse.slides import Slide
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.slide_layers import slide_layers, slide_of
from napari_smse.workflows.score_slide import RUN_KEY
from napari_smse.workflows.scored_slide import Run, ScoredSlide


def scored_layers(viewer: ViewerModel) -> list[tuple[Image, Slide, Run]]:
    """Return the layers of slides that were scored; one whose file is gone is left out."""
    found = []
    for layer in slide_layers(viewer):
        run = layer.metadata.get(RUN_KEY)
        if not isinstance(run, Run):
            continue
        try:
            found.append((layer, slide_of(layer), run))
        except SmseError:
            continue
    return found


def asked_slides(viewer: ViewerModel) -> list[ScoredSlide]:
    """Return the slides that were scored, with what is drawn on them.

    A slide that is open under several names is one: its first run counts, and what was said of
    its tiles under any name.
    """
    found: dict[str, ScoredSlide] = {}
    for layer, slide, run in scored_layers(viewer):
        one = ScoredSlide(slide, run, drawn_on(viewer, layer, slide))
        same = found.get(slide.quick_hash)
        found[slide.quick_hash] = one if same is None else same.with_notes_of(one)
    return list(found.values())
