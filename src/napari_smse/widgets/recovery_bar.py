"""Asks, without getting in the way, whether to take back what a crash left behind."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget


class RecoveryBar(QWidget):
    """Hidden until it asks, and again once it was answered."""

    wanted = Signal()
    unwanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.take = QPushButton("Take them back")
        self.drop = QPushButton("Discard")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.text, stretch=1)
        layout.addWidget(self.take)
        layout.addWidget(self.drop)
        self.take.clicked.connect(self._answer_yes)
        self.drop.clicked.connect(self._answer_no)
        self.hide()

    def ask(self, text: str) -> None:
        """Ask, unless there is nothing to ask."""
        self.text.setText(text)
        self.setVisible(bool(text))

    def _answer_yes(self) -> None:
        self.hide()
        self.wanted.emit()

    def _answer_no(self) -> None:
        self.hide()
        self.unwanted.emit()
