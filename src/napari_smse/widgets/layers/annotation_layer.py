"""Annotations of a slide as a Shapes layer: classes, colours, holes, and a way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from qtpy.QtCore import QObject, Signal

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import UNKNOWN_COLOUR, Colour
from napari_smse.slides import Slide
from napari_smse.widgets.layers.annotation_shapes import (
    CLASS,
    HOLE,
    IDENTITY,
    ShapesData,
    annotations_as_shapes,
    annotations_in,
    layer_colours,
    replace_shapes,
    shape_features,
    shapes_in,
)
from napari_smse.widgets.slide_layers import (
    LAYER_KEY,
    LayerKind,
    LayerMark,
    layers_of_kind,
)
from napari_smse.widgets.tile_notes import notes_of

_DONE = ("added", "removed", "changed")
_FILL = 0.2
_EDGE_UM = 5.0
_UNDOS = 100


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
        self._undos: list[ShapesData] = []
        self.layer = _layer_of(viewer, slide) or self._new_layer()
        self.layer.metadata[LAYER_KEY].detail = self._colours
        self._notes = notes_of(slide_layer)
        self._now = shapes_in(self.layer)
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
        self._restore(annotations_as_shapes(annotations, self.layer, self._slide_layer))
        self._notes.take_in(annotations.constraints, annotations.corrections, annotations.case)
        self._note()

    def add(self, annotations: AnnotationSet) -> None:
        """Show these beside what is drawn; one of the same identity is replaced."""
        new = {one.id for one in annotations.annotations}
        kept = tuple(one for one in self.annotations().annotations if one.id not in new)
        self.show(replace(annotations, annotations=kept + annotations.annotations))

    def set_colours(self, colours: Mapping[str, Colour]) -> None:
        """Take other colours for the classes."""
        self._colours = self.layer.metadata[LAYER_KEY].detail = dict(colours)
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
            self.deselect()
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
        self._now = shapes_in(self.layer)
        self._recolour()
        self.changed.emit()
        return True

    def deselect(self) -> None:
        """Leave no shape selected, so that choosing a class changes none."""
        self.layer.selected_data = set()

    def draw(self, mode: str) -> None:
        """Let the user draw: a mode of napari's Shapes layer."""
        if self.layer not in self._viewer.layers:
            self._viewer.layers.append(self.layer)
        self._viewer.layers.selection.active = self.layer
        self.deselect()
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
            features=shape_features([]),
            edge_width=_EDGE_UM / max(float(self._slide_layer.scale[-1]), 1e-6),
            opacity=1,
            metadata=LayerMark(LayerKind.ANNOTATIONS, self._slide.quick_hash, {}).metadata,
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
        self._now = shapes_in(self.layer)
        self._recolour()
        self.changed.emit()

    def _restore(self, shapes: ShapesData) -> None:
        with self._quietly():
            replace_shapes(self.layer, shapes)

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
    """Return what is drawn on a slide; nothing but its case if it has no annotation layer."""
    layer = _layer_of(viewer, slide)
    if layer is None:
        return AnnotationSet(case=notes_of(slide_layer).case)
    return annotations_in(layer, slide_layer, slide)


def count_drawn(viewer: ViewerModel, slide: Slide) -> int:
    """Return how many annotations there are on a slide; quicker than reading them."""
    layer = _layer_of(viewer, slide)
    return 0 if layer is None or not len(layer.data) else int(layer.features[IDENTITY].nunique())


def colours_drawn_with(viewer: ViewerModel, slide: Slide) -> dict[str, Colour]:
    """Return the classes that a slide is annotated with, and their colours; empty if it is not."""
    layer = _layer_of(viewer, slide)
    return {} if layer is None else layer_colours(layer)


def _layer_of(viewer: ViewerModel, slide: Slide) -> Shapes | None:
    layers = layers_of_kind(viewer, LayerKind.ANNOTATIONS, slide.quick_hash)
    return next((layer for layer in layers if isinstance(layer, Shapes)), None)


def _new() -> str:
    return str(uuid4())


def _rgba(colour: Colour | None) -> tuple[float, float, float, float]:
    red, green, blue = colour or UNKNOWN_COLOUR
    return red / 255, green / 255, blue / 255, 1.0
