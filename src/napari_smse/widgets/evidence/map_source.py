"""What a slide's maps are coloured by: the class head, prototypes or nearest reference tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_smse.palette import Colour
from napari_smse.scoring import ScoreMaps
from napari_smse.similarity.exemplar_classifier import Method
from napari_smse.widgets.evidence.recoloured_maps import RecolouredMaps
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.evidence import NamedBank, ScoredTiles

_WAYS: Final[dict[str, tuple[Method | None, str]]] = {
    "Class head (as scored)": (None, ""),
    "Prototypes (middle of each class's reference tiles)": ("prototypes", "prototypes"),
    "Nearest reference tile of each class": ("nearest", "nearest reference tile"),
}


class MapSource(QWidget):
    """Recolours the maps of the chosen slide, at once and whenever the bank changes.

    Parameters
    ----------
    viewer
        Where the maps are shown.
    why_not
        Says why the maps cannot be recoloured now; nothing if they can.
    """

    problem = Signal(str)

    def __init__(
        self, viewer: ViewerModel, why_not: Callable[[], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.choice = QComboBox()
        self.choice.addItems(list(_WAYS))
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.choice.setToolTip(
            "What the heat maps show. Reference tiles need no learning: add or remove some below, "
            "and the maps follow. Choose the class head to have the run's own maps again."
        )
        self.colouring = RecolouredMaps(viewer, self)
        self.task = Worker()
        self._viewer, self._why_not = viewer, why_not
        self._layer: Image | None = None
        self._read: ScoredTiles | None = None
        self._known: NamedBank | None = None
        self._colours: Mapping[str, Colour] = {}
        self._ways: dict[str, int] = {}
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Colour by", self.choice)
        self.choice.currentIndexChanged.connect(self._choose)
        self.task.returned.connect(self._show)
        self.task.errored.connect(self._fail)
        self.setEnabled(False)

    @property
    def way(self) -> Method | None:
        """What the maps are by; None for the class head."""
        return _WAYS[self.choice.currentText()][0]

    def follow(self, layer: Image | None, read: ScoredTiles | None) -> None:
        """Colour the maps of this slide from now on."""
        self.task.cancel()
        self._layer, self._read = layer, read
        self.setEnabled(read is not None)
        self.refresh()

    def refresh(self) -> None:
        """Say what the maps are by, as a new run or a fine-tuning may have replaced them."""
        if self.task.is_running:
            return
        layer, read = self._layer, self._read
        row = 0
        if layer is not None and read is not None:
            coloured = self.colouring.is_coloured(layer, read.slide)
            row = self._ways.get(read.slide.quick_hash, 0) if coloured else 0
        with QSignalBlocker(self.choice):
            self.choice.setCurrentIndex(row)

    def show_bank(self, known: NamedBank, colours: Mapping[str, Colour]) -> None:
        """Recolour by another bank, if reference tiles colour the maps."""
        self._known, self._colours = known, colours
        self.refresh()
        if self.way is not None:
            self._recolour()

    def release(self) -> None:
        """Let go of the viewer; the maps stay as they are."""
        self.task.cancel()
        self.colouring.release()

    def _choose(self) -> None:
        self._recolour()

    def _recolour(self) -> None:
        self.task.cancel()
        read, known, way = self._read, self._known, self.way
        if read is None or known is None or self._layer is None:
            return
        reason = self._why_not()
        if reason:
            self.refresh()
            self.problem.emit(reason)
            return
        self._ways[read.slide.quick_hash] = self.choice.currentIndex()

        def work() -> ScoreMaps:
            return read.head_maps() if way is None else read.exemplar_maps(known, way)

        self.task.start(work)

    def _show(self, maps: ScoreMaps) -> None:
        layer, read = self._layer, self._read
        if layer is None or read is None or layer not in self._viewer.layers:
            return
        if self.way is None:
            self.colouring.give_back(layer, read.slide, maps, self._colours)
        else:
            by = _WAYS[self.choice.currentText()][1]
            bank = "" if self._known is None else self._known.summary
            self.colouring.show(layer, read.slide, maps, self._colours, by, bank)

    def _fail(self, text: str) -> None:
        with QSignalBlocker(self.choice):
            self.choice.setCurrentIndex(0)
        self.problem.emit(text)
        layer, read = self._layer, self._read
        # A bank may have lost its last exemplar while it coloured the maps.
        if layer is None or read is None:
            return
        if self.colouring.is_coloured(layer, read.slide):
            self.colouring.give_back(layer, read.slide, read.head_maps(), self._colours)
