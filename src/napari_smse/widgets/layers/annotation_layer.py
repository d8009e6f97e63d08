"""Annotations of a slide as a Shapes layer: classes, colours, holes, and a way back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import Colour
from napari_smse.slides import Slide
from napari_smse.widgets.click_tool import DrawingTool
from napari_smse.widgets.layers.annotation_shapes import (
    CLASS,
    FILL,
    HOLE,
    IDENTITY,
    ShapesData,
    ShapesHistory,
    add_annotation_layer,
    annotation_layer_of,
    annotations_as_shapes,
    annotations_in,
    colour_shapes,
    exchange_annotations,
    layer_colours,
    name_shapes,
    replace_shapes,
    rgba,
)
from napari_smse.widgets.layers.screen_width import ScreenWidth
from napari_smse.widgets.slide_layers import LAYER_KEY
from napari_smse.widgets.tile_notes import notes_of

_WIDTH_PX: Final = 2.5
_DONE = ("added", "removed", "changed")


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

    Attributes
    ----------
    layer
        The Shapes layer.
    slide
        The slide they lie on.
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
        self._viewer, self._slide_layer, self.slide = viewer, slide_layer, slide
        self._colours = dict(colours)
        self._known: dict[str, Annotation] = {}
        self._class = next(iter(colours), "")
        self._quiet = False
        self._taker: Callable[[Collection[str]], None] | None = None
        self.layer = annotation_layer_of(viewer, slide) or add_annotation_layer(
            viewer, slide_layer, slide
        )
        self.layer.metadata[LAYER_KEY].detail = self._colours
        self._notes = notes_of(slide_layer)
        self._history = ShapesHistory(self.layer)
        self._recolour()
        self._listen()

    # -- what is drawn ---------------------------------------------------------------

    @property
    def colours(self) -> dict[str, Colour]:
        """Of the classes."""
        return dict(self._colours)

    @property
    def class_name(self) -> str:
        """The class of what is drawn next."""
        return self._class

    @property
    def count(self) -> int:
        """How many shapes there are, holes not counted."""
        return int((~self.layer.features[HOLE].astype(bool)).sum()) if len(self.layer.data) else 0

    def annotations(self) -> AnnotationSet:
        """Return what is drawn, in level-0 px; what has no area on the slide is left out."""
        return annotations_in(self.layer, self._slide_layer, self.slide, self._known, self._colours)

    def left_out(self, drawn: AnnotationSet) -> int:
        """Return how many shapes are not in what is drawn: lines, or beside the slide."""
        identities = {*self.layer.features[IDENTITY]} if len(self.layer.data) else set()
        return len(identities) - len(drawn.annotations)

    # -- changing it -----------------------------------------------------------------

    def show(self, annotations: AnnotationSet) -> None:
        """Show these in place of what is drawn."""
        # Those that are gone are known still, as they may come back.
        self._known |= {one.id: one for one in annotations.annotations}
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
        return self._step(self._history.undo)

    def redo(self) -> bool:
        """Do again what was taken back last; False if there is nothing, or more was drawn since."""
        return self._step(self._history.redo)

    def hand_over_next(self, taker: Callable[[Collection[str]], None] | None) -> None:
        """Hand the identity of the next shape to somebody who makes a step of it, or to nobody."""
        self._taker = taker

    def edit(
        self,
        before: Sequence[Annotation],
        after: Sequence[Annotation],
        also_gone: Collection[str] = (),
    ) -> bool:
        """Show annotations as they were edited, as one step that can be taken back.

        Parameters
        ----------
        before, after
            What is drawn and is to be; annotations that are the same objects are not touched.
        also_gone
            Identities of shapes that go in any case.

        Returns
        -------
        bool
            Whether anything changed.
        """
        same = {id(one) for one in before} & {id(one) for one in after}
        gone = {one.id for one in before if id(one) not in same}
        new = [one for one in after if id(one) not in same]
        with self._quietly():
            exchange_annotations(self.layer, self._slide_layer, gone | {*also_gone}, new)
        if gone or new:
            self._known |= {one.id: one for one in new}
            self._note()
        return bool(gone or new)

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
        self._tool.release()
        self._width.release()
        self._viewer.layers.events.removed.disconnect(self._on_elsewhere)
        self._notes.changed.disconnect(self._on_elsewhere, missing_ok=True)

    # -- inside ----------------------------------------------------------------------

    def _listen(self) -> None:
        self.layer.events.data.connect(self._on_changed)
        # Pasting is told by nothing else.
        self.layer.events.features.connect(self._on_features_changed)
        self._tool = DrawingTool(self._viewer, self.layer)
        self._width = ScreenWidth(self._viewer, self.layer, _WIDTH_PX, self)
        self._viewer.layers.events.removed.connect(self._on_elsewhere)
        self._notes.changed.connect(self._on_elsewhere)

    def _on_changed(self, event: object) -> None:
        action = str(getattr(getattr(event, "action", ""), "value", ""))
        if self._quiet or action not in _DONE:
            return
        self._name_new_shapes()
        if self._taker is None or action != "added":
            self._note()
        else:
            # Not at once, as napari is still busy with the shape.
            QTimer.singleShot(0, self._hand_over)

    def _on_features_changed(self, _event: object) -> None:
        drawn = len(self.layer.data) > self._history.count
        if drawn and not self._quiet and self._taker is None:
            self._name_new_shapes()
            self._note()

    def _on_elsewhere(self, event: object = None) -> None:
        if event is None or getattr(event, "value", None) is self.layer:
            self.changed.emit()

    def _name_new_shapes(self) -> None:
        with self._quietly():
            name_shapes(self.layer, self._history.count, self._class)

    def _hand_over(self) -> None:
        taker, self._taker = self._taker, None
        if taker is not None:
            taker({*self.layer.features[IDENTITY].iloc[self._history.count :]})

    def _step(self, step: Callable[[], ShapesData | None]) -> bool:
        if (mode := self.layer.mode).startswith("add_"):
            # What is half drawn is ended first; it is a step, too, if it is a shape by then.
            self.layer.mode = "pan_zoom"
            self.layer.mode = mode
        shapes = step()
        if shapes is None:
            return False
        self._restore(shapes)
        self._recolour()
        self.changed.emit()
        return True

    def _note(self) -> None:
        """Remember how it was, so that it can come back."""
        self._history.note()
        self._recolour()
        self.changed.emit()

    def _restore(self, shapes: ShapesData) -> None:
        with self._quietly():
            replace_shapes(self.layer, shapes)

    def _recolour(self) -> None:
        with self._quietly():
            if len((layer := self.layer).data):
                colour_shapes(layer, self._colours)
            if not layer.selected_data:
                colour = rgba(self._colours.get(self._class))
                layer.current_edge_color = colour
                layer.current_face_color = (*colour[:3], FILL)
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
    layer = annotation_layer_of(viewer, slide)
    if layer is not None:
        layer.scale = slide_layer.scale[-2:]
        layer.translate = slide_layer.translate[-2:]


def drawn_on(viewer: ViewerModel, slide_layer: Layer, slide: Slide) -> AnnotationSet:
    """Return what is drawn on a slide; nothing but its case if it has no annotation layer."""
    layer = annotation_layer_of(viewer, slide)
    if layer is None:
        return AnnotationSet(case=notes_of(slide_layer).case)
    return annotations_in(layer, slide_layer, slide)


def count_drawn(viewer: ViewerModel, slide: Slide) -> int:
    """Return how many annotations there are on a slide; quicker than reading them."""
    layer = annotation_layer_of(viewer, slide)
    return 0 if layer is None or not len(layer.data) else int(layer.features[IDENTITY].nunique())


def colours_drawn_with(viewer: ViewerModel, slide: Slide) -> dict[str, Colour]:
    """Return the classes that a slide is annotated with, and their colours; empty if it is not."""
    layer = annotation_layer_of(viewer, slide)
    return {} if layer is None else layer_colours(layer)
