"""A window with the label, the macro image and other pictures that belong to a slide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_smse.widgets.controls.layout import scroll_area

_LARGEST_PX: Final = 560
_PRIVATE: Final = "A label may name the patient: take care with screenshots."


class AssociatedImages(QDialog):
    """Shows pictures of a slide, each under its name.

    Parameters
    ----------
    slide
        What the slide is called.
    images
        RGB ``(h, w, 3)`` by name.
    """

    def __init__(
        self, slide: str, images: Mapping[str, NDArray[np.uint8]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Label and macro image · {slide}")
        self.pictures = {name: _picture(pixels) for name, pixels in images.items()}
        row = QWidget()
        across = QHBoxLayout(row)
        for name, picture in self.pictures.items():
            column = QVBoxLayout()
            column.addWidget(QLabel(name.capitalize()))
            column.addWidget(picture)
            column.addStretch()
            across.addLayout(column)
        across.addStretch()
        area = scroll_area([row])
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        layout = QVBoxLayout(self)
        layout.addWidget(area)
        layout.addWidget(QLabel(_PRIVATE))
        self.resize(min(1200, 60 + row.sizeHint().width()), min(760, 110 + row.sizeHint().height()))


def _picture(pixels: NDArray[np.uint8]) -> QLabel:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    shown = QPixmap.fromImage(image)
    if max(height, width) > _LARGEST_PX:
        shown = shown.scaled(
            _LARGEST_PX,
            _LARGEST_PX,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    label = QLabel()
    label.setPixmap(shown)
    label.setToolTip(f"{width:,} x {height:,} px")
    return label
