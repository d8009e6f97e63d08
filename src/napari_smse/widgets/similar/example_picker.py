"""How a person says what is looked for: draws it, clicks it, or takes what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import napari
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QWidget
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import SmseError
from napari_smse.slides import Region, Slide
from napari_smse.widgets.layers.example_layer import ExampleLayer, Side, drawn_elsewhere
from napari_smse.widgets.layers.regions import visible_region
from napari_smse.widgets.layers.tile_picker import TilePicker
from napari_smse.workflows.scored_slide import TileOnSlide

_MEANINGS = {
    Side.LIKE: ("Positive examples", "what you are looking for"),
    Side.UNLIKE: ("Negative examples (optional)", "what was found but is not meant"),
}


class ExampleToolbar(QGroupBox):
    """Draw, pick, or take what is there, as examples of one side.

    Parameters
    ----------
    side
        Whether they are meant.
    """

    draw_wanted = Signal()
    pick_toggled = Signal(bool)
    shapes_wanted = Signal()
    view_wanted = Signal()
    clear_wanted = Signal()

    def __init__(self, side: Side, parent: QWidget | None = None) -> None:
        title, meant = _MEANINGS[side]
        super().__init__(title, parent)
        self.setToolTip(f"Examples of {meant}.")
        self.draw = _button("Draw", f"Draw around {meant}, holding the mouse button down.")
        self.pick = _button("Click a tile", f"Click the map where it shows {meant}.")
        self.pick.setCheckable(True)
        self.shapes = _button(
            "Use shapes",
            "Take the shapes that are selected in another layer, such as your annotations.",
        )
        self.view = _button("In view", "Take all that the window shows.")
        self.clear = _button("Clear", "Remove these examples.")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        for button in (self.draw, self.pick, self.shapes, self.view, self.clear):
            row.addWidget(button)
        self.draw.clicked.connect(self.draw_wanted)
        self.pick.toggled.connect(self.pick_toggled)
        self.shapes.clicked.connect(self.shapes_wanted)
        self.view.clicked.connect(self.view_wanted)
        self.clear.clicked.connect(self.clear_wanted)


def _button(text: str, tip: str) -> QPushButton:
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


_FREEHAND = "add_polygon_lasso"


class ExamplePicker(QObject):
    """Both sides' examples on a slide, as the buttons say.

    Parameters
    ----------
    viewer
        Where they are drawn and clicked.
    buttons
        Of both sides.
    searched_tile
        Gives the tile of the scale that is searched where this one of the finest scale was clicked.
    """

    changed = Signal()
    """There are other examples than before."""

    problem = Signal(str)
    """What was asked for cannot be done; the text says what to do."""

    def __init__(
        self,
        viewer: napari.Viewer,
        buttons: Mapping[Side, ExampleToolbar],
        searched_tile: Callable[[Region], Region],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.layers: dict[Side, ExampleLayer] = {}
        self.picker = TilePicker(viewer, self)
        self._viewer, self._buttons, self._searched_tile = viewer, buttons, searched_tile
        self._layer: Image | None = None
        self._slide: Slide | None = None
        self._picking: Side | None = None
        for side, one in buttons.items():
            one.draw_wanted.connect(partial(self._draw, side))
            one.pick_toggled.connect(partial(self._pick, side))
            one.shapes_wanted.connect(partial(self._take_shapes, side))
            one.view_wanted.connect(partial(self._take_view, side))
            one.clear_wanted.connect(partial(self._clear, side))
        self.picker.picked.connect(self._take_tile)
        self.picker.missed.connect(self._miss)
        self.picker.switched_off.connect(self._end_picking)
        self._allow(False)

    def follow(self, layer: Image, slide: Slide) -> None:
        """Take examples on this slide from now on; what is drawn on it already is there again."""
        self.let_go()
        self._layer, self._slide = layer, slide
        for side in Side:
            made = self.layers[side] = ExampleLayer(self._viewer, layer, slide, side, self)
            made.changed.connect(self.changed)
        self._allow(True)

    def let_go(self) -> None:
        """Take no more examples; what is drawn stays."""
        self._end_picking()
        for one in self.layers.values():
            one.release()
            one.deleteLater()
        self.layers, self._layer, self._slide = {}, None, None
        self._allow(False)

    def areas(self, side: Side) -> list[BaseGeometry]:
        """Return the examples of a side, (x, y) in level-0 px."""
        return self.layers[side].areas if side in self.layers else []

    def add_tile(self, side: Side, tile: Region) -> None:
        """Make a tile an example."""
        if side in self.layers:
            self.layers[side].add_tile(tile)

    # -- what the buttons do ---------------------------------------------------------

    def _draw(self, side: Side) -> None:
        self.layers[side].draw(_FREEHAND)

    def _pick(self, side: Side, on: bool) -> None:
        if on:
            self._end_picking(but=side)
            self._picking = side
        elif self._picking is side:
            self._picking = None
        self.picker.set_on(self._picking is not None)

    def _take_tile(self, tile: TileOnSlide) -> None:
        # What is picked is of the slide in view, which is the one chosen here.
        if self._picking is not None:
            self.add_tile(self._picking, self._searched_tile(tile.region))

    def _miss(self, _reason: str) -> None:
        self.problem.emit(
            "There is no scored tile where you clicked: click on tissue that the run scored, or "
            "score it (SMSE: Score slide)."
        )

    def _take_shapes(self, side: Side) -> None:
        assert self._layer is not None
        try:
            areas = drawn_elsewhere(self._viewer, self._layer)
        except SmseError as error:
            self.problem.emit(str(error))
            return
        self.layers[side].add(areas)

    def _take_view(self, side: Side) -> None:
        assert self._layer is not None
        self.layers[side].add([visible_region(self._viewer, self._layer)])

    def _clear(self, side: Side) -> None:
        self.layers[side].clear()

    def _end_picking(self, but: Side | None = None) -> None:
        for side, one in self._buttons.items():
            if side is not but:
                one.pick.setChecked(False)

    def _allow(self, allowed: bool) -> None:
        for one in self._buttons.values():
            one.setEnabled(allowed)
