"""A class's colour as a small square."""

from __future__ import annotations

from qtpy.QtGui import QColor, QIcon, QPixmap

from napari_smse.palette import Colour

_SIDE_PX = 14


def swatch(colour: Colour) -> QIcon:
    """Return a square of this colour, to stand beside a class's name."""
    square = QPixmap(_SIDE_PX, _SIDE_PX)
    square.fill(QColor(*colour))
    return QIcon(square)
