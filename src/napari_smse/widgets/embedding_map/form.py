"""How an embedding map is made and shown: which slides, laid out how, coloured by what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QSpinBox, QWidget

from napari_smse.similarity.projection import UMAP_MISSING, umap_is_installed
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.settings_form import setting_field
from napari_smse.widgets.embedding_map.colouring import ColourBy
from napari_smse.widgets.session import ScoredLayer
from napari_smse.workflows.settings.embeddings import EmbeddingMapSettings

REFRESH, STOP = "Refresh", "Cancel"
_GROUPS: Final = (2, 8, 20)


class EmbeddingMapForm(QWidget):
    """The choices above the plot."""

    changed = Signal()
    """Another map is wanted."""

    refresh_pressed = Signal()
    """The same map is wanted anew, or what runs is to be cancelled."""

    coloured = Signal()
    """Other colours are wanted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slides, self.colours = QComboBox(), QComboBox()
        self.method = setting_field(EmbeddingMapSettings, "method")
        self.refresh = push_button(REFRESH, "Make the map anew with all that is scored.")
        self.groups = QSpinBox()
        self.exemplars = QCheckBox("Exemplars of the model")
        self.everything = push_button("Show all points", "Zoom out to all points.")
        self.colours.addItems([*ColourBy])
        self.groups.setRange(_GROUPS[0], _GROUPS[2])
        self.groups.setValue(_GROUPS[1])
        self.groups.setSuffix(" clusters")
        self.groups.hide()
        self.groups.setToolTip("Number of clusters to divide the tiles into, without classes.")
        self.slides.setToolTip("The slides whose tiles are on the map.")
        self.colours.setToolTip("What the colour of a point stands for.")
        self.exemplars.setToolTip(
            "Show the labelled tiles that came with the model, as diamonds in their class's colour."
        )
        if not umap_is_installed():
            _grey_out(self.method.native, "umap", f"{UMAP_MISSING}.")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, row in (
            ("Tiles of", (self.slides, self.refresh)),
            ("Projection", (self.method.native,)),
            ("Coloured by", (self.colours, self.groups)),
        ):
            form.addRow(name, hbox(*row))
        form.addRow(hbox(self.exemplars, self.everything))
        self.slides.currentIndexChanged.connect(self.changed)
        self.method.widget.changed.connect(lambda _value: self.changed.emit())
        self.colours.currentIndexChanged.connect(self._choose_colours)
        self.groups.valueChanged.connect(self.coloured)
        self.refresh.clicked.connect(self.refresh_pressed)

    @property
    def settings(self) -> EmbeddingMapSettings:
        """How points get their places."""
        return EmbeddingMapSettings(self.method.value)

    @property
    def by(self) -> ColourBy:
        """What colours stand for."""
        return ColourBy(self.colours.currentText())

    def show_runs(self, runs: Sequence[ScoredLayer]) -> None:
        """Offer these slides, and all together if there are several; the choice stays if it can."""
        layers = [run.layer for run in runs]
        offered = [None, *layers] if len(layers) > 1 else layers
        if offered == [self.slides.itemData(row) for row in range(self.slides.count())]:
            return
        before = self.slides.currentData()
        with QSignalBlocker(self.slides):
            self.slides.clear()
            for layer in offered:
                name = f"All {len(layers)} scored slides" if layer is None else layer.name
                self.slides.addItem(name, layer)
            self.slides.setCurrentIndex(offered.index(before) if before in layers else 0)

    def wanted(self, runs: Sequence[ScoredLayer]) -> list[ScoredLayer]:
        """Return which of the runs are chosen."""
        layer = self.slides.currentData()
        return [run for run in runs if not isinstance(layer, Image) or run.layer is layer]

    def set_working(self, working: bool) -> None:
        """Turn Refresh into Cancel while a map is being made."""
        self.refresh.setText(STOP if working else REFRESH)

    def show_exemplar_count(self, number: int) -> None:
        """Say how many exemplars can be shown."""
        self.exemplars.setText(f"Show {number:,} exemplars" if number else "No exemplars")

    def _choose_colours(self) -> None:
        self.groups.setVisible(self.by is ColourBy.CLUSTER)
        self.coloured.emit()


def _grey_out(combo: QComboBox, value: str, reason: str) -> None:
    """Leave a choice in the list that cannot be made, and say why where the mouse rests on it."""
    row = combo.findData(value)
    combo.model().item(row).setEnabled(False)
    combo.setItemData(row, reason, Qt.ItemDataRole.ToolTipRole)
