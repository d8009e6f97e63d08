"""The reference tiles that are most like a tile; click one to fly to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_smse.palette import UNKNOWN_COLOUR, Colour
from napari_smse.scoring import objective_power
from napari_smse.similarity.evidence import Evidence, Neighbour
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Slide
from napari_smse.widgets.controls.thumbnails import ThumbnailReader, icon_of
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

_ROW = Qt.ItemDataRole.UserRole
_COLOUR = Qt.ItemDataRole.UserRole + 1
_BAR_PX = 8
_LEAST_HEIGHT = 36


class NeighbourList(QWidget):
    """Nearest first: colour of the class, picture, class, distance, scale, case and source.

    Parameters
    ----------
    slide_with
        Gives the open slide with a quick hash, or None.
    """

    exemplar_clicked = Signal(int)
    """Row of the exemplar in its bank."""

    exemplar_chosen = Signal(object)
    """Row of the exemplar that is chosen now, or None."""

    def __init__(
        self, slide_with: Callable[[str], Slide | None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._slide_with = slide_with
        self.list = QListWidget()
        self.list.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.list.setMinimumHeight(3 * PICTURE_PX)
        self.list.setWordWrap(True)
        self.list.setToolTip("Click a reference tile to fly to it, if its slide is open.")
        self.pictures = ThumbnailReader()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        self.list.itemClicked.connect(lambda item: self.exemplar_clicked.emit(item.data(_ROW)))
        self.list.currentRowChanged.connect(lambda _: self.exemplar_chosen.emit(self.chosen))
        self.pictures.read.connect(self._show_picture)

    @property
    def chosen(self) -> int | None:
        """Row in the bank of the exemplar that is chosen, if one is."""
        item = self.list.currentItem()
        return None if item is None else int(item.data(_ROW))

    def show_evidence(
        self,
        evidence: Evidence,
        bank: ExemplarBank,
        colours: Mapping[str, Colour],
    ) -> None:
        """Show the exemplars nearest to a tile.

        Parameters
        ----------
        evidence, bank
            Which they are, and what they are of.
        colours
            Of the classes.
        """
        self.list.clear()
        to_read = []
        for number, one in enumerate(evidence.nearest):
            tile = self.tile(bank, one.row)
            item = QListWidgetItem(_text(one))
            colour = QColor(*colours.get(one.class_name, UNKNOWN_COLOUR))
            item.setData(_ROW, one.row)
            item.setData(_COLOUR, colour)
            item.setIcon(_barred(None, colour))
            thumbnail = bank.thumbnail(one.row)
            if thumbnail is not None:
                item.setIcon(_barred(icon_of(thumbnail), colour))
            elif tile is not None:
                to_read.append((number, tile))
            self.list.addItem(item)
        self.pictures.ask(to_read)
        self.exemplar_chosen.emit(None)

    def clear(self) -> None:
        """Show none."""
        self.pictures.stop()
        self.list.clear()
        self.exemplar_chosen.emit(None)

    def tile(self, bank: ExemplarBank, row: int) -> TileOnSlide | None:
        """Return an exemplar's tile, if the slide that it lies on is open."""
        region = bank.region(row)
        slide = None if region is None else self._slide_with(bank.slides[row])
        if slide is None or region is None:
            return None
        return TileOnSlide(slide, region, float(bank.mpps[row]))

    def _show_picture(self, number: int, icon: QIcon) -> None:
        item = self.list.item(number)
        if item is not None:
            item.setIcon(_barred(icon, item.data(_COLOUR)))


def _text(one: Neighbour) -> str:
    scale = f"{objective_power(one.mpp):.3g}x"
    # The case and the source of a tile that was drawn are its slide.
    of = one.case if one.case.startswith(one.source) else f"{one.source}, case {one.case}"
    return f"{one.class_name} · {one.distance:.2f} away\n{scale} · {of}"


def _barred(picture: QIcon | None, colour: QColor) -> QIcon:
    """Return an exemplar's picture, if there is one, beside a bar in the colour of its class."""
    shown = None
    if picture is not None:
        side = PICTURE_PX - _BAR_PX
        shown = picture.pixmap(picture.availableSizes()[0]).scaled(
            side,
            side,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    width = _BAR_PX + (0 if shown is None else shown.width())
    whole = QPixmap(width, _LEAST_HEIGHT if shown is None else shown.height())
    whole.fill(colour)
    if shown is not None:
        painter = QPainter(whole)
        painter.drawPixmap(_BAR_PX, 0, shown)
        painter.end()
    return QIcon(whole)
