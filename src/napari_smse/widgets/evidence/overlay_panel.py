"""How much of the slide is out of distribution, and where its scales agree."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
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
    show_agreement,
)
from napari_smse.widgets.ood_monitor import OodMonitor
from napari_smse.widgets.session import session_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.evidence import ScoredTiles
from napari_smse.workflows.out_of_distribution import ood_share

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
        self._session = session_of(viewer)
        self.banner, self.legend = QLabel(), QLabel()
        self.agreement = QCheckBox("Show where the scales agree")
        self.agreement.setToolTip(
            "Colour the places where all scales call the same class, and those where one of them "
            "decided."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.banner, self.agreement, self.legend):
            layout.addWidget(widget)
        for label in (self.banner, self.legend):
            label.setWordWrap(True)
            label.hide()
        self.monitor = OodMonitor(self._session, self)
        self.monitor.progressed.connect(self._show_measuring)
        self.monitor.problem.connect(self.problem)
        self.comparing = Worker()
        self.comparing.returned.connect(self._take_agreement)
        self.comparing.errored.connect(self.problem)
        self._session.ood_changed.connect(self._take_ood)
        self.agreement.toggled.connect(self._show_agreement)
        self.setEnabled(False)

    def follow(self, layer: Image | None, read: ScoredTiles | None) -> None:
        """Lie over this slide from now on."""
        self._hide()
        self._layer, self._read = layer, read
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
        if layer is not None:
            self._take_ood(layer)

    def show_bank(self, bank: ExemplarBank) -> None:
        """Take the exemplars of a bank for known, too, as far as it is known how they look."""
        layer = self._layer
        before = None if layer is None else self._session.known_of(layer)
        if layer is not None and any(
            one is not None and np.isfinite(one.appearances).any() for one in (before, bank)
        ):
            self._session.set_known(layer, bank)

    def unlike_of(self, row: int) -> float | None:
        """Return how far a tile is from all that is known; None if that is not known."""
        ood = None if self._layer is None else self._session.ood_of(self._layer)
        if ood is None or self._read is None or ood.run is not self._read.run:
            return None
        # More of it may be scored by now than was measured.
        values = ood.scores.values
        return float(values[row]) if len(values) == len(self._read.tiles) else None

    def release(self) -> None:
        """Let go of the viewer; layers stay."""
        self.monitor.release()
        self._session.ood_changed.disconnect(self._take_ood, missing_ok=True)
        self.comparing.cancel()

    def _show_measuring(self, progress: Progress) -> None:
        share = progress.done / max(1, progress.total)
        self._show_banner(f"Looking for what is unlike anything known: {share:.0%} …")

    def _show_banner(self, text: str) -> None:
        self.banner.setStyleSheet(_CALM)
        self.banner.setText(text)
        self.banner.show()

    def _take_ood(self, layer: Image) -> None:
        ood, read = self._session.ood_of(layer), self._read
        if layer is not self._layer or ood is None or read is None or ood.run is not read.run:
            return
        if not ood.scores.known:
            self._show_banner(_NOT_SAID)
            return
        number = _finest(read)
        tiles = ood.tiles.scales[number]
        if len(tiles):
            share = ood_share(ood.of_scale(number), tiles)
            scale = f"{objective_power(tiles.grid.spec.mpp):.3g}x"
            self._show_banner(describe_out_of_distribution(share, ood.scores.added, scale))
            self.banner.setStyleSheet(_BANNER if (share.value or 0) >= _ALARMING else _CALM)
        self.measured.emit()

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
        self.comparing.cancel()
        if self._read is not None:
            hide_agreement(self._viewer, self._read.slide)


def _finest(read: ScoredTiles) -> int:
    """Number of the finest scale of which tiles were scored."""
    scored = [number for number, scale in enumerate(read.tiles.scales) if len(scale)]
    return min(scored, key=lambda one: read.tiles.scales[one].grid.spec.mpp, default=0)
