"""A dock that lets go of the viewer however it ends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_smse.widgets.driver_workarounds import keep_programs
from napari_smse.widgets.worker import Worker

if TYPE_CHECKING:
    import napari

Owned = TypeVar("Owned", bound=QObject)

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

# Weak: Qt owns them together with the window.
_owned: weakref.WeakValueDictionary[tuple[object, int], Any] = weakref.WeakValueDictionary()


class SlideDock(QWidget):
    """Leaves once: when it is closed, taken out of napari's window, or destroyed.

    From the plugin menu it opens as a tab beside the other docks of this plugin, with a short title
    on the tab; wherever a user drags it then, it stays.

    The close button of its frame only hides it while one of its tasks does something that is to go
    on; the plugin menu then shows it as it was, or as far as it got since.

    Parameters
    ----------
    hides_on_close
        Whether the close button only hides it at any time, so that it opens again as it was left.
    """

    def __init__(self, *, hides_on_close: bool = False) -> None:
        super().__init__()
        self._hides_on_close = hides_on_close
        keep_programs()
        self._left = False
        self._tasks_to_end: tuple[Worker, ...] = ()
        self._closed_amid = ""
        self._placing = QTimer(self)
        self._placing.setSingleShot(True)
        self._placing.timeout.connect(self._place)

    def cancel_on_destroy(self, tasks: Sequence[Worker]) -> None:
        """Let work end when Qt destroys the dock without a word.

        The tasks should have no parent: a worker may still speak while the dock is being destroyed.
        """
        # The finaliser keeps the events alive: collected together with the dock, they would be
        # half gone when Qt says that it is destroyed.
        self._tasks_to_end = tuple(tasks)
        for task in tasks:
            if task.doing:
                task.returned.connect(self._tell_end)
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

    def _take_frame(self, frame: Any) -> None:
        """See to it that napari's close button asks here, and that the menu brings to the front."""
        if hasattr(frame, "destroyOnClose"):
            # Weak, so that a dock that Qt destroys dies at once.
            frame.destroyOnClose = partial(_close, weakref.ref(self), weakref.ref(frame))
            frame.toggleViewAction().toggled.connect(partial(_bring_to_front, weakref.ref(frame)))

    def _close_frame(self, frame: Any) -> None:
        """Do what napari's close button does, or hide the frame if it is to open again as it is."""
        running = (task.doing for task in self._tasks_to_end if task.is_running)
        self._closed_amid = next(filter(None, running), "")
        if not self._closed_amid and not self._hides_on_close:
            type(frame).destroyOnClose(frame)
            return
        frame.hide()
        if self._closed_amid:
            show_info(
                f"{self._closed_amid}, which goes on: open {_menu_name(frame)} again to see how "
                "far it is, or to cancel it."
            )

    def _tell_end(self, _result: object) -> None:
        """Say that what went on without being seen is done."""
        frame = self.parent()
        if self._closed_amid and isinstance(frame, QDockWidget) and frame.isHidden():
            show_info(f"{_menu_name(frame)} is done: open it again to see what came of it.")
        self._closed_amid = ""

    def _place(self) -> None:
        """Lay the dock over the one of this plugin that lies at the same side already, as a tab."""
        frame = self.parent()
        if not isinstance(frame, QDockWidget) or not frame.objectName().endswith(_FROM_MENU):
            return
        name = _menu_name(frame)
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
            frame = self.parent()
            if frame is None:
                self.release()
            else:
                self._take_frame(frame)
                # Not at once: napari has still to put the frame into its window.
                self._placing.start()
        super().changeEvent(event)


def _close(dock: weakref.ref[SlideDock], frame: weakref.ref[Any]) -> None:
    """Let a dock close its frame."""
    closing, closed = dock(), frame()
    if closing is not None and closed is not None:
        closing._close_frame(closed)


def _bring_to_front(frame: weakref.ref[Any], shown: bool) -> None:
    """Raise the tab of a dock that was hidden, which Qt leaves behind the others."""
    raised = frame()
    if shown and raised is not None:
        raised.raise_()


def _menu_name(frame: QDockWidget) -> str:
    """Return what the plugin menu calls the dock in a frame."""
    return frame.objectName().removesuffix(_FROM_MENU)


def _area(window: QMainWindow, frame: QDockWidget) -> Qt.DockWidgetArea | None:
    """Return at which side of a window a dock lies; None if it floats, or is closed."""
    return None if frame.isFloating() or not frame.isVisible() else window.dockWidgetArea(frame)


def open_docks(viewer: napari.Viewer) -> list[str]:
    """Return the names of this plugin's docks that are open, as in the menu; the front one last."""
    frames = [dock.parent() for dock in main_window(viewer).findChildren(SlideDock)]
    shown = [
        frame
        for frame in frames
        if isinstance(frame, QDockWidget)
        and frame.objectName().endswith(_FROM_MENU)
        and not frame.isHidden()
    ]
    # Of docks that are tabs of one place, those behind have nothing of them on the screen.
    return [_menu_name(one) for one in sorted(shown, key=_is_in_front)]


def _is_in_front(frame: QDockWidget) -> bool:
    return frame.isVisible() and not frame.visibleRegion().isEmpty()


def main_window(viewer: napari.Viewer) -> QMainWindow:
    """Return the window of a viewer, as Qt has it."""
    window = viewer.window.main_menu.window()
    assert isinstance(window, QMainWindow)
    return window


def of_viewer(kind: Callable[[napari.Viewer], Owned], viewer: napari.Viewer) -> Owned:
    """Return what each viewer has one of, made when it is first asked for.

    Parameters
    ----------
    kind
        Makes it, as a child of the viewer's window, which owns it.
    viewer
        Whose it is.
    """
    found = _owned.get((kind, id(viewer)))
    if found is None:
        found = _owned[kind, id(viewer)] = kind(viewer)
    made: Owned = found
    return made


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
