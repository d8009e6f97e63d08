"""Which model: a list, a way to open others, and the card."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_smse.workflows.check_model import same_model

_FILES = "Models (*.safetensors *.json)"


class ModelField(QWidget):
    """The models that were opened so far, and the bundled one."""

    chosen = Signal(str)
    """The user chose a model of the list: ``bundled`` or a path."""

    picked = Signal(str)
    """The user picked a file that may be a model."""

    card_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QComboBox()
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.addItem("Bundled", "bundled")
        self.browse = QPushButton("Open …")
        self.card = QPushButton("Card")
        self.card.setToolTip("What the model was trained on, and how well it does.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list, stretch=1)
        layout.addWidget(self.browse)
        layout.addWidget(self.card)
        self.list.currentIndexChanged.connect(self._tell_chosen)
        self.browse.clicked.connect(self._browse)
        self.card.clicked.connect(self.card_wanted)

    @property
    def name(self) -> str:
        """``bundled`` or a path."""
        return str(self.list.currentData())

    @property
    def label(self) -> str:
        """What the model is called in the list."""
        return self.list.currentText()

    def offer(self, path: str) -> None:
        """List a model, unless it is listed already, and choose it, also if it is chosen."""
        row = self._row_of(path)
        with QSignalBlocker(self.list):
            if row is None:
                row = self.list.count()
                self.list.addItem(self._free_label(Path(path)), path)
                self.list.setItemData(row, path, Qt.ItemDataRole.ToolTipRole)
            self.list.setCurrentIndex(row)
        self._tell_chosen()

    def show_chosen(self, name: str) -> None:
        """Show which model of the list is chosen, telling nobody."""
        row = self._row_of(name)
        if row is not None:
            with QSignalBlocker(self.list):
                self.list.setCurrentIndex(row)
            self.list.setToolTip("" if name == "bundled" else name)

    def _row_of(self, name: str) -> int | None:
        rows = range(self.list.count())
        return next((row for row in rows if same_model(self.list.itemData(row), name)), None)

    def _free_label(self, path: Path) -> str:
        labels = {self.list.itemText(row) for row in range(self.list.count())}
        # Models are often called alike, and their folders told apart.
        return path.stem if path.stem not in labels else f"{path.stem} in {path.parent}"

    def _tell_chosen(self) -> None:
        self.chosen.emit(self.name)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", _FILES)
        if path:
            self.picked.emit(path)
