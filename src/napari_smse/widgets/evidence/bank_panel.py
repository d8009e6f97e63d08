"""The bank of reference tiles: which it is, what it holds, and what may be done with it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGroupBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.workflows.evidence import NamedBank, describe_bank
from napari_smse.workflows.reference_pictures import without_picture

_FIND = "Find pictures …"
_ABOUT_PICTURES = (
    "The reference tiles that come with the model have no pictures, as those may not be passed on. "
    "If you have the public data sets that they were cut from (BreakHis, EBHI-Seg, the oral set), "
    "choose their folder: each tile is known again by its case and its embedding. Takes some "
    "minutes; what is found is kept for the next time."
)


class BankPanel(QGroupBox):
    """Buttons that say what is wanted; the dock does it."""

    add_wanted = Signal()
    """Take the tiles in regions of the slide into the bank."""

    remove_wanted = Signal()
    """Take the chosen reference tile out of the bank."""

    save_wanted = Signal()
    load_wanted = Signal()

    reset_wanted = Signal()
    """Take the model's own bank again."""

    pictures_wanted = Signal()
    """Find pictures of the reference tiles that came with the model, or stop looking."""

    learn_wanted = Signal()
    """Fine-tune on the reference tiles that were added."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Reference tiles", parent)
        self.which, self.message = QLabel(), QLabel()
        self.add = QPushButton("Add from annotations")
        self.add.setToolTip(
            "Tiles of this slide take the class of the region drawn with SMSE: Annotate that holds "
            "half of their tissue. Nothing is learnt: they are compared with from now on, and from "
            "five tiles on, what looks like them is no longer unlike anything known."
        )
        self.remove = QPushButton("Remove chosen")
        self.remove.setToolTip("Take the reference tile chosen in the list above out of the bank.")
        self.save = push_button("Save …", "Write the reference tiles to a file.")
        self.load = push_button("Load …", "Read reference tiles from a file that this model made.")
        self.pictures = push_button(_FIND, _ABOUT_PICTURES)
        self.reset = QPushButton("Reset to model's exemplars")
        self.reset.setToolTip("Take the reference tiles that came with the model again.")
        self.learn = QPushButton("Fine-tune on these …")
        self.learn.setToolTip(
            "Make a model of what the reference tiles say that were added: opens SMSE: Fine-tune "
            "with them, beside what is drawn."
        )
        self.keep_pictures = QCheckBox("Keep pictures of added tiles in the bank")
        self.keep_pictures.setToolTip(
            "They are pixels of the slide: whoever gets the bank sees them. Without them, pictures "
            "are shown while their slide is open."
        )
        layout = QVBoxLayout(self)
        for label in (self.which, self.message):
            label.setWordWrap(True)
        layout.addWidget(self.which)
        layout.addLayout(hbox(self.add, self.remove))
        layout.addWidget(self.keep_pictures)
        layout.addWidget(self.pictures)
        layout.addLayout(hbox(self.save, self.load, self.reset))
        layout.addWidget(self.learn)
        layout.addWidget(self.message)
        for button, signal in (
            (self.add, self.add_wanted),
            (self.remove, self.remove_wanted),
            (self.save, self.save_wanted),
            (self.load, self.load_wanted),
            (self.reset, self.reset_wanted),
            (self.learn, self.learn_wanted),
            (self.pictures, self.pictures_wanted),
        ):
            button.clicked.connect(signal)
        self._known: NamedBank | None = None
        self._chosen = self._searching = False
        self.show_bank(None)

    def show_bank(self, known: NamedBank | None) -> None:
        """Say which bank it is, and how many tiles of each class it holds."""
        self._known = known
        self._allow()
        self.which.setText("" if known is None else f"{known.name}: {describe_bank(known.bank)}")

    def _allow(self) -> None:
        """Allow what makes sense now; while pictures are looked for, the bank stays as it is."""
        known, free = self._known, not self._searching
        bank = None if known is None else known.bank
        self.add.setEnabled(free and bank is not None)
        self.load.setEnabled(free and bank is not None)
        self.save.setEnabled(free and bank is not None and len(bank) > 0)
        self.reset.setEnabled(free and known is not None and not known.own)
        self.learn.setEnabled(bank is not None and len(bank.on_slides()) > 0)
        self.remove.setEnabled(free and self._chosen)
        lacking = bank is not None and len(without_picture(bank)) > 0
        self.pictures.setEnabled(self._searching or lacking)

    def show_searching(self, text: str) -> None:
        """Say how far the search for pictures is, and offer to stop it; empty when it ended."""
        self._searching = bool(text)
        self.pictures.setText(f"Stop ({text})" if text else _FIND)
        self._allow()

    def show_message(self, text: str) -> None:
        """Say what was done."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def allow_removing(self, allowed: bool) -> None:
        """Whether a reference tile is chosen that can be removed."""
        self._chosen = allowed
        self._allow()
