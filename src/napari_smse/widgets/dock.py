"""A dock that lets go of the viewer however it ends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_smse.widgets.driver_workarounds import keep_programs
from napari_smse.widgets.worker import Worker

if TYPE_CHECKING:
    import napari

SCORE: Final = "SMSE: Score slide"
FINE_TUNE: Final = "SMSE: Fine-tune"
_PLUGIN: Final = "napari-smse"
_PREFIX: Final = "SMSE: "
_FROM_MENU: Final = f" ({_PLUGIN})"
_TAB_TITLES: Final = {
    SCORE: "Score",
    FINE_TUNE: "Tune",
    "SMSE: Find similar": "Similar",
    "SMSE: Embedding map": "Map",
    "SMSE: Annotate next": "Next",
}
"""What the tab of a dock says where its name in the menu is long."""


class SlideDock(QWidget):
    """Leaves once: when it is closed, taken out of napari's window, or destroyed.

    From the plugin menu it opens as a tab beside the other docks of this plugin, with a short title
    on the tab; wherever a user drags it then, it stays.
    """

    def __init__(self) -> None:
        super().__init__()
        keep_programs()
        self._left = False
        self._placing = QTimer(self)
        self._placing.setSingleShot(True)
        self._placing.timeout.connect(self._place)

    def cancel_on_destroy(self, tasks: Sequence[Worker]) -> None:
        """Let work end when Qt destroys the dock without a word.

        The tasks should have no parent: a worker may still speak while the dock is being destroyed.
        """
        # The finaliser keeps the events alive: collected together with the dock, they would be
        # half gone when Qt says that it is destroyed.
        closing = tuple(task.closing for task in tasks)
        self.destroyed.connect(weakref.finalize(self, _set_all, closing))

    def release(self) -> None:
        """Let go of everything; what is shown stays. Calling it again does nothing."""
        if not self._left:
            self._left = True
            self._disconnect()

    def _disconnect(self) -> None:
        raise NotImplementedError

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Leave when the window closes."""
        self.release()
        super().closeEvent(event)

    def _place(self) -> None:
        """Lay the dock over the one of this plugin that lies at the same side already, as a tab."""
        frame = self.parent()
        if not isinstance(frame, QDockWidget) or not frame.objectName().endswith(_FROM_MENU):
            return
        name = frame.objectName().removesuffix(_FROM_MENU)
        frame.setWindowTitle(_TAB_TITLES.get(name, name.removeprefix(_PREFIX)))
        window = frame.parent()
        if not isinstance(window, QMainWindow) or window.tabifiedDockWidgets(frame):
            return
        others = (dock.parent() for dock in window.findChildren(SlideDock) if dock is not self)
        area = _area(window, frame)
        beside = [
            one
            for one in others
            if isinstance(one, QDockWidget) and area is not None and _area(window, one) == area
        ]
        if beside:
            window.tabifyDockWidget(beside[0], frame)
            frame.raise_()

    def changeEvent(self, event: QEvent | None) -> None:
        """Leave when napari takes the dock out of its window, which it does without closing it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.release()
            else:
                # Not at once: napari has still to put the frame into its window.
                self._placing.start()
        super().changeEvent(event)


def _area(window: QMainWindow, frame: QDockWidget) -> Qt.DockWidgetArea | None:
    """Return at which side of a window a dock lies; None if it floats, or is closed."""
    return None if frame.isFloating() or not frame.isVisible() else window.dockWidgetArea(frame)


def open_dock(viewer: napari.Viewer, name: str) -> None:
    """Show one of this plugin's docks, opened if need be, and bring its tab to the front.

    Parameters
    ----------
    viewer
        In whose window.
    name
        As in the plugin menu, such as `FINE_TUNE`.
    """
    frame, _ = viewer.window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
    frame.show()
    frame.raise_()


def _set_all(events: Sequence[threading.Event]) -> None:
    for event in events:
        event.set()
