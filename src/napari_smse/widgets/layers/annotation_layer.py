"""Annotations of a slide as a Shapes layer: classes, colours, holes, and a way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import pandas as pd
import shapely
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from shapely import MultiPolygon, Polygon

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import UNKNOWN_COLOUR, Colour
from napari_smse.slides import Slide
from napari_smse.widgets.layers.regions import AREAS, world_outline
from napari_smse.widgets.slide_layers import OF_SLIDE_KEY, level0_to_world, world_to_level0
from napari_smse.widgets.tile_notes import notes_of

ANNOTATIONS_KEY = "napari_smse_annotations"
"""Key of an annotation layer's metadata: the slide that it is of, by quick hash."""

COLOURS_KEY = "napari_smse_colours"
"""Key of an annotation layer's metadata: the colours of the classes, RGB 0..255."""

CLASS, IDENTITY, HOLE = "class", "annotation", "hole"
_DONE = ("added", "removed", "changed")
_FILL = 0.2
_EDGE_UM = 5.0
_UNDOS = 100


@dataclass(frozen=True)
class _Snapshot:
    outlines: tuple[NDArray[np.float64], ...]
    kinds: tuple[str, ...]
    features: pd.DataFrame


class AnnotationLayer(QObject):
    """The annotations of one slide in the viewer.

    An annotation is one shape, or several of the same identity: the parts it consists of, and
    the outlines of its holes. They lie in a Shapes layer that the user draws in freely.

    Parameters
    ----------
    viewer
        Where the layer goes.
    slide_layer, slide
        The slide they lie on.
    colours
        Of the classes, RGB 0..255.
    """

    changed = Signal()
    """Something was drawn, moved, removed, or given another class."""

    def __init__(
        self,
        viewer: ViewerModel,
        slide_layer: Layer,
        slide: Slide,
        colours: Mapping[str, Colour],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._slide_layer, self._slide = viewer, slide_layer, slide
        self._colours = dict(colours)
        self._known: dict[str, Annotation] = {}
        self._class = next(iter(colours), "")
        self._quiet = False
        self._undos: list[_Snapshot] = []
        self.layer = _layer_of(viewer, slide) or self._new_layer()
        self.layer.metadata[COLOURS_KEY] = self._colours
        self._notes = notes_of(slide_layer)
        self._now = self._snapshot()
        self._recolour()
        self._listen()

    # -- what is drawn ---------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many shapes there are, holes not counted."""
        return int((~self.layer.features[HOLE].astype(bool)).sum()) if len(self.layer.data) else 0

    def annotations(self) -> AnnotationSet:
        """Return what is drawn, in level-0 px; what has no area on the slide is left out."""
        return annotations_in(
            self.layer, self._slide_layer, self._slide, self._known, self._colours
        )

    @property
    def left_out(self) -> int:
        """How many annotations have no area on the slide: lines, and what lies beside it."""
        identities = {*self.layer.features[IDENTITY]} if len(self.layer.data) else set()
        return len(identities) - len(self.annotations().annotations)

    # -- changing it -----------------------------------------------------------------

    def show(self, annotations: AnnotationSet) -> None:
        """Show these in place of what is drawn."""
        self._known = {one.id: one for one in annotations.annotations}
        self._restore(self._as_shapes(annotations))
        self._notes.take_in(annotations.constraints, annotations.corrections)
        self._note()

    def add(self, annotations: AnnotationSet) -> None:
        """Show these beside what is drawn; one of the same identity is replaced."""
        new = {one.id for one in annotations.annotations}
        kept = tuple(one for one in self.annotations().annotations if one.id not in new)
        self.show(replace(annotations, annotations=kept + annotations.annotations))

    def set_colours(self, colours: Mapping[str, Colour]) -> None:
        """Take other colours for the classes."""
        self._colours = self.layer.metadata[COLOURS_KEY] = dict(colours)
        if self._class not in colours:
            self._class = next(iter(colours), "")
        self._recolour()

    def choose_class(self, name: str) -> bool:
        """Give the selected shapes a class, or else the next ones; True if any were selected.

        While the user draws, it is the next ones: napari leaves selected what was just drawn,
        which got its class already.
        """
        self._class = name
        if self.layer.mode.startswith("add_"):
            self.layer.selected_data = set()
        selected = sorted(self.layer.selected_data)
        if selected:
            identities = set(self.layer.features[IDENTITY].iloc[selected])
            features = self.layer.features.copy()
            features.loc[features[IDENTITY].isin(identities), CLASS] = name
            with self._quietly():
                self.layer.features = features
            self._note()
        self._recolour()
        return bool(selected)

    def rename_class(self, old: str, new: str) -> None:
        """Give all shapes of a class, and all corrections that name it, another name."""
        features = self.layer.features.copy()
        features.loc[features[CLASS] == old, CLASS] = new
        with self._quietly():
            self.layer.features = features
        if self._class == old:
            self._class = new
        self._notes.rename_class(old, new)
        self._note()

    def undo(self) -> bool:
        """Take back the last change, also that the layer was removed; False if there is none."""
        if self.layer not in self._viewer.layers:
            self._viewer.layers.append(self.layer)
            self.changed.emit()
            return True
        if not self._undos:
            return False
        self._restore(self._undos.pop())
        self._now = self._snapshot()
        self._recolour()
        self.changed.emit()
        return True

    def draw(self, mode: str) -> None:
        """Let the user draw: a mode of napari's Shapes layer."""
        if self.layer not in self._viewer.layers:
            self._viewer.layers.append(self.layer)
        self._viewer.layers.selection.active = self.layer
        self.layer.selected_data = set()
        self.layer.mode = mode
        self._recolour()

    def release(self) -> None:
        """Stop listening; the layer stays."""
        self.layer.events.data.disconnect(self._on_changed)
        self.layer.events.features.disconnect(self._on_features_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._notes.changed.disconnect(self.changed.emit, missing_ok=True)

    # -- inside ----------------------------------------------------------------------

    def _new_layer(self) -> Shapes:
        layer = Shapes(
            ndim=2,
            name=f"Annotations · {self._slide.name}",
            scale=self._slide_layer.scale[-2:],
            translate=self._slide_layer.translate[-2:],
            units=self._slide_layer.units[-2:],
            axis_labels=self._slide_layer.axis_labels[-2:],
            features=_features([]),
            edge_width=_EDGE_UM / max(float(self._slide_layer.scale[-1]), 1e-6),
            opacity=1,
            metadata={
                ANNOTATIONS_KEY: self._slide.quick_hash,
                OF_SLIDE_KEY: self._slide.quick_hash,
            },
        )
        self._viewer.layers.append(layer)
        return layer

    def _listen(self) -> None:
        self.layer.events.data.connect(self._on_changed)
        # Pasting is told by nothing else.
        self.layer.events.features.connect(self._on_features_changed)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._notes.changed.connect(self.changed.emit)

    def _on_changed(self, event: object) -> None:
        action = str(getattr(getattr(event, "action", ""), "value", ""))
        if self._quiet or action not in _DONE:
            return
        self._name_new_shapes()
        self._note()

    def _on_features_changed(self, _event: object) -> None:
        if not self._quiet and len(self.layer.data) > len(self._now.outlines):
            self._name_new_shapes()
            self._note()

    def _on_removed(self, event: object) -> None:
        if getattr(event, "value", None) is self.layer:
            self.changed.emit()

    def _name_new_shapes(self) -> None:
        """Give what was just drawn or pasted an identity of its own; napari adds it at the end."""
        features = self.layer.features.copy()
        renamed: dict[str, str] = {}
        for row in range(len(self._now.outlines), len(features)):
            old = str(features.at[row, IDENTITY] or "")
            # Parts and holes that were pasted together stay together.
            features.at[row, IDENTITY] = renamed.setdefault(old, _new()) if old else _new()
            features.at[row, CLASS] = features.at[row, CLASS] or self._class
        with self._quietly():
            self.layer.features = features

    def _note(self) -> None:
        """Remember how it was, so that it can come back."""
        self._undos.append(self._now)
        del self._undos[:-_UNDOS]
        self._now = self._snapshot()
        self._recolour()
        self.changed.emit()

    def _snapshot(self) -> _Snapshot:
        return _Snapshot(
            tuple(np.array(one) for one in self.layer.data),
            tuple(self.layer.shape_type),
            self.layer.features.copy(),
        )

    def _restore(self, snapshot: _Snapshot) -> None:
        with self._quietly():
            self.layer.selected_data = set(range(len(self.layer.data)))
            self.layer.remove_selected()
            if snapshot.outlines:
                self.layer.add(list(snapshot.outlines), shape_type=list(snapshot.kinds))
                self.layer.features = snapshot.features.reset_index(drop=True)
            self.layer.selected_data = set()

    def _recolour(self) -> None:
        """Colour by class: set directly, as napari's own colouring goes by order of appearance."""
        layer = self.layer
        with self._quietly():
            if len(layer.data):
                names = [str(name) for name in layer.features[CLASS]]
                edges = np.array([_rgba(self._colours.get(name)) for name in names])
                holes = layer.features[HOLE].to_numpy(dtype=bool)
                faces = edges.copy()
                faces[:, 3] = np.where(holes, 0, _FILL)
                layer.edge_color, layer.face_color = edges, faces
            if not layer.selected_data:
                colour = _rgba(self._colours.get(self._class))
                layer.current_edge_color = colour
                layer.current_face_color = (*colour[:3], _FILL)
                layer.feature_defaults = {CLASS: self._class, IDENTITY: "", HOLE: False}

    def _as_shapes(self, annotations: AnnotationSet) -> _Snapshot:
        outlines, rows = [], []
        for one in annotations.annotations:
            for ring, hole in _rings(one.geometry):
                world = level0_to_world(self._slide_layer, ring)
                outlines.append(np.array([self.layer.world_to_data(point) for point in world]))
                rows.append((one.class_name, one.id, hole))
        return _Snapshot(tuple(outlines), ("polygon",) * len(outlines), _features(rows))

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


def follow_scale(viewer: ViewerModel, slide_layer: Layer, slide: Slide) -> None:
    """Lay annotations over a slide whose um/px is another now; in level-0 px they stay the same."""
    layer = _layer_of(viewer, slide)
    if layer is not None:
        layer.scale = slide_layer.scale[-2:]
        layer.translate = slide_layer.translate[-2:]


def drawn_on(viewer: ViewerModel, slide_layer: Layer, slide: Slide) -> AnnotationSet:
    """Return what is drawn on a slide; nothing if it has no annotation layer."""
    layer = _layer_of(viewer, slide)
    return AnnotationSet() if layer is None else annotations_in(layer, slide_layer, slide)


def annotations_in(
    layer: Shapes,
    slide_layer: Layer,
    slide: Slide,
    known: Mapping[str, Annotation] | None = None,
    colours: Mapping[str, Colour] | None = None,
) -> AnnotationSet:
    """Return what is drawn in an annotation layer, in level-0 px.

    Parameters
    ----------
    layer, slide_layer, slide
        Where it is drawn, and on what.
    known
        By identity, annotations whose further properties are to be kept.
    colours
        Of the classes; those of the layer by default.
    """
    parts: dict[str, list[tuple[bool, Polygon]]] = {}
    names: dict[str, str] = {}
    for index, kind in enumerate(layer.shape_type):
        if kind not in AREAS:
            continue
        row = layer.features.iloc[index]
        outline = world_to_level0(slide_layer, world_outline(layer, index))
        parts.setdefault(row[IDENTITY], []).append((bool(row[HOLE]), Polygon(outline)))
        names[row[IDENTITY]] = str(row[CLASS])
    drawn = []
    for identity, found in parts.items():
        geometry = _whole(found, slide)
        if geometry is not None:
            one = (known or {}).get(identity)
            kept = {} if one is None else one.properties
            drawn.append(Annotation(names[identity], geometry, identity, kept))
    notes = notes_of(slide_layer)
    of_layer = layer.metadata.get(COLOURS_KEY, {})
    return AnnotationSet(tuple(drawn), dict(colours or of_layer), notes.links, notes.corrections)


def colours_drawn_with(viewer: ViewerModel, slide: Slide) -> dict[str, Colour]:
    """Return the classes that a slide is annotated with, and their colours; empty if it is not."""
    layer = _layer_of(viewer, slide)
    return {} if layer is None else dict(layer.metadata.get(COLOURS_KEY, {}))


def _layer_of(viewer: ViewerModel, slide: Slide) -> Shapes | None:
    for layer in viewer.layers:
        if layer.metadata.get(ANNOTATIONS_KEY) == slide.quick_hash and isinstance(layer, Shapes):
            return layer
    return None


def _new() -> str:
    return str(uuid4())


def _features(rows: Sequence[tuple[str, str, bool]]) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=[CLASS, IDENTITY, HOLE])
    return found.astype({CLASS: object, IDENTITY: object, HOLE: bool})


def _rings(geometry: Polygon | MultiPolygon) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield outlines ``(n, 2)`` without the closing point, and whether each is a hole's."""
    for polygon in geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]:
        yield np.asarray(polygon.exterior.coords)[:-1, :2], False
        for hole in polygon.interiors:
            yield np.asarray(hole.coords)[:-1, :2], True


def _whole(parts: Sequence[tuple[bool, Polygon]], slide: Slide) -> Polygon | MultiPolygon | None:
    """Join parts, cut holes and what lies beside the slide; None if no area is left."""
    drawn, holes = (
        shapely.union_all([shapely.make_valid(part) for is_hole, part in parts if is_hole is kind])
        for kind in (False, True)
    )
    whole = drawn.difference(holes)
    page = shapely.box(0, 0, slide.width, slide.height)
    if not page.covers(whole):
        whole = whole.intersection(page)
    areas = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area]
    if not areas:
        return None
    return areas[0] if len(areas) == 1 else MultiPolygon(areas)


def _rgba(colour: Colour | None) -> tuple[float, float, float, float]:
    red, green, blue = colour or UNKNOWN_COLOUR
    return red / 255, green / 255, blue / 255, 1.0
