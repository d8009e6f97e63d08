"""One slide of a session brought back into a viewer; what is there already is not touched."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

import napari
import numpy as np
from napari.layers import Image, Layer

from napari_smse.palette import Colour
from napari_smse.reader import LayerData
from napari_smse.scoring import MapName
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.widgets.hit_annotations import add_annotations
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.saved_session.capture import all_drawn_on, shown_slide
from napari_smse.widgets.session import session_of
from napari_smse.widgets.shown_runs import ShownRuns
from napari_smse.widgets.slide_layers import layer_with, level0_to_world, slide_key, slide_layers
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.workflows.viewer_session.record import SessionMap, SessionView
from napari_smse.workflows.viewer_session.reopening import (
    OpenSlide,
    ReopenedSlide,
    still_missing,
)


def open_slides(viewer: napari.Viewer) -> dict[str, OpenSlide]:
    """Return the slides in a viewer by their quick hash; one that cannot be read is left out."""
    session, found = session_of(viewer), {}
    for layer in slide_layers(viewer):
        try:
            slide = shown_slide(layer)
            run = session.run_of(layer)
            store = None if run is None else run.store.path
            found[slide.quick_hash] = OpenSlide(slide, store, session.is_scoring(layer))
        except Exception:  # opening the session says so if it is one of its slides
            continue
    return found


def restore_slide(
    viewer: napari.Viewer,
    runs: ShownRuns,
    opened: ReopenedSlide,
    made: LayerData | None,
    classes: Mapping[str, Colour],
) -> Generator[None, None, tuple[Image | None, Sequence[str]]]:
    """Show a slide of a session, and return its layer and what could not be brought back.

    It pauses after each part, which takes a moment, for the viewer to live.

    Parameters
    ----------
    viewer, runs
        Where, and what shows maps.
    opened, made
        What was opened, and its layer; None if it is in the viewer already.
    classes
        Colours of the session's classes.
    """
    slide = opened.slide
    if slide is None:
        return None, ()
    layer = layer_with(viewer, slide.quick_hash) if opened.was_open else None
    if layer is None and made is not None:
        layer = Layer.create(*made)
        viewer.add_layer(layer)
        if opened.stated.name != path_text(slide.name):
            layer.name = opened.stated.name
    problems: list[str] = []
    if layer is not None and opened.stated.view is not None and opened.is_same:
        _look(viewer, layer, opened.stated.view)
    yield
    if layer is not None and layer in viewer.layers:
        _show_run(viewer, runs, layer, opened)
    yield
    if layer is not None and layer in viewer.layers:
        problems += _draw(viewer, layer, slide, opened, classes)
        return layer, problems
    return None, (f"{opened.stated.name}: it was closed meanwhile, and is not shown.",)


def _show_run(viewer: napari.Viewer, runs: ShownRuns, layer: Image, opened: ReopenedSlide) -> None:
    stated, slide = opened.stated.run, opened.slide
    if opened.run is not None and opened.maps is not None and slide is not None:
        runs.show(layer, slide, opened.run, opened.maps)
    maps = session_of(viewer).maps_of(layer)
    if stated is not None and maps is not None and session_of(viewer).run_of(layer) is not None:
        _show_map(viewer, maps, stated.shown)


def _show_map(viewer: napari.Viewer, maps: HeatMapLayers, shown: SessionMap | None) -> None:
    if shown is None:
        for layer in maps.layers.values():
            session_of(viewer).set_shown(layer, False)
    elif (name := MapName(shown.class_name, shown.scale)) in list(maps.maps):
        maps.show_only(name)


def _draw(
    viewer: napari.Viewer,
    layer: Image,
    slide: Slide,
    opened: ReopenedSlide,
    classes: Mapping[str, Colour],
) -> Sequence[str]:
    """Draw what is not drawn, say what was not said: what is there is newer, and stays."""
    saved = opened.annotations
    if saved is None:
        return ()
    missing, edited = still_missing(saved, all_drawn_on(viewer, layer, slide))
    if missing.annotations:
        used = {one.class_name for one in missing.annotations}
        named = {name: colour for name, colour in classes.items() if name in used}
        missing = replace(missing, colours={**named, **saved.colours})
        shapes = add_annotations(viewer, layer, slide, missing)
        session_of(viewer).set_shown(shapes, opened.stated.regions_shown)
    else:
        notes_of(layer).take_in(missing.constraints, missing.corrections, missing.case)
    if not edited:
        return ()
    return (
        f"{opened.stated.name}: {edited} of its regions were drawn otherwise since; they stay as "
        "they are drawn.",
    )


def _look(viewer: napari.Viewer, layer: Image, view: SessionView) -> None:
    """Look at a slide as it was looked at: the same place, at the same magnification."""
    session = session_of(viewer)
    y, x = level0_to_world(layer, np.array([[view.x, view.y]]))[0]
    zoom = 1 / (view.px * float(layer.scale[-1]))
    session.cameras.remember(slide_key(layer), ((0.0, float(y), float(x)), zoom))
    if layer is session.slide_layer:
        session.cameras.bring(slide_key(layer), layer)
