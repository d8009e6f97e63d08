"""The settings of a run: slide, scales, model, region and the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smse.errors import ScaleError
from napari_smse.models import ModelCard
from napari_smse.scoring import ComputeDevice, describe_scale, parse_scale
from napari_smse.slides import Slide
from napari_smse.widgets.controls.model_picker import ModelPicker
from napari_smse.widgets.controls.settings_form import SettingsForm
from napari_smse.widgets.controls.slide_combo import SlideCombo
from napari_smse.widgets.layers.regions import RegionChoice
from napari_smse.widgets.preferences import preferred_scoring
from napari_smse.widgets.score.mask_picker import MaskPicker
from napari_smse.widgets.score.messages import describe_scale_source, describe_size
from napari_smse.widgets.score.scale_list import ScaleList
from napari_smse.widgets.session import Session
from napari_smse.workflows.settings.score import ScoreSettings

_ELSEWHERE: Final = ("mpp", "device", "tissue_mask", "leave_out")
"""Settings that have a field of their own."""


class ScoreForm(QWidget):
    """Everything that can be chosen before a run. It knows no slide but the one shown to it.

    Parameters
    ----------
    session
        Whose slides are offered.

    Attributes
    ----------
    preferred
        Model and settings that the user prefers.
    """

    mpp_typed = Signal(float)
    """The user typed the slide's um/px."""

    tissue_wanted = Signal()

    changed = Signal()
    """Something was changed that the tiles depend on."""

    problem = Signal(str)
    """What was typed cannot be used; the text says why."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slide = SlideCombo(session)
        self._make_slide_fields()
        self._make_scale_fields()
        self.models = ModelPicker()
        self._make_tile_fields()
        self._lay_out()
        self.preferred = preferred_scoring()
        self._prefer(self.preferred.settings)

    # -- what was chosen -------------------------------------------------------------

    @property
    def slide_layer(self) -> Image | None:
        """Layer of the chosen slide."""
        return self.slide.layer

    @property
    def model_name(self) -> str:
        """``bundled`` or a path."""
        return self.models.name

    @property
    def region_choice(self) -> RegionChoice:
        """Where to score."""
        return RegionChoice(self.region.currentText())

    @property
    def settings(self) -> ScoreSettings:
        """Which tiles, on what, and for how long."""
        device = str(self.device.currentData())
        return replace(
            self.options.settings,
            mpp=self.scales.ticked,
            device=device,
            tissue_mask=self.masks.path,
            leave_out=self.masks.left_out,
        )

    # -- what is shown ---------------------------------------------------------------

    def show_slide(self, slide: Slide | None) -> None:
        """Show a slide's size and um/px."""
        with QSignalBlocker(self.mpp):
            self.mpp.setValue(0.0 if slide is None or slide.scale.mpp is None else slide.scale.mpp)
        self.mpp.setEnabled(slide is not None)
        self.source.setText("" if slide is None else describe_scale_source(slide))
        self.facts.setText(describe_size(slide))

    def show_card(self, card: ModelCard | None) -> None:
        """Say which scales the model was trained on."""
        self.scales.mark(card)
        self.scale_note.hide()

    def tick_a_trained_scale(self) -> None:
        """See to it that the model was trained on one of the ticked scales, and say so."""
        mpp = self.scales.tick_a_trained_one()
        self.scale_note.setVisible(mpp is not None)
        if mpp is not None:
            self.scale_note.setText(
                f"{describe_scale(mpp)} was ticked: the model was trained on none of the others."
            )

    def _prefer(self, settings: ScoreSettings) -> None:
        """Show the settings that the user prefers; the device until those here are known."""
        self.options.choose(
            overlap=settings.overlap,
            min_tissue=settings.min_tissue,
            precision=settings.precision,
        )
        if settings.device != "auto":
            self.device.addItem(settings.device, settings.device)
            self.device.setCurrentIndex(1)

    def show_devices(self, devices: list[ComputeDevice]) -> None:
        """Offer the devices of this machine by name."""
        wanted = self.device.currentData()
        self.device.clear()
        self.device.addItem(f"Automatic: {devices[0].label}", "auto")
        for device in devices:
            self.device.addItem(device.label, device.torch_name)
        self.device.setCurrentIndex(max(0, self.device.findData(wanted)))

    # -- making ----------------------------------------------------------------------

    def _make_slide_fields(self) -> None:
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
        self.scales = ScaleList()
        self.scales.itemChanged.connect(lambda _: self.changed.emit())
        self.scale_note = QLabel()
        self.scale_note.setWordWrap(True)
        self.scale_note.hide()
        self.other_scale = QLineEdit()
        self.other_scale.setPlaceholderText("another: 30x, or 0.35 (µm/px)")
        self.other_scale.setToolTip("Type another scale, and press Enter.")
        self.other_scale.returnPressed.connect(self._add_other_scale)

    def _make_tile_fields(self) -> None:
        self.region = QComboBox()
        self.region.addItems([str(choice) for choice in RegionChoice])
        self.region.setToolTip("Where to score: everywhere, in view, or in shapes that you drew.")
        self.tissue = QPushButton("Show tissue")
        self.tissue.setToolTip(
            "Tissue that will be scored, and what will not: pen and dark, and the artefacts that a "
            "tissue mask tells apart. Press again to hide it."
        )
        self.tissue.clicked.connect(self.tissue_wanted)
        self.device = QComboBox()
        self.device.addItem("Automatic", "auto")
        self.device.setToolTip("What the network runs on.")
        self.device.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        # Names of processors can be longer than the dock is wide.
        self.device.currentTextChanged.connect(self.device.setToolTip)
        self.again = QCheckBox("Score again what an earlier run stored")
        self.again.setToolTip("Take nothing from an earlier run with the same settings.")
        self.region.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.masks = MaskPicker()
        self.masks.changed.connect(self.changed)
        self.options = SettingsForm(ScoreSettings, without=_ELSEWHERE)
        self.options.advanced.addRow("Device", self.device)
        self.options.advanced.addRow(self.again)
        self.options.changed.connect(self.changed)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slide)
        form.addRow("", self.facts)
        form.addRow("µm/px", _row(self.mpp, self.source))
        form.addRow("Scales", _column(self.scales, self.other_scale, self.scale_note))
        form.addRow("Model", self.models)
        form.addRow("Region", _row(self.region, self.tissue))
        form.addRow("Tissue from", self.masks)
        form.addRow(self.options)

    # -- reacting --------------------------------------------------------------------

    def _add_other_scale(self) -> None:
        try:
            mpp = parse_scale(self.other_scale.text())
        except ScaleError as error:
            self.problem.emit(str(error))
            return
        self.other_scale.clear()
        self.scales.add(mpp, ticked=True)
        self.changed.emit()


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
