"""Labelling tile after tile: what the keys do, what is shown, and how it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import napari
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_smse.errors import SmseError
from napari_smse.widgets.click_tool import give_back_clicks, take_clicks
from napari_smse.widgets.key_bindings import KEYS, Action, KeyBindings
from napari_smse.widgets.layers.isolate_slide import IsolateSlide
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import layer_with
from napari_smse.widgets.suggest.tile_labels import TileLabel, TileLabels
from napari_smse.widgets.suggest.tile_queue import SKIPPED, TileQueue
from napari_smse.workflows.suggest_tiles import QueuedTile

_SKIP: Final = ("S", "Space")
_UNDO: Final = "Backspace"


class LabellingController(QObject):
    """Carries out what a queue of tiles wants, in the viewer.

    Parameters
    ----------
    viewer
        Where the slides are.
    queue
        Whose tiles are labelled.
    """

    problem = Signal(str)
    """Something cannot be done; the text says why."""

    def __init__(self, viewer: napari.Viewer, queue: TileQueue) -> None:
        super().__init__(queue)
        self._viewer, self._queue = viewer, queue
        self._labels = TileLabels(viewer, self.problem.emit)
        self._keys, self._view = KeyBindings(), IsolateSlide(viewer)
        self._made: dict[int, TileLabel] = {}
        self._past: list[int] = []
        self._on = False
        self._before: Layer | None = None
        self._active: Layer | None = None
        queue.label_wanted.connect(self.label)
        queue.skip_wanted.connect(self.skip)
        queue.undo_wanted.connect(self.take_back)
        queue.current_changed.connect(self.show_current)
        queue.view_changed.connect(self.show_current)
        self._session = session_of(viewer)
        self._session.maps_changed.connect(self._hide_new_maps)
        viewer.layers.events.inserted.connect(self._hide_new_maps)

    def begin_anew(self) -> None:
        """Forget what was done with an earlier queue; its annotations stay."""
        self._made.clear()
        self._past.clear()

    def set_on(self, on: bool) -> None:
        """Take the keys, and show the tile that waits; or give all of it back."""
        if on != self._on:
            self._on = on
            self.show_current()

    def let_go(self) -> None:
        """Give the keys back, as another tool took the clicks; a click in the list goes on."""
        self._keys.give_back()
        self._give_back()
        self._queue.show_keys(False)

    def show_classes(self) -> None:
        """Offer the classes that there are now."""
        tile = self._queue.tile or next(iter(self._queue.tiles), None)
        if tile is not None:
            self._queue.show_classes(self._labels.classes(tile.tile.slide))

    def label(self, number: int) -> None:
        """Give the current tile the class of this number, and go on."""
        tile, at = self._queue.tile, self._queue.current
        if tile is None or at is None:
            return
        if layer_with(self._viewer, tile.tile.slide.quick_hash) is None:
            self.problem.emit(_gone(tile))
            return
        names = list(self._labels.classes(tile.tile.slide))
        if number >= len(names):
            self.problem.emit(
                f"There is no class with the key {number + 1}: add one in SMSE: Annotate."
            )
            return
        if self._attempt(lambda: self._relabel(at, names[number])):
            self._past.append(at)
            self._queue.mark(at, names[number])
            self._queue.go_on()

    def skip(self) -> None:
        """Leave the current tile, and go on."""
        at = self._queue.current
        if at is None or not self._attempt(lambda: self._unlabel(at)):
            return
        self._past.append(at)
        self._queue.mark(at, SKIPPED)
        self._queue.go_on()

    def take_back(self) -> None:
        """Make the tile that was labelled or skipped last wait again, and go there."""
        if not self._past:
            return
        at = self._past[-1]
        if self._attempt(lambda: self._unlabel(at)):
            self._past = [one for one in self._past if one != at]
            self._queue.mark(at, "")
            self._queue.go_to(at)

    def show_current(self) -> None:
        """Fly to the tile that waits, and let the keys be for it."""
        self._keys.give_back()
        tile = self._queue.tile
        if not self._on or tile is None:
            self._give_back()
            give_back_clicks(self._viewer, self)
            return
        take_clicks(self._viewer, self)
        self._queue.show_keys(True)
        self.show_classes()
        layer = layer_with(self._viewer, tile.tile.slide.quick_hash)
        if layer is None:
            self._give_back()
            self.problem.emit(_gone(tile))
            return
        hides = self._queue.hide_maps.isChecked()
        if not hides:
            self._view.restore()
        self._view.show(layer, tile.tile.slide, maps=not hides)
        # A layer's own keys go before the viewer's, and those of a slide are two digits.
        self._activate(layer)
        fly_to(self._viewer, layer, tile.tile.region)
        for owner in (self._viewer, layer):
            self._keys.take(owner, self._actions())

    def _hide_new_maps(self, _event: object = None) -> None:
        """Hide maps that come while a tile of their slide waits, as those of a run do."""
        tile = self._queue.tile
        if not self._on or tile is None or not self._queue.hide_maps.isChecked():
            return
        layer = layer_with(self._viewer, tile.tile.slide.quick_hash)
        if layer is not None and self._session.slide_layer is layer:
            self._view.show(layer, tile.tile.slide, maps=False)

    def _activate(self, layer: Layer) -> None:
        selection = self._viewer.layers.selection
        if self._active is None:
            self._before, self._active = selection.active, layer
        selection.active = self._active = layer

    def _give_back(self) -> None:
        """Show what was hidden, and choose the layer that was, unless another is chosen now."""
        self._view.restore()
        selection = self._viewer.layers.selection
        ours = self._active is not None and selection.active is self._active
        if ours and self._before in self._viewer.layers:
            selection.active = self._before
        self._active = self._before = None

    def release(self) -> None:
        """Give back the keys, and show what was hidden; the annotations stay."""
        self._on = False
        self._session.maps_changed.disconnect(self._hide_new_maps, missing_ok=True)
        self._viewer.layers.events.inserted.disconnect(self._hide_new_maps)
        self.show_current()

    def _relabel(self, at: int, class_name: str) -> None:
        self._unlabel(at)
        self._made[at] = self._labels.label(self._queue.tiles[at].tile, class_name)

    def _unlabel(self, at: int) -> None:
        if at in self._made:
            self._labels.take_back(self._made.pop(at))

    def _attempt(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except SmseError as error:
            self.problem.emit(str(error))
            return False
        return True

    def _actions(self) -> dict[str, Action]:
        # Functions, as napari asks what it binds for its name.
        def skip_tile(_owner: object) -> None:
            self.skip()

        def take_back_label(_owner: object) -> None:
            self.take_back()

        labels = {key: self._labeller(number) for number, key in enumerate(KEYS)}
        return {**labels, **dict.fromkeys(_SKIP, skip_tile), _UNDO: take_back_label}

    def _labeller(self, number: int) -> Action:
        def label_tile(_owner: object) -> None:
            self.label(number)

        return label_tile


def _gone(tile: QueuedTile) -> str:
    return f"{tile.tile.slide.name} is not in the viewer any more: open it again, or skip."
