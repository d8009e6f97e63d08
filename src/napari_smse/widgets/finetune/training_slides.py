"""The slides of a viewer that were scored and annotated, to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.workflows.scored_slide import Run, ScoredSlide


def training_slides(
    viewer: ViewerModel, *, strict: bool = False, bare_of: str = ""
) -> list[ScoredSlide]:
    """Return the slides that were scored and have regions.

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
    session, slides = session_of(viewer), []
    for layer in slide_layers(viewer):
        run = _run_to_learn_from(session.run_of(layer), bare_of)
        if run is None:
            continue
        try:
            slide = slide_of(layer)
        except SmseError:
            if strict and bare_of in ("", run.card.weights_sha256):
                raise
            continue
        annotated = ScoredSlide(slide, run, drawn_on(viewer, layer, slide))
        if annotated.regions or run.card.weights_sha256 == bare_of:
            slides.append(annotated)
    return slides


def _run_to_learn_from(run: Run | None, bare_of: str) -> Run | None:
    """Return a slide's run; of a fine-tuned one the run it came of, as a tuning begins anew.

    The tuned one has learnt from tiles that would be held out now, so that no figure of it would
    be true. Only exemplars of its own embeddings need the tuned model itself.
    """
    if run is None or run.base is None or run.card.weights_sha256 == bare_of:
        return run
    return run.base


def describe_slides(slides: Sequence[ScoredSlide], known_tiles: int = 0) -> str:
    """Say what is drawn on the slides, and which model scored them; nothing if there are none."""
    if not slides:
        return ""
    mm2: dict[str, float] = {}
    for scored in slides:
        for name, area in scored.regions.items():
            mm2[name] = mm2.get(name, 0.0) + area.area * (scored.slide.mpp / 1000) ** 2
    drawn = ", ".join(f"{name} {area:.2f} mm²" for name, area in mm2.items())
    number = counted(len(slides), "slides")
    models = ", ".join(dict.fromkeys(scored.run.card.name for scored in slides))
    regions = f"{number} with regions: {drawn}" if drawn else f"{number}, nothing drawn"
    known = f"; {known_tiles:,} reference tiles" if known_tiles else ""
    return f"Model {models}. {regions}{known}"
