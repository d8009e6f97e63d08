"""Small pictures of tiles, read off the GUI thread, and of colours."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap

from napari_smse.errors import SmseError
from napari_smse.palette import Colour
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

_SIDE_PX = 14


def colour_icon(colour: Colour) -> QIcon:
    """Return a square of this colour, to stand beside a class's name."""
    square = QPixmap(_SIDE_PX, _SIDE_PX)
    square.fill(QColor(*colour))
    return QIcon(square)


logger = logging.getLogger(__name__)

_AT_ONCE = 20
_Picture = tuple[Hashable, NDArray[np.uint8]]


class ThumbnailReader(QObject):
    """Reads pictures of tiles, the ones asked for last.

    They are handed out several at a time, as each repaint takes as long as one of many.
    """

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
        self.task.start(lambda: _pictures(wanted))

    def stop(self) -> None:
        """Read no more."""
        self.task.cancel()

    def _hand_out(self, pictures: list[_Picture]) -> None:
        for key, pixels in pictures:
            self.read.emit(key, icon_of(pixels))


def _pictures(tiles: Sequence[tuple[Hashable, TileOnSlide]]) -> Iterator[list[_Picture]]:
    ready: list[_Picture] = []
    for key, tile in tiles:
        side = max(tile.region.width, tile.region.height)
        try:
            pixels = tile.slide.read(tile.region, tile.slide.mpp * max(1.0, side / PICTURE_PX))
        except SmseError:
            # A list without a picture is better than none.
            logger.warning("a tile of %s cannot be read", tile.slide.name, exc_info=True)
            continue
        ready.append((key, np.ascontiguousarray(pixels)))
        if len(ready) == _AT_ONCE:
            yield ready
            ready = []
    yield ready


def icon_of(pixels: NDArray[np.uint8]) -> QIcon:
    """Return RGB pixels ``(h, w, 3)`` as an icon."""
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))
