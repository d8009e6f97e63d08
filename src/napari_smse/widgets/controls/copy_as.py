"""A button that copies what a dock does as a command or as Python."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QApplication, QMenu, QToolButton, QWidget

from napari_smse.errors import SmseError
from napari_smse.workflows.replay.script import Script


class CopyAsButton(QToolButton):
    """Copies the work of a dock, with the settings chosen now, for a shell or a notebook.

    Parameters
    ----------
    script
        Returns it; a `SmseError` says why there is nothing to copy yet.
    """

    def __init__(self, script: Callable[[], Script], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._script = script
        self.setText("Copy as")
        # napari's style draws the arrow of the menu over the end of the text.
        self.setStyleSheet("QToolButton { padding-right: 14px; }")
        self.setToolTip("Copy what this dock does, as a command for a shell or as Python.")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        self.command = menu.addAction("Copy as command")
        self.command.triggered.connect(lambda: self._copy("command"))
        self.python = menu.addAction("Copy as Python")
        self.python.triggered.connect(lambda: self._copy("python"))
        self.setMenu(menu)

    def _copy(self, language: str) -> None:
        try:
            text = getattr(self._script(), language)
        except SmseError as error:
            show_info(str(error))
            return
        if not text:
            show_info("The shell has no command for this: copy it as Python.")
            return
        if (clipboard := QApplication.clipboard()) is not None:
            clipboard.setText(text)
        show_info("Copied.")
