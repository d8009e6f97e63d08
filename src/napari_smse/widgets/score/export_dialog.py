"""Asks for what, and where to, results are exported."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QWidget,
)

from napari_smse.results.exchange import TARGETS
from napari_smse.widgets.controls.layout import hbox, push_button


class ExportDialog(QDialog):
    """A program to choose, a folder, and whether what lies there may be replaced."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export results")
        self.targets = QComboBox()
        for name, target in TARGETS.items():
            self.targets.addItem(f"{target.opens_in} ({name})", name)
        self.place = QLineEdit()
        self.place.setPlaceholderText("Folder to write into")
        self.place.setMinimumWidth(320)
        self.browse = push_button("Choose …", "Choose the folder.")
        self.replaced = QCheckBox("Replace an export of this slide that lies there")
        yes, no = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel
        self.buttons = QDialogButtonBox(yes | no)
        self.buttons.button(yes).setText("Export")
        self.buttons.button(yes).setEnabled(False)
        layout = QFormLayout(self)
        layout.addRow("Program", self.targets)
        layout.addRow("Folder", hbox(self.place, self.browse))
        layout.addRow(self.replaced)
        layout.addRow(self.buttons)
        self.browse.clicked.connect(self._choose)
        self.place.textChanged.connect(
            lambda text: self.buttons.button(yes).setEnabled(bool(text.strip()))
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    @property
    def target(self) -> str:
        """Name of the target that is chosen."""
        return str(self.targets.currentData())

    @property
    def folder(self) -> Path | None:
        """The folder; None if none is named."""
        text = self.place.text().strip()
        return Path(text).expanduser() if text else None

    @property
    def overwrite(self) -> bool:
        """Whether an export that lies there may be replaced."""
        return self.replaced.isChecked()

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Export results to", self.place.text())
        if chosen:
            self.place.setText(chosen)
