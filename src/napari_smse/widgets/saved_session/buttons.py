"""The buttons that save a session and open one, or stop that."""

from __future__ import annotations

import napari
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_smse.widgets.controls.layout import push_button
from napari_smse.widgets.saved_session.session_files import session_files

_SAVE = (
    "Write to one file which slides are open, their scores, all that is drawn, and where you look."
)
_OPEN = "Open the slides of a session as they were left, beside those that are open."
_OPEN_TEXT, _CANCEL_TEXT = "Open session …", "Cancel opening"


class SessionButtons(QWidget):
    """Save session, and open session, which cancels while one is being opened.

    Parameters
    ----------
    viewer
        Whose session it is.
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files = session_files(viewer)
        self.described = self.files.described
        self.save = push_button("Save session …", _SAVE)
        self.open = push_button(_OPEN_TEXT, _OPEN)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.save)
        layout.addWidget(self.open)
        self.save.clicked.connect(self.files.ask_where_to_save)
        self.open.clicked.connect(self._open_or_cancel)
        self.files.changed.connect(self._follow)
        self._follow()

    def _open_or_cancel(self) -> None:
        if self.files.is_opening:
            self.files.cancel()
        else:
            self.files.ask_what_to_open()

    def _follow(self) -> None:
        opening = self.files.is_opening
        self.open.setText(_CANCEL_TEXT if opening else _OPEN_TEXT)
        # What is not there yet would be missing in it.
        self.save.setEnabled(not opening)
