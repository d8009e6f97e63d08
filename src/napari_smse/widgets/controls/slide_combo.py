"""A list of the slides in the viewer, to choose the one in view from."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QWidget

from napari_smse.widgets.session import Session
from napari_smse.widgets.slide_layers import pictures_without_file, slide_layers

_NOT_FROM_A_FILE = (
    "This picture does not come from a file, so that it has no um/px and cannot be read at another "
    "scale: save it as a TIFF (File > Save selected layers), and open that."
).replace("um/px", "µm/px")


class SlideCombo(QComboBox):
    """Slides by the names of their layers; the one chosen is the slide in view, in all docks.

    Parameters
    ----------
    session
        Says which slide is in view.
    """

    chosen = Signal()
    """Another slide is chosen, or none of those offered is in view any more."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layer: Image | None = None
        self._offered: tuple[Image, ...] = ()
        self.setToolTip("The slide in view; choosing another shows it in all docks.")
        # A long name must not push everything else out of sight.
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.currentIndexChanged.connect(self._choose)
        session.slide_changed.connect(self._follow)

    @property
    def layer(self) -> Image | None:
        """Layer of the chosen slide."""
        return self._layer

    def show_slides(self, viewer: ViewerModel) -> None:
        """Offer all slides of a viewer; pictures that do not come from a file are greyed."""
        self.show_layers(list(slide_layers(viewer)), pictures_without_file(viewer))

    def show_layers(self, layers: Sequence[Image], no_slides: Sequence[Image] = ()) -> None:
        """Offer these slides; chosen is the one in view, if it is among them.

        Parameters
        ----------
        layers
            Slides.
        no_slides
            Pictures that somebody may look for here; they are greyed, with the reason.
        """
        offered = (*layers, *no_slides)
        if offered != self._offered:
            self._offered = offered
            with QSignalBlocker(self):
                self.clear()
                for layer in layers:
                    self.addItem(layer.name, layer)
                for layer in no_slides:
                    self._add_greyed(layer)
        self._follow()

    def _add_greyed(self, layer: Image) -> None:
        self.addItem(f"{layer.name} (not from a file)")
        row = self.count() - 1
        self.setItemData(row, _NOT_FROM_A_FILE, Qt.ItemDataRole.ToolTipRole)
        model = self.model()
        if isinstance(model, QStandardItemModel):
            model.item(row).setEnabled(False)

    def release(self) -> None:
        """Follow the session no longer; calling it again does nothing."""
        self._session.slide_changed.disconnect(self._follow, missing_ok=True)

    def _choose(self) -> None:
        found = self.currentData()
        if isinstance(found, Image):
            self._session.choose(found)
        self._follow()

    def _follow(self) -> None:
        row = self._row_of(self._session.slide_layer)
        with QSignalBlocker(self):
            self.setCurrentIndex(row)
        layer = self.itemData(row) if row >= 0 else None
        if layer is not self._layer:
            self._layer = layer
            self.chosen.emit()

    def _row_of(self, layer: Image | None) -> int:
        offered = (self.itemData(row) for row in range(self.count()))
        return next((row for row, one in enumerate(offered) if one is layer), -1)
