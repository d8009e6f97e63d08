"""What colours stand for: names, or the two ends of a ramp."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_smse.widgets.embedding_map.colouring import Colouring

_RAMP_PX: Final = (120, 12)


class ColourLegend(QWidget):
    """One line, or several where there are many names."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names, self.low, self.ramp, self.high = (QLabel() for _ in range(4))
        self.names.setWordWrap(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.names, stretch=1)
        for label in (self.low, self.ramp, self.high):
            row.addWidget(label)
        row.addStretch()

    def explain(self, shown: Colouring) -> None:
        """Explain these colours."""
        self.names.setText(" &nbsp; ".join(_entry(*one) for one in shown.names))
        self.names.setVisible(bool(shown.names))
        for label in (self.low, self.ramp, self.high):
            label.setVisible(shown.ramp is not None)
        if shown.ramp is not None:
            self.low.setText(shown.ramp.low)
            self.high.setText(shown.ramp.high)
            self.ramp.setPixmap(_picture(shown.ramp.colours))


def _entry(name: str, colour: tuple[int, int, int]) -> str:
    square = "#{:02x}{:02x}{:02x}".format(*colour)
    plain = name.replace("&", "&amp;").replace("<", "&lt;").replace(" ", "&nbsp;")
    return f"<span style='color: {square}'>&#9632;</span>&nbsp;{plain}"


def _picture(colours: NDArray[np.uint8]) -> QPixmap:
    width, height = _RAMP_PX
    line = colours[np.linspace(0, len(colours) - 1, width).astype(np.intp)]
    pixels = np.ascontiguousarray(np.broadcast_to(line, (height, width, 3)))
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())
