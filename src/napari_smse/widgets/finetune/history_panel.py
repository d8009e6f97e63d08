"""All fine-tunings so far, with notes; go back to one, or remove it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.errors import SmseError
from napari_smse.finetuning.history import FineTuneEntry, FineTuneHistory
from napari_smse.widgets.controls.layout import push_button

_HEADS = ("When", "Loss", "Trainable layers", "AUC", "Note")
_NOTE = len(_HEADS) - 1
_ROWS_SEEN, _ROW_PX = 5, 24
_ABOUT = "Every finished fine-tuning is kept here. Double-click a note to write it."


class HistoryPanel(QWidget):
    """The newest fine-tuning first."""

    show_wanted = Signal(object)
    """The maps of the fine-tuning kept at this path are to be shown."""

    use_wanted = Signal(object)
    """Slides are to be scored with the model at this path."""

    problem = Signal(str)
    """Something cannot be done; the text says why."""

    def __init__(
        self, history: FineTuneHistory | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.history = history or FineTuneHistory()
        self.entries: list[FineTuneEntry] = []
        self._in_memory: Collection[Path] = ()
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setHorizontalHeaderLabels(_HEADS)
        self.table.setToolTip("Models fine-tuned before; type a note in the last column.")
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setMinimumHeight((_ROWS_SEEN + 1) * _ROW_PX)
        vertical, horizontal = self.table.verticalHeader(), self.table.horizontalHeader()
        assert vertical is not None
        assert horizontal is not None
        vertical.hide()
        vertical.setDefaultSectionSize(_ROW_PX)
        horizontal.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        horizontal.setStretchLastSection(True)
        self.show_maps = push_button("Show its maps", "Show the slide as this model sees it.")
        self.use = QPushButton("Score with it")
        self.remove = push_button(
            "Remove", "Remove the chosen model from the list, and from the disk."
        )
        self.use.setToolTip("Choose this model in SMSE: Score slide.")
        buttons = QHBoxLayout()
        for button in (self.show_maps, self.use, self.remove):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(about)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        self.table.itemSelectionChanged.connect(self._allow)
        self.table.itemChanged.connect(self._write_note)
        self.show_maps.clicked.connect(lambda: self._emit(self.show_wanted))
        self.use.clicked.connect(lambda: self._emit(self.use_wanted))
        self.remove.clicked.connect(self._remove)
        self.show_entries()

    @property
    def chosen(self) -> FineTuneEntry | None:
        """The fine-tuning whose row is selected."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        return self.entries[rows.pop()] if len(rows) == 1 else None

    def show_entries(self, in_memory: Collection[Path] = ()) -> None:
        """Read the history again.

        Parameters
        ----------
        in_memory
            Those whose maps can be shown without scoring again.
        """
        self._in_memory = in_memory
        self.entries = self.history.entries()
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self.entries))
            for row, entry in enumerate(self.entries):
                for column, text in enumerate(_cells(entry)):
                    item = QTableWidgetItem(text)
                    if column != _NOTE:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    item.setToolTip(_about(entry))
                    self.table.setItem(row, column, item)
        self._allow()

    def _allow(self) -> None:
        entry = self.chosen
        for button in (self.use, self.remove):
            button.setEnabled(entry is not None)
        kept = entry is not None and entry.path in self._in_memory
        self.show_maps.setEnabled(kept)
        self.show_maps.setToolTip(
            "" if kept else "The maps of this fine-tuning are gone: score the slide with it."
        )

    def _emit(self, signal: Signal) -> None:
        if self.chosen is not None:
            signal.emit(self.chosen.path)

    def _write_note(self, item: QTableWidgetItem) -> None:
        if item.column() != _NOTE:
            return
        entry = self.entries[item.row()]
        try:
            self.history.set_note(entry.path, item.text())
        except SmseError as error:
            with QSignalBlocker(self.table):
                item.setText(entry.note)
            self.problem.emit(str(error))

    def _remove(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        try:
            self.history.remove(entry.path)
        except SmseError as error:
            self.problem.emit(str(error))
        self.show_entries(self._in_memory)


def _cells(entry: FineTuneEntry) -> tuple[str, ...]:
    before, after = entry.auc_before, entry.auc_after
    change = "too few"
    if before is not None and after is not None:
        change = f"{before.value:.2f} → {after.value:.2f}"
        if after.low is not None and after.high is not None:
            change += f" ({after.low:.2f} to {after.high:.2f})"
    return f"{entry.when:%d %b %H:%M}", entry.loss, entry.trainable, change, entry.note


def _about(entry: FineTuneEntry) -> str:
    """Say where a model lies, what it came from, and what its AUC is of."""
    after = entry.auc_after
    of = "No AUC: too few tiles or cases were held out." if after is None else f"AUC: {after.how}"
    return f"{entry.path}\nfrom {entry.parent}\n{of}"
