"""What becomes of a fine-tuning that is being stopped: asked, while it waits."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_smse.widgets.controls.layout import push_button


class StopPrompt(QWidget):
    """Hidden until it asks, and again once it was answered."""

    keep_wanted = Signal()
    """Keep the best so far."""

    restore_wanted = Signal()
    """Restore what was there before."""

    go_on_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.keep = push_button(
            "Keep the best so far", "End here, with the best that was learnt so far."
        )
        self.restore = push_button("Discard", "End here, and keep the model as it was.")
        self.go_on = push_button("Resume", "Go on learning.")
        buttons = QHBoxLayout()
        for button, signal in (
            (self.keep, self.keep_wanted),
            (self.restore, self.restore_wanted),
            (self.go_on, self.go_on_wanted),
        ):
            buttons.addWidget(button)
            button.clicked.connect(self.hide)
            button.clicked.connect(signal)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.hide()

    def ask(self, text: str) -> None:
        """Ask."""
        self.text.setText(text)
        self.show()
