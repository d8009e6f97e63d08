"""What a session's file says of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import napari
import numpy as np
from napari.layers import Image, Layer

from napari_smse.annotations import AnnotationSet, annotations_as_geojson
from napari_smse.errors import SmseError
from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.slides.scale import ScaleSource
from napari_smse.widgets.dock import open_docks
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.annotation_shapes import annotation_layer_of
from napari_smse.widgets.session import Session, session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_slide_layer,
    mark_of,
    slide_key,
    slide_layers,
    slide_of,
    world_to_level0,
)
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.viewer_session.places import place_of
from napari_smse.workflows.viewer_session.record import (
    FORMAT,
    VERSION,
    ReferenceTiles,
    SessionMap,
    SessionRecord,
    SessionRun,
    SessionSlide,
    SessionView,
    program,
)
from napari_smse.workflows.viewer_session.stored_run import model_place

_COMES_BACK = frozenset(
    {
        LayerKind.ANNOTATIONS,
        LayerKind.CONTOURS,
        LayerKind.HEAT_MAP,
        LayerKind.OUT_OF_DISTRIBUTION,
        LayerKind.OUTLINE,
        LayerKind.PAIR_CONSTRAINTS,
        LayerKind.STROKE,
    }
)


@dataclass(frozen=True)
class Captured:
    """A session, and what of the viewer is not in it, one line each."""

    record: SessionRecord
    left_out: tuple[str, ...] = ()


def capture(viewer: napari.Viewer, path: Path, carried: Sequence[SessionSlide] = ()) -> Captured:
    """Return what a viewer shows, as a session is to state it.

    Parameters
    ----------
    viewer
        With at least one slide.
    path
        Where the session is to be written: files are named as seen from there.
    carried
        Slides of an earlier session that could not be opened; they stay in it.
    """
    session = session_of(viewer)
    layers, slides, problems = [], [], []
    for layer in slide_layers(viewer):
        try:
            slides.append(_slide(viewer, session, layer, path))
            layers.append(layer)
        except (SmseError, OSError) as error:
            problems.append(f"{layer.name} is not in the session: {error}")
    seen = session.slide_layer
    annotator = session.annotator
    index = index_settings().folder
    record = SessionRecord(
        format=FORMAT,
        version=VERSION,
        saved=datetime.now(UTC),
        by=program(),
        slides=(*slides, *carried),
        in_view=layers.index(seen) if seen in layers else None,
        display=session.display,
        model=model_place(session.score_choice.model, path),
        classes={} if annotator is None else dict(annotator.classes),
        index=None if index is None else place_of(index, path),
        reference_tiles=tuple(
            ReferenceTiles(file=place_of(file, path), model=model)
            for model, file in session.bank_files.items()
        ),
        docks=tuple(open_docks(viewer)),
    )
    return Captured(record, (*problems, *_others(viewer)))


def shown_slide(layer: Layer) -> Slide:
    """Return the open slide of a layer, also if its file is gone; raises `SlideError` if none."""
    slide = layer.metadata.get(SLIDE_KEY)
    return slide if isinstance(slide, Slide) else slide_of(layer)


def _slide(viewer: napari.Viewer, session: Session, layer: Image, path: Path) -> SessionSlide:
    slide, run = shown_slide(layer), session.run_of(layer)
    drawn = all_drawn_on(viewer, layer, slide)
    said = drawn.annotations or drawn.constraints or drawn.corrections or drawn.case
    regions = annotation_layer_of(viewer, slide)
    return SessionSlide(
        place=place_of(slide.path, path),
        name=path_text(layer.name),
        quick_hash=slide.quick_hash,
        width=slide.width,
        height=slide.height,
        mpp=slide.scale.mpp if slide.scale.source is ScaleSource.USER else None,
        view=_view(session, layer),
        run=None if run is None else _run(session, layer, run, path),
        annotations=annotations_as_geojson(drawn) if said else None,
        regions_shown=regions is None or session.is_shown(regions),
    )


def all_drawn_on(viewer: napari.Viewer, layer: Layer, slide: Slide) -> AnnotationSet:
    """Return what is drawn on a slide, with all that was said of its tiles."""
    drawing = session_of(viewer).drawing_on(slide)
    drawn = drawn_on(viewer, layer, slide) if drawing is None else drawing.annotations()
    notes = notes_of(layer)
    return replace(drawn, constraints=notes.links, corrections=notes.corrections, case=notes.case)


def _view(session: Session, layer: Image) -> SessionView | None:
    if layer is session.slide_layer:
        session.cameras.keep(slide_key(layer))
    view = session.cameras.view_of(slide_key(layer))
    if view is None:
        return None
    (x, y), zoom = world_to_level0(layer, np.array([view[0][-2:]]))[0], view[1]
    return SessionView(x=float(x), y=float(y), px=1 / (zoom * float(layer.scale[-1])))


def _run(session: Session, layer: Image, run: Run, path: Path) -> SessionRun:
    maps = session.maps_of(layer)
    shown = None if maps is None else maps.shown
    return SessionRun(
        store=place_of(run.store.path, path),
        model=model_place(run.model, path),
        label=run.card.label,
        weights_sha256=run.card.weights_sha256,
        mpps=tuple(tiles.grid.spec.mpp for tiles in run.plan.scales),
        shown=None if shown is None else SessionMap(**asdict(shown)),
    )


def _others(viewer: napari.Viewer) -> list[str]:
    """Say which layers are no part of a session, as they are neither slides nor made anew."""
    names = []
    for layer in viewer.layers:
        mark = mark_of(layer)
        if not is_slide_layer(layer) and (mark is None or mark.kind not in _COMES_BACK):
            names.append(layer.name)
    if not names:
        return []
    return [f"Layers that are not in the session, save them by themselves: {', '.join(names)}."]
