"""How to fine-tune: what is asked before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QWidget

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.widgets.controls.settings_form import SettingsForm
from napari_smse.workflows.evidence import describe_bank
from napari_smse.workflows.settings.fine_tune import FineTuneSettings

if TYPE_CHECKING:
    from napari_smse.scoring import ComputeDevice


class FineTuneForm(SettingsForm[FineTuneSettings]):
    """The settings, reference tiles to learn from besides, and where to compute."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(FineTuneSettings, parent=parent)
        self._bank: ExemplarBank | None = None
        self.known = QCheckBox()
        self.known.setToolTip(
            "Reference tiles that were added in SMSE: Evidence. Their embeddings are learnt from, "
            "whether or not their slides are open."
        )
        self.known.hide()
        self.device = QComboBox()
        self.device.addItem("Automatic", "auto")
        self.device.setToolTip("Where a trunk is trained; heads are on the processor in any case.")
        self.device.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.usual.addRow(self.known)
        self.advanced.addRow("Device", self.device)

    @property
    def bank(self) -> ExemplarBank | None:
        """Reference tiles to learn from besides what is drawn; None if there are to be none."""
        return self._bank if self.known.isChecked() else None

    def offer_bank(self, bank: ExemplarBank) -> None:
        """Learn from these reference tiles besides, unless the tick is taken off."""
        self._bank = bank
        self.known.setText(f"Also learn from reference tiles: {describe_bank(bank)}")
        self.known.setChecked(True)
        self.known.show()
        # They are embeddings, which is what the heads alone learn from.
        self.choose(trainable="head")

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
