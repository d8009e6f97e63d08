"""How the heat maps look: which one, colours, range, threshold, opacity."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QWidget
from superqt import QLabeledDoubleRangeSlider, QLabeledDoubleSlider

from napari_smse.scoring import MapName
from napari_smse.widgets.controls.thumbnails import colour_icon
from napari_smse.widgets.layers.colormaps import COLOUR_MAPS
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.map_view import HIDE_KEY
from napari_smse.widgets.session import Session
from napari_smse.workflows.viewer_session.record import BOTH, CONTOURS, FILLED, MapDisplay


class MapControls(QWidget):
    """Choose a heat map and change how all maps look.

    The look holds for every map of the run, so that switching between scales
    compares like with like. It is that of the session, also where this is not open.

    Parameters
    ----------
    session
        Of the viewer.
    """

    contours_changed = Signal()
    """Contours are wanted, or no more, or at another threshold."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layers: HeatMapLayers | None = None
        self._showing = False
        self.which = QComboBox()
        self.colours = QComboBox()
        self.colours.addItems(COLOUR_MAPS)
        self.range = _slider(QLabeledDoubleRangeSlider, (0.0, 1.0))
        # Labels above the handles are cut off at both ends.
        self.range.setHandleLabelPosition(QLabeledDoubleRangeSlider.LabelPosition.NoLabel)
        self.range.setEdgeLabelMode(QLabeledDoubleRangeSlider.EdgeLabelMode.LabelIsValue)
        self.threshold = _slider(QLabeledDoubleSlider, 0.0)
        self.opacity = _slider(QLabeledDoubleSlider, MapDisplay().opacity)
        self.smooth = QCheckBox("Smooth")
        self.pale = QCheckBox("Grey tissue")
        self.pale.setChecked(True)
        self.out_of_distribution = QCheckBox("Hatch out of distribution")
        self.out_of_distribution.setChecked(True)
        self.sharpness = QCheckBox("Sharpness in place of the map")
        self.sharpness.setToolTip(
            "How sharp each tile is, from 0: fine detail over contrast. Tissue that is sharp at "
            "20x has 0.3 or more, out of focus 0.05 to 0.2. Another stain or scale has other "
            "values: compare within a slide."
        )
        self.which.setToolTip("Class and scale of the map that is shown.")
        self.colours.setToolTip(
            "The colours of the maps. Grey is where the model's card calls no class: indeterminate."
        )
        self.smooth.setToolTip(
            "Interpolate between the middles of the tiles, rather than show each as it was scored."
        )
        self.pale.setToolTip(
            "Take the colour from the tissue under a map, so that only the map is coloured. Hold "
            f"{HIDE_KEY} to see the stain alone."
        )
        self.out_of_distribution.setToolTip(
            "Grey stripes: tiles whose colours or sharpness are unlike those of 95 % of the tiles "
            "that the model was trained on. They are never called, whatever the map says."
        )
        self.opacity.setToolTip("How much of the tissue the maps cover.")
        self.threshold.setToolTip("Cells below this probability are not coloured.")
        self.range.setToolTip("Probabilities that the two ends of the colours stand for.")
        self.draw = QComboBox()
        self.draw.addItems((FILLED, CONTOURS, BOTH))
        self.draw.setToolTip(
            "Colour the tissue, or draw around the places where the probability reaches a "
            "threshold, so that nuclei stay readable."
        )
        self.contour_at = _slider(QLabeledDoubleSlider, 0.5)
        self.contour_at.setToolTip("Probability from which a place lies inside a contour.")
        self.banner = QLabel()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.banner)
        for label, widget in (
            ("Map", self.which),
            ("Colours", self.colours),
            ("Range", self.range),
            ("Hide below", self.threshold),
            ("Opacity", self.opacity),
            ("Draw", self.draw),
            ("Contours at", self.contour_at),
        ):
            form.addRow(label, widget)
        switches = QHBoxLayout()
        for switch in (self.smooth, self.pale, self.out_of_distribution):
            switches.addWidget(switch)
        form.addRow(switches)
        form.addRow(self.sharpness)
        self.smooth.toggled.connect(self.dress)
        self.draw.currentTextChanged.connect(self.dress)
        self.draw.currentTextChanged.connect(self._enable)
        for changed in (self.draw.currentTextChanged, self.contour_at.valueChanged):
            changed.connect(self.contours_changed)
        self.show_display()
        self._enable()
        session.display_changed.connect(self.show_display)
        self.which.currentIndexChanged.connect(self._show_map)
        self.colours.currentTextChanged.connect(self.dress)
        for slider in (self.range, self.threshold, self.opacity, self.contour_at):
            slider.valueChanged.connect(self.dress)
        for switch in (self.pale, self.out_of_distribution):
            switch.toggled.connect(self.dress)
        self.setEnabled(False)

    @property
    def contours(self) -> float | None:
        """Probability to draw contours at; None for none."""
        return None if self.draw.currentText() == FILLED else float(self.contour_at.value())

    @property
    def is_filled(self) -> bool:
        """Whether the tissue is to be coloured."""
        return self.draw.currentText() != CONTOURS

    def follow(self, layers: HeatMapLayers | None) -> None:
        """Control these maps from now on; none if there are none."""
        self._layers = layers
        self.setEnabled(layers is not None)
        self.setVisible(layers is None or layers.maps.has_maps)
        names = [] if layers is None else list(layers.maps)
        with QSignalBlocker(self.which):
            self.which.clear()
            if layers is None:
                return
            for name in names:
                self.which.addItem(
                    colour_icon(layers.colours[name.class_name].colour), str(name), name
                )
            if layers.shown is not None:
                self.which.setCurrentIndex(names.index(layers.shown))
        self.dress()

    @property
    def display(self) -> MapDisplay:
        """How maps are to be shown."""
        low, high = self.range.value()
        return MapDisplay(
            colours=self.colours.currentText(),
            low=low,
            high=high,
            threshold=self.threshold.value(),
            opacity=self.opacity.value(),
            draw=self.draw.currentText(),
            contours_at=self.contour_at.value(),
            smooth=self.smooth.isChecked(),
            grey_tissue=self.pale.isChecked(),
            hatch=self.out_of_distribution.isChecked(),
        )

    def show_display(self) -> None:
        """Show how the session has maps shown; what it cannot be set to stays as it is."""
        display = self._session.display
        if self._showing or display == self.display:
            return
        self._showing = True
        for box, text in ((self.colours, display.colours), (self.draw, display.draw)):
            box.setCurrentText(text)
        self.range.setValue((display.low, display.high))
        self.threshold.setValue(display.threshold)
        self.opacity.setValue(display.opacity)
        self.contour_at.setValue(display.contours_at)
        self.smooth.setChecked(display.smooth)
        self.pale.setChecked(display.grey_tissue)
        self.out_of_distribution.setChecked(display.hatch)
        self._showing = False
        self.dress()

    def dress(self) -> None:
        """Give every map layer that is there the chosen look."""
        if self._showing:
            return
        display, self._showing = self.display, True
        self._session.show_maps(display)
        self._showing = False
        if self._layers is not None:
            self._layers.dress(display)

    def release(self) -> None:
        """Follow the session no more."""
        self._session.display_changed.disconnect(self.show_display, missing_ok=True)

    def _enable(self) -> None:
        self.contour_at.setEnabled(self.contours is not None)
        self.opacity.setEnabled(self.is_filled)

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
