"""The settings of a run: slide, scales, model, region and the rest."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_smse.errors import ScaleError
from napari_smse.network import ModelCard
from napari_smse.scoring import ComputeDevice, describe_scale, is_trained_scale, parse_scale
from napari_smse.slides import Slide
from napari_smse.widgets.regions import RegionChoice

_USUAL_MPPS = (0.25, 0.5, 1.0, 2.0)
_OVERLAPS = {"none": 0.0, "a quarter": 0.25, "half": 0.5, "three quarters": 0.75}
_MPP = Qt.ItemDataRole.UserRole
# Without a border, empty boxes are lost in napari's dark theme.
_SCALES_STYLE = """
QListWidget::item { padding: 2px; }
QListWidget::indicator:unchecked { border: 1px solid gray; border-radius: 2px; }
"""


class ScoreForm(QWidget):
    """Everything that can be chosen before a run. It knows no slide but the one shown to it."""

    slide_chosen = Signal(object)
    """The layer of the slide that was chosen, or None."""

    mpp_typed = Signal(float)
    """The user typed the slide's um/px."""

    model_chosen = Signal(str)
    card_wanted = Signal()
    tissue_wanted = Signal()

    changed = Signal()
    """Something was changed that the tiles depend on."""

    problem = Signal(str)
    """What was typed cannot be used; the text says why."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_slide_fields()
        self._make_scale_fields()
        self._make_model_fields()
        self._make_tile_fields()
        self._lay_out()

    # -- what was chosen -------------------------------------------------------------

    @property
    def slide_layer(self) -> Image | None:
        """Layer of the chosen slide."""
        layer = self.slide.currentData()
        return layer if isinstance(layer, Image) else None

    @property
    def mpps(self) -> tuple[float, ...]:
        """The ticked scales, um/px."""
        items = (self.scales.item(row) for row in range(self.scales.count()))
        return tuple(
            float(item.data(_MPP)) for item in items if item.checkState() == Qt.CheckState.Checked
        )

    @property
    def model_name(self) -> str:
        """``bundled`` or a path."""
        return str(self.model.currentData())

    @property
    def region_choice(self) -> RegionChoice:
        """Where to score."""
        return RegionChoice(self.region.currentText())

    @property
    def overlap_share(self) -> float:
        """Share of a tile that its neighbour covers too."""
        return _OVERLAPS[self.overlap.currentText()]

    @property
    def min_tissue(self) -> float:
        """Least share of tissue in a tile."""
        return self.tissue_share.value() / 100

    @property
    def device_name(self) -> str:
        """``auto`` or a device's name."""
        return str(self.device.currentData())

    # -- what is shown ---------------------------------------------------------------

    def show_slide_layers(self, layers: list[Image]) -> None:
        """Offer these layers, and choose one that is new; otherwise the choice stays."""
        before = self.slide_layer
        offered = [self.slide.itemData(row) for row in range(self.slide.count())]
        new = [layer for layer in layers if layer not in offered]
        with QSignalBlocker(self.slide):
            self.slide.clear()
            for layer in layers:
                self.slide.addItem(layer.name, layer)
            if new:
                self.slide.setCurrentIndex(layers.index(new[-1]))
            elif before in layers:
                self.slide.setCurrentIndex(layers.index(before))
            else:
                self.slide.setCurrentIndex(len(layers) - 1)
        if self.slide_layer is not before:
            self.slide_chosen.emit(self.slide_layer)

    def show_slide(self, slide: Slide | None) -> None:
        """Show a slide's size and um/px."""
        with QSignalBlocker(self.mpp):
            self.mpp.setValue(0.0 if slide is None or slide.scale.mpp is None else slide.scale.mpp)
        self.mpp.setEnabled(slide is not None)
        self.source.setText("" if slide is None else _tell_scale(slide))
        self.facts.setText("Open a slide with File > Open." if slide is None else _tell_size(slide))

    def show_card(self, card: ModelCard | None) -> None:
        """Say which scales the model was trained on."""
        for row in range(self.scales.count()):
            item = self.scales.item(row)
            mpp = float(item.data(_MPP))
            trained = card is None or is_trained_scale(mpp, card)
            item.setText(describe_scale(mpp) + ("" if trained else ", untrained"))

    def show_devices(self, devices: list[ComputeDevice]) -> None:
        """Offer the devices of this machine by name."""
        wanted = self.device_name
        self.device.clear()
        self.device.addItem(f"Automatic: {devices[0].label}", "auto")
        for device in devices:
            self.device.addItem(device.label, device.torch_name)
        self.device.setCurrentIndex(max(0, self.device.findData(wanted)))

    # -- making ----------------------------------------------------------------------

    def _make_slide_fields(self) -> None:
        self.slide = QComboBox()
        self.slide.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.slide.currentIndexChanged.connect(lambda _: self.slide_chosen.emit(self.slide_layer))
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 10.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.01)
        self.mpp.setSpecialValueText("not stated")
        self.mpp.setKeyboardTracking(False)
        self.mpp.setToolTip("Width of a level-0 pixel. Everything is measured by it.")
        self.mpp.valueChanged.connect(self.mpp_typed)
        self.source = QLabel()
        self.source.setWordWrap(True)

    def _make_scale_fields(self) -> None:
        self.scales = QListWidget()
        self.scales.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scales.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.scales.setStyleSheet(_SCALES_STYLE)
        for mpp in _USUAL_MPPS:
            self._add_scale(mpp, ticked=mpp == 0.5)
        self._fit_scales()
        self.scales.setToolTip(
            "Untrained: the model never saw this scale, take its map as unknown."
        )
        self.scales.itemChanged.connect(lambda _: self.changed.emit())
        self.other_scale = QLineEdit()
        self.other_scale.setPlaceholderText("another: 30x, or 0.35 (um/px)")
        self.other_scale.returnPressed.connect(self._add_other_scale)

    def _make_model_fields(self) -> None:
        self.model = QComboBox()
        self.model.addItem("Bundled", "bundled")
        self.model.currentIndexChanged.connect(lambda _: self.model_chosen.emit(self.model_name))
        self.browse = QPushButton("Open …")
        self.browse.clicked.connect(self._browse_model)
        self.card = QPushButton("Card")
        self.card.setToolTip("What the model was trained on, and how well it does.")
        self.card.clicked.connect(self.card_wanted)

    def _make_tile_fields(self) -> None:
        self.region = QComboBox()
        self.region.addItems([str(choice) for choice in RegionChoice])
        self.overlap = QComboBox()
        self.overlap.addItems(list(_OVERLAPS))
        self.overlap.setToolTip("Overlapping tiles give a smoother map and take longer.")
        self.tissue_share = QSpinBox()
        self.tissue_share.setRange(1, 100)
        self.tissue_share.setValue(25)
        self.tissue_share.setSuffix(" %")
        self.tissue_share.setKeyboardTracking(False)
        self.tissue = QPushButton("Show tissue")
        self.tissue.setToolTip("Tissue that will be scored, and pen and dark that will not.")
        self.tissue.clicked.connect(self.tissue_wanted)
        self.device = QComboBox()
        self.device.addItem("Automatic", "auto")
        self.device.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        # Names of processors can be longer than the dock is wide.
        self.device.currentTextChanged.connect(self.device.setToolTip)
        self.again = QCheckBox("Score again what an earlier run stored")
        for combo in (self.region, self.overlap):
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.tissue_share.valueChanged.connect(lambda _: self.changed.emit())

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slide)
        form.addRow("", self.facts)
        form.addRow("um/px", _row(self.mpp, self.source))
        form.addRow("Scales", _column(self.scales, self.other_scale))
        form.addRow("Model", _row(self.model, self.browse, self.card))
        form.addRow("Region", _row(self.region, self.tissue))
        self.more = self._make_more()
        form.addRow(self.more)

    def _make_more(self) -> QCollapsible:
        """What is seldom changed, folded away."""
        inner = QWidget()
        form = QFormLayout(inner)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Tile overlap", self.overlap)
        form.addRow("Least tissue", self.tissue_share)
        form.addRow("Device", self.device)
        form.addRow(self.again)
        more = QCollapsible("More settings", expandedIcon="▼", collapsedIcon="▶")
        more.layout().setContentsMargins(0, 0, 0, 0)
        more.setContent(inner)
        # Only now: folding hides the content that is there.
        more.collapse(animate=False)
        return more

    # -- reacting --------------------------------------------------------------------

    def _add_scale(self, mpp: float, *, ticked: bool) -> None:
        item = QListWidgetItem(describe_scale(mpp))
        item.setData(_MPP, mpp)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.scales.addItem(item)

    def _fit_scales(self) -> None:
        row = max(18, self.scales.sizeHintForRow(0))
        self.scales.setFixedHeight(min(self.scales.count(), 6) * row + 6)

    def _add_other_scale(self) -> None:
        try:
            mpp = parse_scale(self.other_scale.text())
        except ScaleError as error:
            self.problem.emit(str(error))
            return
        self.other_scale.clear()
        self._add_scale(mpp, ticked=True)
        self._fit_scales()
        self.changed.emit()
        self.model_chosen.emit(self.model_name)

    def _browse_model(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Open a model", "", "Models (*.safetensors *.json)"
        )
        if path:
            self.add_model(path)

    def add_model(self, path: str) -> None:
        """Offer a model file, and choose it."""
        self.model.addItem(Path(path).stem, path)
        self.model.setCurrentIndex(self.model.count() - 1)


def _row(*widgets: QWidget) -> QWidget:
    box = QWidget()
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, stretch=1 if number == 0 else 0)
    return box


def _column(*widgets: QWidget) -> QWidget:
    box = QWidget()
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return box


def _tell_scale(slide: Slide) -> str:
    if slide.scale.mpp is None:
        if slide.scale.rejected is not None:
            return f"the file says {slide.scale.rejected:g}, which cannot be: type it"
        return "type it, e.g. 0.25"
    return f"from {slide.scale.source}"


def _tell_size(slide: Slide) -> str:
    size = f"{slide.width:,} x {slide.height:,} px"
    if slide.scale.mpp is None:
        return size
    width, height = (side * slide.scale.mpp / 1000 for side in (slide.width, slide.height))
    return f"{size}, {width:.2f} x {height:.2f} mm, {len(slide.levels)} levels"
