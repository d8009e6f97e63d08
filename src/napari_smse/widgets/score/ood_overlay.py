"""Where the slide in view is out of distribution: hatched on the map, and in figures."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QCheckBox, QLabel

from napari_smse.errors import SmseError
from napari_smse.metrics.estimate import Estimate, counted, percent
from napari_smse.scoring import describe_scale
from napari_smse.widgets.layers.overlays import (
    hide_out_of_distribution,
    show_out_of_distribution,
)
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.workflows.out_of_distribution import RunOod, ood_share

_ALARMING = 0.1
_BANNER = "background: #7a4a00; color: white; font-weight: bold; padding: 4px;"
_CALM = "padding: 4px;"
_NOT_KNOWN = (
    "Out of distribution: not known, as this model does not say what its training tiles look like."
)


class OodOverlay(QObject):
    """Hatches what is out of distribution at the scale of the map that is seen, and counts it.

    Parameters
    ----------
    viewer
        Where the layer goes.
    switch
        Whether to hatch at all.
    banner
        Says how many tiles of each scale are out of distribution.
    """

    def __init__(
        self, viewer: ViewerModel, switch: QCheckBox, banner: QLabel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session_of(viewer)
        self._switch, self._banner = switch, banner
        self._drawn: tuple[RunOod, str] | None = None
        banner.setWordWrap(True)
        switch.toggled.connect(self.refresh)
        for signal in self._session.signals_of_what_is_shown:
            signal.connect(self.refresh)
        self.refresh()

    def release(self) -> None:
        """Listen no more; the layer stays."""
        for signal in self._session.signals_of_what_is_shown:
            signal.disconnect(self.refresh, missing_ok=True)

    def refresh(self, _changed: object = None) -> None:
        """Follow the slide in view, its run, and the map that is seen."""
        layer = self._session.slide_layer
        ood = None if layer is None else self._session.ood_of(layer)
        self._banner.setVisible(ood is not None)
        if layer is None:
            return
        if ood is None:
            self._hide(layer)
            return
        self._describe(ood)
        scale = self._scale_seen(layer)
        if scale is None or not self._switch.isChecked() or not ood.scores.known:
            self._hide(layer)
        elif self._drawn != (ood, scale):
            self._draw(layer, ood, scale)

    def _describe(self, ood: RunOod) -> None:
        shares = {
            describe_scale(tiles.grid.spec.mpp): ood_share(ood.of_scale(number), tiles)
            for number, tiles in enumerate(ood.tiles.scales)
            if len(tiles)
        }
        told = "; ".join(_share(share, scale) for scale, share in shares.items())
        text = f"Out of distribution: {told}. They are not called."
        outside = [
            describe_scale(tiles.grid.spec.mpp)
            for number, tiles in enumerate(ood.tiles.scales)
            if not ood.in_range(number)
        ]
        if outside:
            where = " and ".join(outside)
            text += f" Nothing is called at {where}, outside the model's magnifications."
        alarming = any((share.value or 0) >= _ALARMING for share in shares.values())
        self._banner.setText(text if ood.scores.known else _NOT_KNOWN)
        self._banner.setStyleSheet(_BANNER if alarming and ood.scores.known else _CALM)

    def _scale_seen(self, layer: Image) -> str | None:
        """Name of the scale of the map that is seen, or of the mean; None if no map is."""
        maps = self._session.maps_of(layer)
        return None if maps is None or maps.shown is None else maps.shown.scale

    def _draw(self, layer: Image, ood: RunOod, scale: str) -> None:
        try:
            slide = slide_of(layer)
        except SmseError:  # its file is gone, which the dock says
            return
        unlike = ood.map_of(scale)
        if not np.isfinite(unlike.values).any():
            self._hide(layer)
            return
        show_out_of_distribution(self._viewer, layer, slide, unlike, ood.run.plan.mask)
        self._drawn = (ood, scale)

    def _hide(self, layer: Image) -> None:
        self._drawn = None
        try:
            hide_out_of_distribution(self._viewer, slide_of(layer))
        except SmseError:
            return


def _share(share: Estimate, scale: str) -> str:
    tiles = f"{counted(share.n or 0, 'tiles')} at {scale}"
    if share.value is None or share.low is None or share.high is None:
        return f"not known of {tiles}"
    interval = f"95 % interval {percent(share.low)} to {percent(share.high)}"
    return f"{percent(share.value)} ({interval}) of {tiles}"
