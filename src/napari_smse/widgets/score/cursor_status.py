"""What the status bar says of the tile under the cursor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.scoring.calls import OOD_LIMIT, OOD_SHARE
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_layers, world_to_level0

_MARK = "SMSE"


class CursorStatus:
    """Adds the scores of the slide in view to what napari says, whatever layer is active.

    Parameters
    ----------
    viewer
        The viewer whose status bar it is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._session = session_of(viewer)
        viewer.events.status.connect(self._on_status)

    def stop(self) -> None:
        """Leave the status bar alone again."""
        self._viewer.events.status.disconnect(self._on_status)

    def describe(self, world: tuple[float, ...]) -> str:
        """The scores at a world point (y, x), or nothing where no tile was scored."""
        layer = self._session.slide_layer
        shown = None if layer is None else self._session.maps_of(layer)
        if layer is None or shown is None or not shown.maps.has_maps:
            return ""
        ((x, y),) = world_to_level0(layer, np.array([world[-2:]]))
        scores = [
            f"{scale} {_probabilities(by_class)}: {self._called(layer, scale, by_class, x, y)}"
            for scale, by_class in shown.maps.values_at(x, y).items()
        ]
        if not scores:
            return ""
        # With one slide open there is no doubt which it is.
        several = len(list(slide_layers(self._viewer))) > 1
        where = f" of {layer.name}" if several else ""
        return f"{_MARK} tile{where} at ({x:.0f}, {y:.0f}) px: " + " | ".join(scores)

    def _called(
        self, layer: Image, scale: str, by_class: Mapping[str, float], x: float, y: float
    ) -> str:
        """Return what the map, the table and the files call a tile."""
        shown, ood = self._session.maps_of(layer), self._session.ood_of(layer)
        assert shown is not None
        names = list(shown.maps.scale_names)
        unlike = np.nan
        # As a run begins, what was measured is still that of the one before.
        if ood is not None and len(ood.heat_maps) == len(names):
            (share,) = ood.map_of(scale).at(np.array([x]), np.array([y]))
            if np.isfinite(share):
                unlike = OOD_LIMIT + 1 if share >= OOD_SHARE else 0.0
        calls = shown.rule.call(np.array([list(by_class.values())]), unlike)
        return str(shown.rule.named(calls)[0])

    def _on_status(self) -> None:
        status = self._viewer.status
        # Setting the status below comes back here.
        if isinstance(status, str) and status.startswith(_MARK):
            return
        if text := self.describe(self._viewer.cursor.position):
            self._viewer.status = text


def _probabilities(by_class: Mapping[str, float]) -> str:
    return ", ".join(f"P({name}) {value:.2f}" for name, value in by_class.items())
