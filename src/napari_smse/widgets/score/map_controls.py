"""How the heat maps look: which one, colours, range, threshold, opacity."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget
from superqt import QLabeledDoubleRangeSlider, QLabeledDoubleSlider

from napari_smse.scoring import MapName
from napari_smse.widgets.controls.thumbnails import colour_icon
from napari_smse.widgets.layers.colormaps import COLOUR_MAPS, map_colormap
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers


class MapControls(QWidget):
    """Choose a heat map and change how all maps look.

    The look holds for every map of the run, so that switching between scales
    compares like with like.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers: HeatMapLayers | None = None
        self.which = QComboBox()
        self.colours = QComboBox()
        self.colours.addItems(COLOUR_MAPS)
        self.range = _slider(QLabeledDoubleRangeSlider, (0.0, 1.0))
        # Labels above the handles are cut off at both ends.
        self.range.setHandleLabelPosition(QLabeledDoubleRangeSlider.LabelPosition.NoLabel)
        self.range.setEdgeLabelMode(QLabeledDoubleRangeSlider.EdgeLabelMode.LabelIsValue)
        self.threshold = _slider(QLabeledDoubleSlider, 0.0)
        self.opacity = _slider(QLabeledDoubleSlider, 0.5)
        self.which.setToolTip("Class and scale of the map that is shown.")
        self.colours.setToolTip("The colours of the maps.")
        self.opacity.setToolTip("How much of the tissue the maps cover.")
        self.threshold.setToolTip("Cells below this probability are not coloured.")
        self.range.setToolTip("Probabilities that the two ends of the colours stand for.")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            ("Map", self.which),
            ("Colours", self.colours),
            ("Range", self.range),
            ("Hide below", self.threshold),
            ("Opacity", self.opacity),
        ):
            form.addRow(label, widget)
        self.which.currentIndexChanged.connect(self._show_map)
        self.colours.currentTextChanged.connect(self.dress)
        for slider in (self.range, self.threshold, self.opacity):
            slider.valueChanged.connect(self.dress)
        self.setEnabled(False)

    def follow(self, layers: HeatMapLayers | None) -> None:
        """Control these maps from now on; none if there are none."""
        self._layers = layers
        self.setEnabled(layers is not None)
        names = [] if layers is None else list(layers.maps)
        with QSignalBlocker(self.which):
            self.which.clear()
            if layers is None:
                return
            for name in names:
                self.which.addItem(colour_icon(layers.colours[name.class_name]), str(name), name)
            if layers.shown is not None:
                self.which.setCurrentIndex(names.index(layers.shown))
        self.dress()

    def dress(self) -> None:
        """Give every map layer that is there the chosen look."""
        if self._layers is None:
            return
        low, high = self.range.value()
        limits = (low, max(high, low + 0.01))
        for name, layer in self._layers.layers.items():
            colours = map_colormap(
                self.colours.currentText(),
                name.class_name,
                colour=self._layers.colours[name.class_name],
                threshold=self.threshold.value(),
                limits=limits,
            )
            # Only what differs, as each is a redraw even if it is the same.
            if tuple(layer.contrast_limits) != limits:
                layer.contrast_limits = limits
            if layer.opacity != self.opacity.value():
                layer.opacity = self.opacity.value()
            if layer.colormap.name != colours.name:
                layer.colormap = colours

    def _show_map(self) -> None:
        name = self.which.currentData()
        if self._layers is not None and isinstance(name, MapName):
            self._layers.show_only(name)
            self.dress()


def _slider(
    kind: type[QLabeledDoubleSlider] | type[QLabeledDoubleRangeSlider], value: object
) -> QLabeledDoubleSlider | QLabeledDoubleRangeSlider:
    slider = kind(Qt.Orientation.Horizontal)
    slider.setRange(0.0, 1.0)
    slider.setSingleStep(0.01)
    slider.setDecimals(2)
    slider.setValue(value)
    return slider
