"""Which index of slides is chosen, what is in it, and whether it takes what is scored."""

from __future__ import annotations

from html import escape
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.index_slides import AboutIndex, describe_index

NO_FOLDER = "Choose the folder of an index, or one to start an index in."


class IndexPicker(QWidget):
    """Shows the index that all docks share, and lets another one be chosen."""

    chosen = Signal()
    """Another index was chosen, here or in another dock, or the same one anew."""

    problem = Signal(str)
    """What is wrong with the index."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choice = index_settings()
        self._shown: Path | None = None
        # Without a parent, as the worker may still speak while the dock is being destroyed.
        self.looking = Worker()
        self.choose = QPushButton("Choose folder…")
        self.choose.setToolTip("Choose the folder of an index, or an empty one for a new index.")
        self.where, self.about = QLabel(NO_FOLDER), QLabel()
        self.every = QCheckBox("Add every slide that I score")
        self.every.setToolTip("Each slide goes into the index when it is scored to its end.")
        self._arrange()
        self._connect()
        self._show_choice()

    @property
    def folder(self) -> Path | None:
        """The index; None if none was chosen."""
        return self._choice.folder

    def _arrange(self) -> None:
        for label in (self.where, self.about):
            label.setWordWrap(True)
        top = QHBoxLayout()
        top.addWidget(self.where, stretch=1)
        top.addWidget(self.choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        for widget in (self.about, self.every):
            layout.addWidget(widget)
        self.about.hide()

    def _connect(self) -> None:
        self.choose.clicked.connect(self._choose_folder)
        self.every.toggled.connect(self._choice.take_scored)
        self._choice.changed.connect(self._show_choice)
        self._choice.grew.connect(self._refresh)
        self.looking.returned.connect(self._show_about)
        self.looking.errored.connect(self.problem)

    def _choose_folder(self) -> None:
        before = "" if self.folder is None else str(self.folder)
        title = "Folder of an index of slides"
        chosen = QFileDialog.getExistingDirectory(self, title, before)
        if chosen:
            self.set_folder(Path(chosen))

    def set_folder(self, folder: Path) -> None:
        """Take another index, or the same one anew, here and in all docks."""
        self._shown = None
        self._choice.choose(folder)

    def _show_choice(self) -> None:
        folder = self.folder
        with QSignalBlocker(self.every):
            self.every.setChecked(self._choice.takes_scored)
        self.every.setEnabled(folder is not None)
        self.every.setToolTip(
            "Choose a folder first."
            if folder is None
            else "When SMSE: Score slide is done with a slide, it goes into this index."
        )
        if folder is not None and folder != self._shown:
            self._shown = folder
            self.where.setText(f"<b>{escape(folder.name)}</b>")
            self.where.setToolTip(str(folder))
            self.chosen.emit()
            self._refresh()

    def _refresh(self, _key: str = "") -> None:
        if (folder := self.folder) is not None:
            self.looking.start(lambda: describe_index(folder))

    def _show_about(self, about: AboutIndex) -> None:
        self.about.setText(about.text)
        self.about.show()
        if about.warnings:
            self.problem.emit("\n".join(about.warnings))

    def show_growth(self, key: str) -> None:
        """Say to all docks that a slide, by its quick hash, is in the index now."""
        self._choice.grew.emit(key)

    def release(self) -> None:
        """Let go of everything."""
        self.looking.cancel()
        self._choice.changed.disconnect(self._show_choice)
        self._choice.grew.disconnect(self._refresh)
