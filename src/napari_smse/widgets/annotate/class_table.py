"""The classes to annotate with: names, colours, keys, and how much there is of each."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_smse.annotations.tile_labels import is_ignored
from napari_smse.palette import IGNORE, Colour, annotation_colours, with_ignore
from napari_smse.widgets.controls.thumbnails import colour_icon

_HEADS = ("Key", "Class", "Shapes", "Tiles", "mm²")
_NAME = 1
_COLOUR = Qt.ItemDataRole.UserRole
_OLD_NAME = Qt.ItemDataRole.UserRole + 1
_KEYS = 9
_IGNORE_ABOUT = (
    "Folds, pen marks and the like: what lies under it takes no class, is not counted and not "
    "learnt from. QuPath has the same class."
)


class ClassTable(QTableWidget):
    """Classes, one a row; the row that is selected is the class of what is drawn next."""

    chosen = Signal(str)
    """The user chose a class."""

    renamed = Signal(str, str)
    """A class has another name: the old one, the new one."""

    recoloured = Signal()
    refused = Signal(str)
    """A name cannot be used; the text says why."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADS), parent)
        self.setHorizontalHeaderLabels(_HEADS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        vertical, horizontal = self.verticalHeader(), self.horizontalHeader()
        assert vertical is not None
        assert horizontal is not None
        vertical.hide()
        horizontal.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        horizontal.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(140)
        self.setMaximumHeight(300)
        self.setToolTip("Double-click a name to change it.")
        self.itemSelectionChanged.connect(self._emit_chosen)
        self.itemChanged.connect(self._rename)

    # -- what there is ---------------------------------------------------------------

    @property
    def colours(self) -> dict[str, Colour]:
        """Colours by class name, in the order of the keys."""
        return {self._name(row): self._colour(row) for row in range(self.rowCount())}

    @property
    def current(self) -> str:
        """The class that is chosen; empty if there is none."""
        row = self.currentRow()
        return self._name(row) if 0 <= row < self.rowCount() else ""

    # -- changing it -----------------------------------------------------------------

    def show_classes(self, colours: Mapping[str, Colour]) -> None:
        """Show these classes in this order and ``Ignore*``, and choose the first."""
        with QSignalBlocker(self):
            self.setRowCount(0)
            for name, colour in with_ignore(colours).items():
                self._insert(name, colour)
        self.choose(0)

    def add_class(self, name: str = "", colour: Colour | None = None) -> str:
        """Add a class, unless there is one of the name, and choose it; return its name.

        Parameters
        ----------
        name
            Some free one by default.
        colour
            That somebody chose for it; one that is free by default.
        """
        name = name or self._free_name()
        if name not in self.colours:
            with QSignalBlocker(self):
                self._insert(name, colour or self._free_colour(name))
        self.choose(list(self.colours).index(name))
        return name

    def edit_current(self) -> None:
        """Let the user type another name for the class that is chosen."""
        self.setFocus()
        self.editItem(self._item(self.currentRow(), _NAME))

    def remove_current(self) -> None:
        """Remove the class that is chosen; ``Ignore*`` is always there."""
        if self.current == IGNORE:
            self.refused.emit(f"{IGNORE} is always there: leave it without a region.")
            return
        self.removeRow(self.currentRow())
        self._number()
        if self.rowCount():
            self.choose(min(self.currentRow(), self.rowCount() - 1))

    def choose(self, row: int) -> None:
        """Choose the class of a row, as its key does; nothing happens if there is none."""
        if 0 <= row < self.rowCount():
            with QSignalBlocker(self):
                self.selectRow(row)
            self.chosen.emit(self.current)

    def choose_key(self, number: int) -> None:
        """Choose a class as the key of its number does; 0 is ``Ignore*``, which is the last."""
        if number == 0:
            self.choose(list(self.colours).index(IGNORE))
        elif list(self.colours)[number - 1 : number] not in ([], [IGNORE]):
            self.choose(number - 1)

    def ask_colour(self) -> None:
        """Let the user choose another colour for the class."""
        row = self.currentRow()
        if row < 0:
            return
        picked = QColorDialog.getColor(QColor(*self._colour(row)), self, "Colour of the class")
        if picked.isValid():
            self.set_colour(row, (picked.red(), picked.green(), picked.blue()))

    def set_colour(self, row: int, colour: Colour) -> None:
        """Give a class the colour that somebody chose."""
        with QSignalBlocker(self):
            _dye(self._item(row, _NAME), colour)
        self.recoloured.emit()

    def show_counts(
        self,
        shapes: Mapping[str, int],
        areas: Mapping[str, float],
        tiles: Mapping[str, int] | None,
    ) -> None:
        """Show shapes, mm² and tiles of each class; tiles that are not known yet as dots.

        Of classes that are ignored, tiles are left out rather than counted.
        """
        with QSignalBlocker(self):
            for row, name in enumerate(self.colours):
                known = "…" if tiles is None else f"{tiles.get(name, 0):,}"
                known = "none" if is_ignored(name) else known
                cells = (f"{shapes.get(name, 0):,}", known, f"{areas.get(name, 0.0):.2f}")
                for column, text in enumerate(cells, start=_NAME + 1):
                    self._item(row, column).setText(text)

    # -- inside ----------------------------------------------------------------------

    def _insert(self, name: str, colour: Colour) -> None:
        """Add a row: the last one, but before ``Ignore*``."""
        row = self.rowCount()
        if row and self._name(row - 1) == IGNORE:
            row -= 1
        self.insertRow(row)
        for column in range(len(_HEADS)):
            item = QTableWidgetItem()
            if column != _NAME:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if column > _NAME:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        own = self._item(row, _NAME)
        own.setText(name)
        if name == IGNORE:
            own.setFlags(own.flags() & ~Qt.ItemFlag.ItemIsEditable)
            own.setToolTip(_IGNORE_ABOUT)
        own.setData(_OLD_NAME, name)
        _dye(own, colour)
        self._number()

    def _number(self) -> None:
        for row in range(self.rowCount()):
            key = str(row + 1) if row < _KEYS else ""
            self._item(row, 0).setText("0" if self._name(row) == IGNORE else key)

    def _rename(self, item: QTableWidgetItem) -> None:
        if item.column() != _NAME:
            return
        old, new = str(item.data(_OLD_NAME)), item.text().strip()
        others = [self._name(row) for row in range(self.rowCount()) if row != item.row()]
        refused = not new or new in others
        with QSignalBlocker(self):
            item.setText(old if refused else new)
            item.setData(_OLD_NAME, item.text())
        if refused:
            why = f"There is a class {new} already." if new else "A class needs a name."
            self.refused.emit(why)
        elif new != old:
            self.renamed.emit(old, new)

    def _emit_chosen(self) -> None:
        if self.current:
            self.chosen.emit(self.current)

    def _free_name(self) -> str:
        number = len([name for name in self.colours if not is_ignored(name)]) + 1
        while f"Class {number}" in self.colours:
            number += 1
        return f"Class {number}"

    def _free_colour(self, name: str) -> Colour:
        taken = set(self.colours.values())
        own = annotation_colours([*self.colours, name])[name]
        spare = annotation_colours([f"spare {i}" for i in range(5)]).values()
        return own if own not in taken else next((c for c in spare if c not in taken), own)

    def _item(self, row: int, column: int) -> QTableWidgetItem:
        item = self.item(row, column)
        assert item is not None
        return item

    def _name(self, row: int) -> str:
        return self._item(row, _NAME).text()

    def _colour(self, row: int) -> Colour:
        red, green, blue = self._item(row, _NAME).data(_COLOUR)
        return red, green, blue


def _dye(item: QTableWidgetItem, colour: Colour) -> None:
    item.setIcon(colour_icon(colour))
    item.setData(_COLOUR, tuple(colour))
