"""Where a slide's tissue is taken from, and which artefacts are left out: one row of the form."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QWidget,
)

from napari_smse.tiles import ARTEFACTS
from napari_smse.tiles.mask_choice import NO_ARTEFACT
from napari_smse.workflows.settings.option import settings_of
from napari_smse.workflows.settings.score import ScoreSettings

FILES: Final = "Tissue masks (*.geojson *.json *.pth *.pt *.ckpt *.safetensors);;All files (*)"
_BY_COLOUR: Final = "colour"


class MaskPicker(QWidget):
    """A file that tissue is taken from, and the artefacts in it that are not scored."""

    changed = Signal()
    """Another file was chosen, or other artefacts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        options = settings_of(ScoreSettings)
        self.file = QLineEdit()
        self.file.setPlaceholderText(_BY_COLOUR)
        self.file.setClearButtonEnabled(True)
        for button in self.file.findChildren(QToolButton):
            button.setToolTip("Find tissue by its colours again.")
        self.file.setToolTip(options["tissue_mask"].option.help)
        self.browse = QPushButton("…")
        self.browse.setMaximumWidth(32)
        self.browse.setToolTip("Choose the file of a tissue mask.")
        self.kinds = QPushButton("Leave out")
        self.kinds.setToolTip("Artefacts of the mask that are not scored.")
        menu = QMenu(self.kinds)
        self.actions_by_name = {
            name: menu.addAction(ground.words) for name, ground in ARTEFACTS.items()
        }
        for action in self.actions_by_name.values():
            action.setCheckable(True)
            action.setChecked(True)
            action.toggled.connect(lambda _on: self.changed.emit())
        self.kinds.setMenu(menu)
        self.kinds.setEnabled(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.file, self.browse, self.kinds):
            row.addWidget(widget, stretch=1 if widget is self.file else 0)
        self.browse.clicked.connect(self._ask)
        self.file.textChanged.connect(self._typed)
        self.file.editingFinished.connect(self._take)
        self._taken = ""

    @property
    def path(self) -> str | None:
        """The file or folder; None for tissue by colour."""
        return self._taken or None

    @property
    def left_out(self) -> tuple[str, ...]:
        """The artefacts that are not scored, by their names in `ARTEFACTS`."""
        if self.path is None:
            return tuple(ARTEFACTS)
        ticked = tuple(name for name, one in self.actions_by_name.items() if one.isChecked())
        return ticked or (NO_ARTEFACT,)

    def choose(self, path: str) -> None:
        """Take the tissue from this file; from its colours if that is nothing."""
        self.file.setText(path)
        self._take()

    def _ask(self) -> None:
        folder = str(Path(self._taken).parent) if self._taken else ""
        path, _ = QFileDialog.getOpenFileName(self, "Tissue mask", folder, FILES)
        if path:
            self.choose(path)

    def _typed(self, text: str) -> None:
        if not text:  # cleared by its button, after which no editing is finished
            self._take()

    def _take(self) -> None:
        text = self.file.text().strip()
        if text == self._taken:
            return
        self._taken = text
        self.kinds.setEnabled(bool(text))
        self.changed.emit()
