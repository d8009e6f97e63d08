"""A queue of tiles that wait for a label: pictures, where one is, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_smse.palette import Colour
from napari_smse.scoring import objective_power
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.settings_form import setting_field
from napari_smse.widgets.controls.thumbnails import ThumbnailReader, colour_icon
from napari_smse.workflows.scored_slide import PICTURE_PX
from napari_smse.workflows.settings.embeddings import SuggestSettings
from napari_smse.workflows.suggest_tiles import QueuedTile

SKIPPED: Final = "skipped"
_KEYS: Final = 9
_ACROSS: Final = 3
_GONE: Final = QColor(128, 128, 128, 150)
_ABOUT: Final = (
    "Tiles that the model is least sure of, unlike each other, from all scored slides by turns. "
    "Press the key of a class: the tile's square becomes a region of that class, and the next tile "
    "comes."
)
_KEYS_ABOUT: Final = "S or space skips, Backspace takes the last one back."
_NO_KEYS: Final = "Another tool has the mouse and the keys: click a tile below to go on here."


class TileQueue(QWidget):
    """Tiles to label one after the other; it says what is wanted, and does nothing by itself."""

    find_wanted = Signal(int)
    """Find so many tiles."""

    label_wanted = Signal(int)
    """The current tile is of the class of this number."""

    skip_wanted = Signal()
    undo_wanted = Signal()
    current_changed = Signal()
    """Another tile is to be looked at, or none is left."""

    labels_changed = Signal()
    """A tile was given a class, or lost it again."""

    view_changed = Signal()
    """Heat maps are to be hidden, or shown, from now on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles: list[QueuedTile] = []
        self.states: list[str] = []
        self.current: int | None = None
        self._colours: dict[str, Colour] = {}
        self._make_widgets()
        self.pictures = ThumbnailReader()
        self._connect()
        self._show_all()

    def _make_widgets(self) -> None:
        about = QLabel(_ABOUT)
        self.count = setting_field(SuggestSettings, "n")
        self.find = push_button(
            "Find tiles to annotate",
            "List the tiles whose labels a fine-tuning would learn most from.",
        )
        self.note = QLabel()
        self.progress = QLabel()
        self.progress.setStyleSheet("font-weight: bold;")
        self.facts = QLabel()
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.list.setGridSize(QSize(PICTURE_PX + 22, PICTURE_PX + 24))
        self.list.setMinimumHeight(2 * (PICTURE_PX + 28))
        self.list.setToolTip("Click a tile to go there.")
        self.buttons = QGridLayout()
        self.labels: list[QPushButton] = []
        self.skip = push_button("Skip  [S]", "Leave this tile without a label, and go to the next.")
        self.undo = push_button("Undo  [⌫]", "Take the last label back.")
        self.hide_maps = QCheckBox("Hide all maps meanwhile")
        self.hide_maps.setChecked(True)
        self.hide_maps.setToolTip("See the tissue alone while labelling.")
        self.keys = QLabel(_KEYS_ABOUT)
        # Keys are for labels, wherever in here one has clicked.
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for widget in (self.find, self.skip, self.undo, self.list, self.hide_maps):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for label in (about, self.note, self.facts, self.keys):
            label.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(hbox(self.count.native, self.find))
        for widget in (self.note, self.progress, self.facts):
            layout.addWidget(widget)
        layout.addLayout(self.buttons)
        layout.addLayout(hbox(self.skip, self.undo))
        layout.addWidget(self.keys)
        layout.addWidget(self.hide_maps)
        layout.addWidget(self.list, stretch=1)
        self._while_queued = (
            self.progress, self.facts, self.skip, self.undo, self.keys, self.hide_maps, self.list,
        )  # fmt: skip

    def _connect(self) -> None:
        self.find.clicked.connect(lambda: self.find_wanted.emit(self.count.value))
        self.skip.clicked.connect(self.skip_wanted)
        self.undo.clicked.connect(self.undo_wanted)
        self.hide_maps.toggled.connect(self.view_changed)
        self.list.itemClicked.connect(lambda item: self.go_to(self.list.row(item)))
        self.pictures.read.connect(self._take_picture)

    # -- the queue -------------------------------------------------------------------

    @property
    def tile(self) -> QueuedTile | None:
        """The tile that is looked at; None if none is left."""
        return None if self.current is None else self.tiles[self.current]

    def show_queue(self, tiles: Sequence[QueuedTile]) -> None:
        """Show these in place of what there was, and begin with the first."""
        self.tiles, self.states = list(tiles), [""] * len(tiles)
        self.list.clear()
        for number in range(len(tiles)):
            self.list.addItem(QListWidgetItem(str(number + 1)))
        self.pictures.ask([(number, one.tile) for number, one in enumerate(tiles)])
        self.go_to(0 if tiles else None)

    def go_to(self, number: int | None) -> None:
        """Look at a tile of the queue."""
        self.current = number
        self._show_all()
        self.setFocus()
        self.current_changed.emit()

    def mark(self, number: int, state: str) -> None:
        """Say what became of a tile: a class, `SKIPPED`, or nothing yet."""
        before, self.states[number] = self.states[number], state
        item = self.list.item(number)
        if item is not None:
            item.setText(f"{number + 1} {state}".strip())
            item.setToolTip(state)
            colour = self._colours.get(state)
            item.setBackground(
                QColor(*colour, 150) if colour else (_GONE if state else QColor(0, 0, 0, 0))
            )
        if {before, state} - {"", SKIPPED}:
            self.labels_changed.emit()

    def go_on(self) -> None:
        """Go to the next tile that waits, after this one or else from the beginning."""
        first = 0 if self.current is None else self.current + 1
        numbers = [*range(first, len(self.tiles)), *range(first)]
        self.go_to(next((one for one in numbers if not self.states[one]), None))

    def show_classes(self, colours: Mapping[str, Colour]) -> None:
        """Offer these classes, those of the keys 1 to 9."""
        names = list(colours)[:_KEYS]
        if names == list(self._colours) and dict(colours) == self._colours:
            return
        self._colours = {name: colours[name] for name in names}
        while self.labels:
            old = self.labels.pop()
            self.buttons.removeWidget(old)
            old.deleteLater()
        for number, name in enumerate(names):
            label = push_button(f"{name}  [{number + 1}]", f"The tile is {name}.")
            label.setIcon(colour_icon(colours[name]))
            label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            label.clicked.connect(lambda _=False, one=number: self.label_wanted.emit(one))
            self.buttons.addWidget(label, number // _ACROSS, number % _ACROSS)
            self.labels.append(label)
        self._show_all()

    def show_keys(self, ours: bool) -> None:
        """Say what the keys do, or that another tool has them."""
        self.keys.setText(_KEYS_ABOUT if ours else _NO_KEYS)

    def show_message(self, text: str) -> None:
        """Say something about finding tiles; nothing to say hides it."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Take the keys also when it is the dock that has them, not the canvas."""
        if event is None or not self.tiles:
            super().keyPressEvent(event)
            return
        key = event.key()
        if Qt.Key.Key_1 <= key <= Qt.Key.Key_9:
            self.label_wanted.emit(key - Qt.Key.Key_1)
        elif key in (Qt.Key.Key_S, Qt.Key.Key_Space):
            self.skip_wanted.emit()
        elif key == Qt.Key.Key_Backspace:
            self.undo_wanted.emit()
        else:
            super().keyPressEvent(event)

    # -- showing ---------------------------------------------------------------------

    def _show_all(self) -> None:
        for widget in (*self._while_queued, *self.labels):
            widget.setVisible(bool(self.tiles))
        # Without a list, what comes below follows close by.
        upright = QSizePolicy.Policy.Expanding if self.tiles else QSizePolicy.Policy.Maximum
        self.setSizePolicy(QSizePolicy.Policy.Preferred, upright)
        for button in (*self.labels, self.skip):
            button.setEnabled(self.current is not None)
        self.progress.setText(self._progress())
        self.facts.setText(self._facts())
        if self.current is not None:
            self.list.setCurrentRow(self.current)
        else:
            self.list.clearSelection()

    def _progress(self) -> str:
        skipped = self.states.count(SKIPPED)
        left = self.states.count("")
        labelled = len(self.states) - skipped - left
        counts = [f"{labelled} labelled"] + ([f"{skipped} skipped"] if skipped else [])
        return f"{', '.join(counts)}, {left} to go"

    def _facts(self) -> str:
        tile = self.tile
        if tile is None:
            return "All done: fine-tune on what you labelled (SMSE: Fine-tune), or find more tiles."
        number = 0 if self.current is None else self.current + 1
        where = (
            f"Tile {number} of {len(self.tiles)}: {tile.tile.slide.name}, "
            f"{objective_power(tile.tile.mpp):.3g}x."
        )
        if not tile.called:
            return where
        return f"{where} The model says {tile.called} ({round(100 * tile.probability)} %)."

    def _take_picture(self, number: int, icon: QIcon) -> None:
        item = self.list.item(number)
        if item is not None:
            item.setIcon(untinted(icon))


def untinted(icon: QIcon) -> QIcon:
    """Return an icon that keeps its colours where it is selected: tissue must not look blue."""
    picture = icon.pixmap(QSize(PICTURE_PX, PICTURE_PX))
    same = QIcon(picture)
    same.addPixmap(picture, QIcon.Mode.Selected)
    return same
