"""What lies over the maps: where the slide is unlike anything known, and where scales agree."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_smse.progress import Progress
from napari_smse.scoring import objective_power
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.scale_agreement import ScaleAgreement, scale_agreement
from napari_smse.widgets.evidence.messages import describe_out_of_distribution
from napari_smse.widgets.layers.overlays import (
    describe_agreement,
    hide_agreement,
    hide_out_of_distribution,
    show_agreement,
    show_out_of_distribution,
)
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.evidence import ScoredTiles
from napari_smse.workflows.out_of_distribution import OodScores, measure_ood, ood_share

_ALARMING = 0.1
_BANNER = "background: #7a4a00; color: white; font-weight: bold; padding: 4px;"
_CALM = "padding: 4px;"
_NOT_SAID = (
    "This model does not say what its training tiles look like, so nothing can be called unlike "
    "them."
)


class OverlayPanel(QWidget):
    """A banner, two toggles, and what the colours mean.

    Parameters
    ----------
    viewer
        Where the layers go.
    """

    problem = Signal(str)

    measured = Signal()
    """How unlike anything known the tiles are is known now."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Image | None = None
        self._read: ScoredTiles | None = None
        self._unlike: NDArray[np.float32] | None = None
        self._bank: ExemplarBank | None = None
        self.banner, self.legend = QLabel(), QLabel()
        self.unknown = QCheckBox("Show out-of-distribution areas")
        self.unknown.setToolTip(
            "Grey stripes: tiles whose colours or sharpness are unlike those of 95 % of the tiles "
            "that the model was trained on, and of reference tiles that you add. What the maps "
            "call them means nothing."
        )
        self.agreement = QCheckBox("Show where the scales agree")
        self.agreement.setToolTip(
            "Colour the places where all scales call the same class, and those where one of them "
            "decided."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.banner, self.unknown, self.agreement, self.legend):
            layout.addWidget(widget)
        for label in (self.banner, self.legend):
            label.setWordWrap(True)
            label.hide()
        self.measuring, self.comparing = Worker(), Worker()
        self.measuring.progressed.connect(self._show_measuring)
        self.measuring.returned.connect(self._take_unlike)
        self.comparing.returned.connect(self._take_agreement)
        for task in (self.measuring, self.comparing):
            task.errored.connect(self.problem)
        self.unknown.toggled.connect(self._show_unknown)
        self.agreement.toggled.connect(self._show_agreement)
        self.setEnabled(False)

    def follow(self, layer: Image | None, read: ScoredTiles | None) -> None:
        """Lie over this slide from now on."""
        self._hide()
        self._layer, self._read, self._unlike, self._bank = layer, read, None, None
        self.banner.hide()
        several = read is not None and sum(len(scale) > 0 for scale in read.tiles.scales) > 1
        self.setEnabled(read is not None)
        self.agreement.setEnabled(several)
        self.agreement.setToolTip(
            "Green where all scales call the same class, purple where they differ."
            if several
            else "Score the slide at two or more scales to see where they agree."
        )
        if not several:
            self.agreement.setChecked(False)
        self._show_agreement()
        self._measure()

    def show_bank(self, bank: ExemplarBank) -> None:
        """Take the exemplars of a bank for known, too, as far as it is known how they look."""
        before, self._bank = self._bank, bank
        if any(one is not None and np.isfinite(one.appearances).any() for one in (before, bank)):
            self._measure()

    def _measure(self) -> None:
        read, bank = self._read, self._bank
        if read is not None:
            self.measuring.start(lambda: measure_ood(read.slide, read.run, read.tiles, bank))

    def unlike_of(self, row: int) -> float | None:
        """Return how far a tile is from all that is known; None if that is not known."""
        return None if self._unlike is None else float(self._unlike[row])

    def release(self) -> None:
        """Let go of the viewer; layers stay."""
        self.measuring.cancel()
        self.comparing.cancel()

    def _show_measuring(self, progress: Progress) -> None:
        share = progress.done / max(1, progress.total)
        self._show_banner(f"Looking for what is unlike anything known: {share:.0%} …")

    def _show_banner(self, text: str) -> None:
        self.banner.setStyleSheet(_CALM)
        self.banner.setText(text)
        self.banner.show()

    def _take_unlike(self, scores: OodScores) -> None:
        read = self._read
        if read is None:
            return
        if not scores.known:
            self._show_banner(_NOT_SAID)
            return
        self._unlike = scores.values
        number = _finest(read)
        tiles = read.tiles.scales[number]
        if len(tiles):
            share = ood_share(scores.values[read.tiles.rows_of(number)], tiles)
            scale = f"{objective_power(tiles.grid.spec.mpp):.3g}x"
            self._show_banner(describe_out_of_distribution(share, scores.added, scale))
            self.banner.setStyleSheet(_BANNER if (share.value or 0) >= _ALARMING else _CALM)
        self._show_unknown()
        self.measured.emit()

    def _show_unknown(self) -> None:
        layer, read = self._layer, self._read
        if layer is None or read is None or layer not in self._viewer.layers:
            return
        hide_out_of_distribution(self._viewer, read.slide)
        if self.unknown.isChecked() and self._unlike is not None:
            unknown = (self._unlike > 1).astype(np.float32)
            heat_map = read.tiles.heat_map(unknown, _finest(read))
            show_out_of_distribution(self._viewer, layer, read.slide, heat_map)

    def _show_agreement(self) -> None:
        read = self._read
        self.comparing.cancel()
        self.legend.hide()
        if read is None:
            return
        if not self.agreement.isChecked():
            hide_agreement(self._viewer, read.slide)
            return
        self.comparing.start(lambda: scale_agreement(read.tiles))

    def _take_agreement(self, found: ScaleAgreement) -> None:
        layer, read = self._layer, self._read
        if layer is None or read is None or layer not in self._viewer.layers:
            return
        mpps = [scale.grid.spec.mpp for scale in read.tiles.scales]
        show_agreement(self._viewer, layer, read.slide, found, len(mpps))
        self.legend.setText(describe_agreement(found, mpps))
        self.legend.show()

    def _hide(self) -> None:
        self.measuring.cancel()
        self.comparing.cancel()
        if self._read is not None:
            hide_out_of_distribution(self._viewer, self._read.slide)
            hide_agreement(self._viewer, self._read.slide)


def _finest(read: ScoredTiles) -> int:
    """Number of the finest scale of which tiles were scored."""
    scored = [number for number, scale in enumerate(read.tiles.scales) if len(scale)]
    return min(scored, key=lambda one: read.tiles.scales[one].grid.spec.mpp, default=0)
