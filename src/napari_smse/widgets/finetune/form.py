"""How to fine-tune: what is asked before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QSpinBox, QWidget
from superqt import QCollapsible

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.widgets.controls.layout import folded
from napari_smse.workflows.evidence import describe_bank
from napari_smse.workflows.fine_tune import FineTuneSettings

if TYPE_CHECKING:
    from napari_smse.scoring import ComputeDevice

_LOSSES = {
    "Triplet: alike nearer than unlike": "triplet",
    "Pair: forgets least": "pair",
}
_LEARNS = {
    "Heads, on stored embeddings: seconds": "head",
    "Heads, on tiles read anew: a minute": "features",
    "Also the trunk's last stage: minutes": "stage",
    "The whole network: longer still": "all",
}
_CLASS_LOSSES = {
    "Cross-entropy": "cross-entropy",
    "Focal: mind the hard tiles": "focal",
    "Reinforced focal: mind the rare class": "reinforced focal",
}
_MININGS = {
    "Semi-hard": "semi-hard",
    "Hard": "hard",
    "None: random": "none",
}
_USUAL = "as usual"


class FineTuneForm(QWidget):
    """Loss, what learns, what is kept; and folded away, what is seldom changed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = _combo(_LOSSES)
        self.trainable = _combo(_LEARNS)
        self.trainable.setToolTip(
            "Stored embeddings hold what the model looked for so far; tiles read anew hold all "
            "that its trunk sees. The slides are then scored again, too."
        )
        self.steps = _spin(5000, " steps")
        self.time_limit = _spin(36_000, " s")
        self.time_limit.setSpecialValueText("no limit")
        self.time_limit.setToolTip("Learning ends after that long, and the best so far is kept.")
        self.replay = QCheckBox("Keep what the model knew")
        self.replay.setChecked(True)
        self.replay.setToolTip(
            "Holds the examples that come with the model, or its features, where they are."
        )
        self._bank: ExemplarBank | None = None
        self.known = QCheckBox()
        self.known.setToolTip(
            "Known tiles that were added in SMSE: Evidence. Their embeddings are learnt from, "
            "whether or not their slides are open."
        )
        self.known.hide()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Loss", self.loss)
        form.addRow("Learns", self.trainable)
        form.addRow(self.replay)
        form.addRow(self.known)
        form.addRow(self._more())

    @property
    def settings(self) -> FineTuneSettings:
        """What is chosen."""
        kept, trainable = self.replay.isChecked(), self.trainable.currentData()
        return FineTuneSettings(
            similarity=self.loss.currentData(),
            margin=self.margin.value() or None,
            mining=self.mining.currentData(),
            classification=self.class_loss.currentData(),
            trainable="head" if trainable == "features" else trainable,
            augmented_tiles=trainable == "features",
            learning_rate=self.learning_rate.value() or None,
            steps=self.steps.value() or None,
            time_limit=self.time_limit.value() or None,
            replay_weight=1.0 if kept else 0.0,
        )

    @property
    def bank(self) -> ExemplarBank | None:
        """Known tiles to learn from besides what is drawn; None if there are to be none."""
        return self._bank if self.known.isChecked() else None

    def offer_bank(self, bank: ExemplarBank) -> None:
        """Learn from these known tiles besides, unless the tick is taken off."""
        self._bank = bank
        self.known.setText(f"Also learn from known tiles: {describe_bank(bank)}")
        self.known.setChecked(True)
        self.known.show()
        # They are embeddings, which is what the heads alone learn from.
        self.trainable.setCurrentIndex(self.trainable.findData("head"))

    @property
    def device_name(self) -> str:
        """``auto`` or a device's name."""
        return str(self.device.currentData())

    def show_devices(self, devices: list[ComputeDevice]) -> None:
        """Offer the devices of this machine by name."""
        self.device.clear()
        self.device.addItem(f"Automatic: {devices[0].label}", "auto")
        for device in devices:
            self.device.addItem(device.label, device.torch_name)

    def _more(self) -> QCollapsible:
        self.class_loss = _combo(_CLASS_LOSSES)
        self.margin = _number(2.0, 0.1, 2)
        self.margin.setToolTip("How far apart tiles of different classes are to lie, at least.")
        self.mining = _combo(_MININGS)
        self.mining.setToolTip("Which pairs or triplets of a batch count.")
        self.learning_rate = _number(1.0, 0.001, 5)
        self.device = QComboBox()
        self.device.addItem("Automatic", "auto")
        self.device.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        inner = QWidget()
        form = QFormLayout(inner)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Length", self.steps)
        form.addRow("Time limit", self.time_limit)
        form.addRow("Class loss", self.class_loss)
        form.addRow("Margin", self.margin)
        form.addRow("Mining", self.mining)
        form.addRow("Rate", self.learning_rate)
        form.addRow("Device", self.device)
        return folded("More settings", inner)


def _combo(choices: dict[str, str]) -> QComboBox:
    combo = QComboBox()
    for text, value in choices.items():
        combo.addItem(text, value)
    return combo


def _spin(most: int, suffix: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(0, most)
    spin.setSuffix(suffix)
    spin.setSpecialValueText(_USUAL)
    spin.setSingleStep(10)
    return spin


def _number(most: float, step: float, decimals: int) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(0, most)
    spin.setDecimals(decimals)
    spin.setSingleStep(step)
    spin.setSpecialValueText(_USUAL)
    return spin
