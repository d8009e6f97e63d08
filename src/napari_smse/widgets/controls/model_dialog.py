"""All models there are, to choose one from."""

from __future__ import annotations

from html import escape
from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.model_card_dialog import card_html
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.models.model_list import (
    ListedModel,
    ModelKind,
    ModelState,
    listed_models,
)

_FILES: Final = "Models (*.safetensors *.json *.pt *.bin *.pth)"
_HEADS: Final = ("Model", "State", "Kind", "Judges", "µm/px", "Licence", "Size")
_JUDGES: Final = 3
_NAME_PX: Final = 230
_SIZE: Final = (1060, 640)


class ModelDialog(QDialog):
    """Lists the models, those that can be used first; a click chooses one and shows its card."""

    chosen = Signal(str)
    """A model that can be used was clicked, or a file or folder was picked."""

    weights_chosen = Signal(str, str)
    """A file was picked that is said to hold an encoder's weights: its name, and the path."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.resize(*_SIZE)
        self._listed: list[ListedModel] = []
        # Without a parent: a worker may still speak while its dialog is being destroyed.
        self.task = Worker()
        self.task.returned.connect(self._show)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search by name, organ, class, licence, state …")
        self.search.setClearButtonEnabled(True)
        self.table = _table()
        self.text = QTextBrowser()
        self.state = QLabel("Looking for models …")
        self.file = push_button("Add file …", "A model's .safetensors or .json file.")
        self.folder = push_button("Add folder …", "A model in WSInfer's format.")
        self.weights = push_button(
            "Its weights …", "You have the weights of this encoder already: say where they are."
        )
        self.weights.setEnabled(False)
        self._lay_out()
        self.search.textChanged.connect(self._filter)
        self.table.itemClicked.connect(lambda item: self._choose(item.row()))
        self.table.currentCellChanged.connect(lambda row, *_: self._describe(row))
        self.table.itemActivated.connect(lambda item: self._choose(item.row()))
        self.file.clicked.connect(self._add_file)
        self.folder.clicked.connect(self._add_folder)
        self.weights.clicked.connect(self._add_weights)
        self.task.start(listed_models)

    def _lay_out(self) -> None:
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(self.table)
        parts.addWidget(self.text)
        layout = QVBoxLayout(self)
        layout.addWidget(self.search)
        layout.addWidget(parts, stretch=1)
        layout.addWidget(self.state)
        layout.addLayout(hbox(self.file, self.folder, self.weights, close))

    def model_at(self, row: int) -> ListedModel:
        """Return the model of a row."""
        return self._listed[row]

    def _show(self, found: list[ListedModel]) -> None:
        self._listed = found
        self.table.setRowCount(len(found))
        for row, model in enumerate(found):
            for column, text in enumerate(_cells(model)):
                item = QTableWidgetItem(text)
                item.setToolTip(f"<qt>{escape(text)}</qt>")
                if model.state is not ModelState.READY:
                    item.setForeground(self.palette().placeholderText())
                self.table.setItem(row, column, item)
        self._filter(self.search.text())

    def _filter(self, words: str) -> None:
        rows = range(len(self._listed))
        seen = [row for row in rows if self._listed[row].matches(words)]
        for row in rows:
            self.table.setRowHidden(row, row not in seen)
        ready = sum(self._listed[row].state is ModelState.READY for row in seen)
        self.state.setText(
            f"{len(seen)} models, {ready} ready. Click one that is ready to use it."
            if seen
            else "No model has all of these words."
        )

    def _describe(self, row: int) -> None:
        if not 0 <= row < len(self._listed):
            return
        model = self._listed[row]
        self.weights.setEnabled(model.kind is ModelKind.ENCODER)
        if model.card is not None:
            self.text.setHtml(card_html(model.card))
            return
        self.text.setHtml(
            f"<h2>{escape(model.name)}</h2><p>{escape(_where(model))}</p>"
            f"<p>{escape(model.how_to_get)}</p>"
        )

    def _choose(self, row: int) -> None:
        self._describe(row)
        model = self._listed[row]
        if model.state is ModelState.READY:
            self.state.setText(f"{model.name} is chosen.")
            self.chosen.emit(model.model)
        else:
            self.state.setText(f"{model.name} is not here: see below the list how to get it.")

    def _add_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", _FILES)
        self._add(path)

    def _add_folder(self) -> None:
        self._add(QFileDialog.getExistingDirectory(self, "Open a model of WSInfer"))

    def _add_weights(self) -> None:
        model = self._listed[self.table.currentRow()]
        path, _ = QFileDialog.getOpenFileName(self, f"Weights of {model.name}", "", _FILES)
        if path:
            self.accept()
            self.weights_chosen.emit(model.name, path)

    def _add(self, path: str) -> None:
        if path:
            self.accept()
            self.chosen.emit(path)

    def done(self, result: int) -> None:
        """Close; what is still being read is let go."""
        self.task.cancel()
        super().done(result)


def _table() -> QTableWidget:
    made = QTableWidget(0, len(_HEADS))
    made.setHorizontalHeaderLabels(_HEADS)
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.verticalHeader().hide()
    header = made.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
    header.setSectionResizeMode(_JUDGES, QHeaderView.ResizeMode.Stretch)
    header.resizeSection(0, _NAME_PX)
    return made


def _where(model: ListedModel) -> str:
    if model.kind is ModelKind.ENCODER:
        return (
            "Its weights are not on this machine. If you have them in a file, press “Its weights "
            "…” below. Else get them in a shell:"
        )
    return "It is not on this machine. If you have its folder, press “Add folder …” below. Else:"


def _cells(model: ListedModel) -> tuple[str, ...]:
    use = "" if model.commercial is not False else ", no commercial use"
    judges = "; ".join(filter(None, (model.organs, ", ".join(model.classes))))
    size = "" if model.size_mb is None else f"{model.size_mb:,.0f} MB"
    licence = f"{model.licence}{use}"
    return model.name, model.state, model.kind, judges, model.scales, licence, size
