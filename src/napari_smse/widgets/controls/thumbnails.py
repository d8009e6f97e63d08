"""Small pictures of tiles, read off the GUI thread, and of colours."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap

from napari_smse.palette import Colour
from napari_smse.progress import Progress
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.scored_slide import TileOnSlide
from napari_smse.workflows.thumbnails import Thumbnail, read_thumbnails

_SIDE_PX = 14


def colour_icon(colour: Colour) -> QIcon:
    """Return a square of this colour, to stand beside a class's name."""
    square = QPixmap(_SIDE_PX, _SIDE_PX)
    square.fill(QColor(*colour))
    return QIcon(square)


class ThumbnailReader(QObject):
    """Reads pictures of tiles, the ones asked for last."""

    read = Signal(object, object)
    """Key of the tile, and its `QIcon`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker()
        self.task.progressed.connect(self._hand_out)

    def ask(self, tiles: Sequence[tuple[Hashable, TileOnSlide]]) -> None:
        """Read these; what was asked before and is not read yet is forgotten."""
        wanted = list(tiles)
        self.task.start(lambda: read_thumbnails(wanted))

    def stop(self) -> None:
        """Read no more."""
        self.task.cancel()

    def _hand_out(self, progress: Progress) -> None:
        thumbnails = cast("list[Thumbnail]", progress.detail)
        for key, pixels in thumbnails:
            self.read.emit(key, icon_of(pixels))


def icon_of(pixels: NDArray[np.uint8]) -> QIcon:
    """Return RGB pixels ``(h, w, 3)`` as an icon."""
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))
