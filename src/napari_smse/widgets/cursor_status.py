"""What the status bar says of the tile under the cursor."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_smse.scoring import ScoreMaps
from napari_smse.widgets.heat_layers import SHOWN_KEY
from napari_smse.widgets.slide_layers import world_to_level0

_MARK = "SMSE"


class CursorStatus:
    """Adds the scores under the cursor to what napari says of it, whatever layer is active.

    Parameters
    ----------
    viewer
        The viewer whose status bar it is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._maps: ScoreMaps | None = None
        self.slide_layer: Layer | None = None
        viewer.events.status.connect(self._on_status)

    def follow(self, maps: ScoreMaps | None, slide_layer: Layer | None) -> None:
        """Tell of these maps from now on; of none if there are none."""
        self._maps, self.slide_layer = maps, slide_layer

    def stop(self) -> None:
        """Leave the status bar alone again."""
        self._viewer.events.status.disconnect(self._on_status)

    def describe(self, world: tuple[float, ...]) -> str:
        """The scores at a world point (y, x), or nothing where no tile was scored."""
        if self._maps is None or self.slide_layer is None:
            return ""
        ((x, y),) = world_to_level0(self.slide_layer, np.array([world[-2:]]))
        # A fine-tuning shows other maps than those of the run.
        maps: ScoreMaps = self.slide_layer.metadata.get(SHOWN_KEY, self._maps)
        told = [
            f"{scale} " + ", ".join(f"P({name}) {value:.2f}" for name, value in by_class.items())
            for scale, by_class in maps.values_at(x, y).items()
        ]
        return f"{_MARK} tile at ({x:.0f}, {y:.0f}) px: " + " | ".join(told) if told else ""

    def _on_status(self) -> None:
        status = self._viewer.status
        # Setting the status below comes back here.
        if isinstance(status, str) and status.startswith(_MARK):
            return
        if text := self.describe(self._viewer.cursor.position):
            self._viewer.status = text
