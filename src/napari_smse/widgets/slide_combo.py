"""A list of the slides in the viewer, to choose one from."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget


class SlideCombo(QComboBox):
    """Slides by the names of their layers."""

    chosen = Signal()
    """Another slide was chosen, or none is there any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.currentIndexChanged.connect(self.chosen)

    @property
    def layer(self) -> Image | None:
        """Layer of the chosen slide."""
        found = self.currentData()
        return found if isinstance(found, Image) else None

    def show_layers(self, layers: Sequence[Image]) -> None:
        """Offer these slides; the choice stays if it can."""
        if list(layers) == [self.itemData(row) for row in range(self.count())]:
            return
        before = self.layer
        with QSignalBlocker(self):
            self.clear()
            for layer in layers:
                self.addItem(layer.name, layer)
            self.setCurrentIndex(layers.index(before) if before in layers else 0)
        if self.layer is not before or before is None:
            self.chosen.emit()
