"""The list of slides: picture, um/px, case and state of each, and a tick for the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_smse.widgets.case_ids import CaseId

_HEADS: Final = ("Slide", "µm/px", "Case ID", "State")
NAME, MPP, CASE, STATE = range(4)
_ICON: Final = QSize(44, 40)
_STYLE: Final = (
    "QTableWidget::indicator:unchecked { border: 1px solid #8f97a8; border-radius: 2px; }"
)
"""Without a border, a box that is not ticked cannot be seen on a dark ground."""

_KEY: Final = Qt.ItemDataRole.UserRole
_PROBLEM: Final = QColor("#ff8a65")
_FLAGS: Final = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


@dataclass(frozen=True)
class SlideRow:
    """What the list shows of a slide.

    Attributes
    ----------
    key
        What it is known by.
    name, mpp, state
        As text; a state may have several lines.
    case
        Its case, as stated or guessed.
    is_open
        Whether it is open in the viewer.
    failed
        Whether the state is a problem.
    where
        Its file, for the tooltip.
    """

    key: str
    name: str
    mpp: str
    state: str
    case: CaseId
    is_open: bool
    failed: bool = False
    where: str = ""


class SlideTable(QTableWidget):
    """The slides, one a row."""

    chosen = Signal(str)
    """The user chose the row of this slide."""

    opened = Signal(str)
    """The user double-clicked this slide."""

    case_typed = Signal(str, str)
    """The user gave this slide this case."""

    edited = Signal()
    """The user is done typing."""

    ticks_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADS), parent)
        self.setHorizontalHeaderLabels(_HEADS)
        self.setToolTip(
            "Click a slide to look at it; the others are hidden, and keep their zoom. Double-click "
            "one that is not open to open it. Double-click a case ID to state it. Tick slides to "
            "score them one after the other."
        )
        self.setIconSize(_ICON)
        self.setStyleSheet(_STYLE)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(40)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in ((NAME, 166), (MPP, 48), (CASE, 84)):
            self.setColumnWidth(column, width)
        self._icons: dict[str, QIcon] = {}
        self._shown: list[SlideRow] = []
        self.itemChanged.connect(self._take_change)
        self.itemSelectionChanged.connect(self._take_choice)
        self.itemDoubleClicked.connect(self._take_double_click)
        self.itemDelegate().closeEditor.connect(lambda *_: self.edited.emit())

    @property
    def current_key(self) -> str:
        """What the chosen slide is known by; empty if none is chosen."""
        rows = self.selectionModel().selectedRows()
        return self._key(rows[0].row()) if rows else ""

    @property
    def ticked(self) -> list[str]:
        """What the ticked slides are known by, in the order of the list."""
        return [
            self._key(row)
            for row in range(self.rowCount())
            if self.item(row, NAME).checkState() is Qt.CheckState.Checked
        ]

    def tick(self, ticked: bool) -> None:
        """Tick all slides, or none."""
        state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        with QSignalBlocker(self):
            for row in range(self.rowCount()):
                self.item(row, NAME).setCheckState(state)
        self.viewport().update()
        self.ticks_changed.emit()

    def show_rows(self, rows: Sequence[SlideRow]) -> None:
        """Show these slides; what is ticked and chosen stays so."""
        if self.state() is QAbstractItemView.State.EditingState:
            return  # not under the user's fingers: `edited` asks for it again
        keys = [row.key for row in rows]
        with QSignalBlocker(self):
            if keys != [row.key for row in self._shown]:
                self._lay(keys)
            for number, row in enumerate(rows):
                if number >= len(self._shown) or self._shown[number] != row:
                    self._fill(number, row)
        self._shown = list(rows)
        self.viewport().update()

    def show_picture(self, key: str, thumbnail: NDArray[np.uint8] | None) -> None:
        """Show the picture of a slide, RGB ``(h, w, 3)``."""
        if key in self._icons or thumbnail is None:
            return
        pixels = np.ascontiguousarray(thumbnail)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        picture = QPixmap.fromImage(image)
        self._icons[key] = icon = QIcon(picture)
        # As it is, not in the colour of what is chosen.
        icon.addPixmap(picture, QIcon.Mode.Selected)
        with QSignalBlocker(self):
            for row in range(self.rowCount()):
                if self._key(row) == key:
                    self.item(row, NAME).setIcon(icon)

    def show_chosen(self, key: str) -> None:
        """Show as chosen the slide that is in view."""
        if key == self.current_key:
            return
        with QSignalBlocker(self):
            self.clearSelection()
            for row in range(self.rowCount()):
                if self._key(row) == key:
                    self.selectRow(row)
        self.viewport().update()

    def _lay(self, keys: Sequence[str]) -> None:
        ticked, current = set(self.ticked), self.current_key
        self.setRowCount(0)
        self.setRowCount(len(keys))
        self._shown = []
        for row, key in enumerate(keys):
            for column in range(len(_HEADS)):
                item = QTableWidgetItem()
                item.setData(_KEY, key)
                self.setItem(row, column, item)
            name = self.item(row, NAME)
            name.setFlags(_FLAGS | Qt.ItemFlag.ItemIsUserCheckable)
            name.setCheckState(Qt.CheckState.Checked if key in ticked else Qt.CheckState.Unchecked)
            if key in self._icons:
                name.setIcon(self._icons[key])
            for column in (MPP, STATE):
                self.item(row, column).setFlags(_FLAGS)
            if key == current:
                self.selectRow(row)
            self.setRowHeight(row, _ICON.height() + 14)

    def _fill(self, number: int, row: SlideRow) -> None:
        name, mpp, case, state = (self.item(number, column) for column in range(len(_HEADS)))
        name.setText(row.name)
        name.setToolTip(f"{row.where}\n{'Open.' if row.is_open else 'Not open: double-click it.'}")
        font = name.font()
        font.setBold(row.is_open)
        name.setFont(font)
        mpp.setText(row.mpp)
        mpp.setToolTip("Width of a level-0 pixel, as the slide states it or you typed it.")
        case.setText(row.case.text)
        case.setToolTip(
            "The case (patient) that you stated. Slides of one case are never on both sides of a "
            "hold-out."
            if row.case.stated
            else "A guess, from the slide's name. Double-click to state the case (patient): slides "
            "of one case are never on both sides of a hold-out."
        )
        font = case.font()
        font.setItalic(not row.case.stated)
        case.setFont(font)
        state.setText(row.state)
        state.setToolTip(row.state)
        state.setForeground(QBrush(_PROBLEM) if row.failed else QBrush())

    def _key(self, row: int) -> str:
        return str(self.item(row, NAME).data(_KEY))

    def _take_change(self, item: QTableWidgetItem) -> None:
        if item.column() == NAME:
            self.ticks_changed.emit()
        elif item.column() == CASE:
            shown = next((row for row in self._shown if row.key == item.data(_KEY)), None)
            # To confirm a guess as it is takes a case, too; only what was not touched does not.
            if shown is not None and (item.text() != shown.case.text or not shown.case.stated):
                self.case_typed.emit(shown.key, item.text())

    def _take_choice(self) -> None:
        if self.current_key:
            self.chosen.emit(self.current_key)

    def _take_double_click(self, item: QTableWidgetItem) -> None:
        if item.column() != CASE:
            self.opened.emit(str(item.data(_KEY)))
