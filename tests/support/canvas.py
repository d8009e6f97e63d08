"""The mouse on the canvas of a real viewer, at places given in the world."""

from __future__ import annotations

import numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from vispy.util.event import Event

from napari_smse.widgets.slide_layers import level0_to_world

_MOVE_MS = 12


def canvas_of(viewer):
    """The vispy canvas of a viewer's window."""
    return viewer.window._qt_viewer.canvas._scene_canvas


def on_canvas(viewer, slide_layer, x, y):
    """Where a level-0 point of a slide lies on the canvas, (column, row)."""
    camera, size = viewer.scene.camera, np.array(viewer.canvas.size)
    ((down, across),) = level0_to_world(slide_layer, np.array([[x, y]]))
    row, column = size / 2 + ((down, across) - np.array(camera.center[-2:])) * camera.zoom
    # Whole pixels, as Qt has them.
    return round(column), round(row)


def drag(viewer, slide_layer, points, modifiers=(), button=1, hastily=False):
    """Press at the first level-0 point (x, y), move through the others, and release at the last.

    Hastily, so that napari takes the first move alone.
    """
    events = canvas_of(viewer).events
    press = None
    places = [on_canvas(viewer, slide_layer, *point) for point in points]
    kinds = ["mouse_press", *["mouse_move"] * (len(places) - 1), "mouse_release"]
    for kind, place in zip(kinds, [*places, places[-1]], strict=True):
        sent = {
            "pos": place,
            "button": button,
            "buttons": [button],
            "modifiers": modifiers,
            "press_event": press,
            "last_event": press,
        }
        made = getattr(events, kind)(**sent)
        if not hastily:
            # napari takes one move in 5 ms, and no more; on a busy machine the wait may end before
            # what is due is done.
            QTest.qWait(_MOVE_MS)
            QApplication.processEvents()
        press = made if press is None and isinstance(made, Event) else press


def click(viewer, slide_layer, x, y):
    """Click at a level-0 point of a slide."""
    drag(viewer, slide_layer, [(x, y)])
