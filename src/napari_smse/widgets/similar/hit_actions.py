"""What to do with the hits."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGroupBox, QHBoxLayout, QPushButton, QWidget

from napari_smse.annotations.tile_labels import is_ignored
from napari_smse.palette import Colour
from napari_smse.widgets.controls.thumbnails import colour_icon


class HitActions(QGroupBox):
    """Make the hits regions of a class, or points."""

    regions_wanted = Signal(str)
    """Name of the class that the regions are to have."""

    points_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Keep what is found", parent)
        self.classes = QComboBox()
        self.classes.setEditable(True)
        self.classes.setToolTip("Choose a class, or type a new one.")
        self.regions = QPushButton("As regions")
        self.regions.setToolTip(
            "Add the outlines to the slide's annotations, as regions of the class on the left."
        )
        self.points = QPushButton("As points")
        self.points.setToolTip("A points layer with one point in the middle of each tile.")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(self.classes, stretch=1)
        row.addWidget(self.regions)
        row.addWidget(self.points)
        self.regions.clicked.connect(self._emit)
        self.points.clicked.connect(self.points_wanted)

    def show_classes(self, colours: Mapping[str, Colour]) -> None:
        """Offer these classes; what is chosen or typed stays."""
        if list(colours) == [self.classes.itemText(row) for row in range(self.classes.count())]:
            return
        before = self.classes.currentText()
        with QSignalBlocker(self.classes):
            self.classes.clear()
            for name, colour in colours.items():
                self.classes.addItem(colour_icon(colour), name)
            # What is looked for is most often the last: benign comes before malignant.
            real = [row for row, name in enumerate(colours) if not is_ignored(name)]
            self.classes.setCurrentIndex(real[-1] if real else 0)
            if before:
                self.classes.setCurrentText(before)

    def _emit(self) -> None:
        self.regions_wanted.emit(self.classes.currentText().strip())
