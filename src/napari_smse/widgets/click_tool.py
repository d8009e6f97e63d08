"""One tool at a time takes the clicks on the slides of a viewer, whichever dock it belongs to.

Two that listen at once would pick a tile with the click that draws a corner. A tool takes the
clicks when it is switched on; the one that had them before lets go, and its button or box unticks.
"""

from __future__ import annotations

import weakref
from typing import Any, Final, Protocol

from napari.components import ViewerModel
from napari.layers import Shapes


class ClickTool(Protocol):
    """What takes clicks on slides, or the keys that stand for them."""

    def let_go(self) -> None:
        """Switch off, as another tool was switched on."""


_active: weakref.WeakKeyDictionary[ViewerModel, weakref.ref[ClickTool]] = (
    weakref.WeakKeyDictionary()
)


def active_tool(viewer: ViewerModel) -> ClickTool | None:
    """Return the tool that has the clicks of a viewer; None if they only move the view."""
    held = _active.get(viewer)
    return None if held is None else held()


def take_clicks(viewer: ViewerModel, tool: ClickTool) -> None:
    """Give a tool the clicks of a viewer; the one that had them lets go."""
    before = active_tool(viewer)
    # First, so that what lets go gives back nothing that is not its own any more.
    _active[viewer] = weakref.ref(tool)
    if before is not None and before is not tool:
        before.let_go()


def give_back_clicks(viewer: ViewerModel, tool: ClickTool) -> None:
    """Take note that a tool was switched off; nothing happens if it had no clicks."""
    if active_tool(viewer) is tool:
        del _active[viewer]


_IDLE: Final = ("pan_zoom", "transform")


class DrawingTool:
    """A Shapes layer: it takes the clicks while napari draws or selects in it.

    Parameters
    ----------
    viewer
        Whose clicks they are.
    layer
        Its mode may be changed by a dock, by napari's own buttons, or by its keys.
    """

    def __init__(self, viewer: ViewerModel, layer: Shapes) -> None:
        self._viewer, self._layer = viewer, layer
        layer.events.mode.connect(self._follow)

    def let_go(self) -> None:
        """Let the mouse move the view again."""
        if self._layer.mode not in _IDLE:
            self._layer.mode = "pan_zoom"

    def release(self) -> None:
        """Listen no more; the mode stays as it is."""
        self._layer.events.mode.disconnect(self._follow)
        give_back_clicks(self._viewer, self)

    def _follow(self, _event: Any = None) -> None:
        if self._layer.mode in _IDLE:
            give_back_clicks(self._viewer, self)
        else:
            take_clicks(self._viewer, self)
