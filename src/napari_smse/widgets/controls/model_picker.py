"""Which model: a list, a way to open others, and the card."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QMessageBox, QWidget

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard
from napari_smse.widgets.controls.layout import push_button
from napari_smse.widgets.controls.model_dialog import ModelDialog
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.models.check_model import (
    CheckedModel,
    agreement_wanted,
    check_model,
    same_model,
)


class ModelSelection(QObject):
    """Which model to score with; one that cannot be used never takes the place of one that can.

    Parameters
    ----------
    field
        Where the user chooses.
    read
        Reads the card of a model; may raise `SmseError`.
    """

    changed = Signal(object, bool)
    """The card to go by now, and whether the user chose a model, or a file changed by itself."""

    problem = Signal(str)
    described = Signal(str)
    """What is being done, or came of it."""

    def __init__(
        self, field: ModelPicker, read: Callable[[str], ModelCard], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.name = field.name
        self.card: ModelCard | None = None
        # Without a parent: see the score dock.
        self.task = Worker()
        self._field, self._read = field, read
        field.chosen.connect(self.choose)
        field.picked.connect(self.open)
        field.weights_picked.connect(self.open_weights)
        self.task.returned.connect(self._take)
        self.task.errored.connect(self._fail)

    def choose(self, name: str) -> None:
        """Choose a model of the list."""
        try:
            card = self._read(name)
        except SmseError as error:
            self._refuse(str(error))
            return
        self.name, self.card = name, card
        self._field.show_chosen(name)
        self.changed.emit(card, True)

    def choose_first(self, preferred: str) -> None:
        """Choose the model that comes first, and then what the user prefers, if it can be used."""
        self.choose(self._field.name)
        if preferred != self._field.name:
            try:
                self.open(preferred)
            except OSError as error:  # whatever was typed is no path
                self._refuse(f"The preferred model cannot be read: {error.strerror or error}.")

    def open(self, path: str) -> None:
        """Look at a file in the background, and choose it if it is a model for slides."""
        try:
            question = agreement_wanted(path)
        except SmseError as error:
            self._refuse(str(error))
            return
        if question is not None and not self._field.agrees(question.text):
            return
        self.described.emit(f"Looking at {Path(path).name} …")
        agreed = "" if question is None else question.sha256
        self.task.start(partial(check_model, path, agreed=agreed))

    def open_weights(self, encoder: str, path: str) -> None:
        """Look at a file of an encoder's weights in the background, and choose the encoder."""
        self.described.emit(f"Looking at {Path(path).name} …")
        self.task.start(partial(check_model, path, encoder=encoder))

    def read_again(self) -> None:
        """Take in that the model was saved anew under its path; a run tells if it is damaged."""
        try:
            card = self._read(self.name)
        except SmseError:
            return
        if card != self.card:
            self.card = card
            self.changed.emit(card, False)

    def _take(self, found: CheckedModel) -> None:
        self._field.offer(found.path, found.label)
        self.described.emit(f"{self._field.label} is chosen: {', '.join(found.card.classes)}.")

    def _fail(self, text: str) -> None:
        self.described.emit("")
        self._refuse(text)

    def _refuse(self, text: str) -> None:
        self._field.show_chosen(self.name)
        stays = f" {self._field.label} stays chosen." if self.card is not None else ""
        self.problem.emit(text + stays)


class ModelPicker(QWidget):
    """The models that were opened so far, and the bundled one."""

    chosen = Signal(str)
    """The user chose a model of the list: ``bundled`` or a path."""

    picked = Signal(str)
    """The user picked a file that may be a model."""

    weights_picked = Signal(str, str)
    """The user picked a file that may hold an encoder's weights: its name, and the path."""

    card_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QComboBox()
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.addItem("Bundled", "bundled")
        self.list.setToolTip("The model that scores the slide.")
        self.browse = push_button(
            "Models …", "All models and encoders there are; add a file or a folder."
        )
        self.card = push_button(
            "Model card", "What the model was trained on, and how well it does."
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list, stretch=1)
        layout.addWidget(self.browse)
        layout.addWidget(self.card)
        self.list.currentIndexChanged.connect(self._emit_chosen)
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

    def offer(self, path: str, label: str = "") -> None:
        """List a model, unless it is listed already, and choose it, also if it is chosen.

        Parameters
        ----------
        path
            Of the model.
        label
            What to call it; by default as its file or folder.
        """
        row = self._row_of(path)
        with QSignalBlocker(self.list):
            if row is None:
                row = self.list.count()
                self.list.addItem(self._free_label(Path(path), label), path)
                self.list.setItemData(row, path, Qt.ItemDataRole.ToolTipRole)
            self.list.setCurrentIndex(row)
        self._emit_chosen()

    def show_chosen(self, name: str) -> None:
        """Show which model of the list is chosen, telling nobody."""
        row = self._row_of(name)
        if row is not None:
            with QSignalBlocker(self.list):
                self.list.setCurrentIndex(row)
            self.list.setToolTip("The bundled model." if name == "bundled" else name)

    def _row_of(self, name: str) -> int | None:
        rows = range(self.list.count())
        return next((row for row in rows if same_model(self.list.itemData(row), name)), None)

    def _free_label(self, path: Path, label: str) -> str:
        labels = {self.list.itemText(row) for row in range(self.list.count())}
        # Models are often called alike, and their folders told apart.
        label = label or (path.name if path.is_dir() else path.stem)
        return label if label not in labels else f"{label} in {path.parent}"

    def _emit_chosen(self) -> None:
        self.chosen.emit(self.name)

    def agrees(self, question: str) -> bool:
        """Ask, and return whether the answer is yes."""
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        box = QMessageBox(self)
        box.setWindowTitle("Run this model?")
        # What a model calls itself is never markup.
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(question)
        box.setStandardButtons(yes | no)
        box.setDefaultButton(no)
        return bool(box.exec() == yes)

    def _browse(self) -> None:
        dialog = ModelDialog(self)
        dialog.chosen.connect(self._pick)
        dialog.weights_chosen.connect(self.weights_picked)
        dialog.exec()

    def _pick(self, model: str) -> None:
        # What is listed was looked at before, or comes with the program.
        if self._row_of(model) is None:
            self.picked.emit(model)
        else:
            self.offer(model)
