"""A dock that lets go of the viewer however it ends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QWidget

from napari_smse.widgets.driver_workarounds import keep_programs
from napari_smse.widgets.worker import Worker

if TYPE_CHECKING:
    import napari

SCORE: Final = "SMSE: Score slide"
FINE_TUNE: Final = "SMSE: Fine-tune"
_PLUGIN: Final = "napari-smse"


class SlideDock(QWidget):
    """Leaves once: when it is closed, taken out of napari's window, or destroyed."""

    def __init__(self) -> None:
        super().__init__()
        keep_programs()
        self._left = False

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

    def changeEvent(self, event: QEvent | None) -> None:
        """Leave when napari takes the dock out of its window, which it does without closing it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.release()
        super().changeEvent(event)


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
