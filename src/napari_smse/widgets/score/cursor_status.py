"""What the status bar says of the tile under the cursor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.scoring.calls import OOD_LIMIT
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_layers, world_to_level0
from napari_smse.workflows.out_of_distribution import RunOod

_MARK = "SMSE"
_HALF = 0.5
"""Of the scales: a place is out of distribution if so many say so, as in the summary."""


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
        if layer is None or shown is None:
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
        if ood is not None:
            # The mean is over the scales that the model was trained at.
            used = [names.index(scale)] if scale in names else _trained(ood)
            # As a run begins, what was measured is still that of the one before.
            maps = [ood.heat_maps[number] for number in used if number < len(ood.heat_maps)]
            values = np.array([one.at(np.array([x]), np.array([y]))[0] for one in maps])
            known = values[np.isfinite(values)]
            if len(known):
                unlike = OOD_LIMIT + 1 if known.mean() >= _HALF else 0.0
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


def _trained(ood: RunOod) -> list[int]:
    numbers = range(len(ood.heat_maps))
    return [number for number in numbers if ood.in_range(number)] or list(numbers)
