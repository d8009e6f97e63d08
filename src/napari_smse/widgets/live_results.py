"""Maps, table and status bar that follow a run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

from napari_smse.scoring import ScoreMaps, TileScores, fused_scales
from napari_smse.slides import Slide
from napari_smse.widgets.cursor_status import CursorStatus
from napari_smse.widgets.heat_layers import HeatLayers
from napari_smse.widgets.map_controls import MapControls
from napari_smse.widgets.responsive import HeldUp
from napari_smse.widgets.score_job import Started
from napari_smse.widgets.tile_table import TileTable

_REFRESH_S = 0.2
_TABLE_S = 1.0
_MOST_SHARE = 0.05
"""Of the time, that drawing maps may hold the viewer up: without a graphics card it takes long."""


class LiveResults(QObject):
    """Shows results as they come, but not more often than an eye can follow.

    Parameters
    ----------
    viewer
        Where the maps go.
    controls, table
        What looks at them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        controls: MapControls,
        table: TileTable,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.layers: HeatLayers | None = None
        self.cursor = CursorStatus(viewer)
        self._viewer, self._controls, self._table = viewer, controls, table
        self._held_up = HeldUp(self)
        self._waiting: list[TileScores] = []
        self._refreshed = self._tabled = 0.0
        self._adding = QTimer(self)
        self._adding.timeout.connect(self._add_next_layer)

    def begin(self, started: Started, slide_layer: Layer, slide: Slide) -> None:
        """Follow a new run."""
        fused = fused_scales([t.grid.spec.mpp for t in started.plan.scales], started.card)
        maps = ScoreMaps(started.plan, started.card.classes, fused)
        colours = started.card.class_colours
        self.layers = HeatLayers(self._viewer, slide_layer, slide, maps, colours)
        self._controls.follow(self.layers)
        self.cursor.follow(maps, slide_layer)
        self._waiting.clear()
        self._refreshed = self._tabled = 0.0
        self._adding.stop()

    def adopt(self, layers: HeatLayers, slide_layer: Layer) -> None:
        """Control other maps of the slide whose run is shown, such as those of a tuned model."""
        if self.layers is None or self.cursor.slide_layer is not slide_layer:
            return
        self._adding.stop()
        self.layers = layers
        self._waiting.clear()
        self._controls.follow(layers)
        self.cursor.follow(layers.maps, slide_layer)
        self._refresh_table()

    def take(self, scores: Sequence[TileScores]) -> None:
        """Take in new results, and show them if it is time to."""
        self._waiting.extend(scores)
        now = time.monotonic()
        if now - self._refreshed >= max(_REFRESH_S, self._held_up.seconds / _MOST_SHARE):
            self._refreshed = now
            self._held_up.watch()
            self._refresh_maps()
        if now - self._tabled >= _TABLE_S:
            self._tabled = now
            self._refresh_table()

    def show_everything(self) -> None:
        """Bring all maps and the table up to date, and add the maps not looked at so far.

        They come at the end of a run because each holds up the viewer for a moment.
        """
        self._refresh_maps(hidden=True)
        self._refresh_table()
        self._adding.start()

    def leave(self) -> None:
        """Let go of the viewer; the maps stay."""
        self._adding.stop()
        self.cursor.stop()

    def _refresh_maps(self, *, hidden: bool = False) -> None:
        if self.layers is not None:
            self.layers.maps.add(self._waiting)
            self._waiting.clear()
            self.layers.mark_stale()
            self.layers.refresh(hidden=hidden)

    def _refresh_table(self) -> None:
        if self.layers is not None:
            self._table.show_scores(self.layers.maps.scores(), self.layers.maps.classes)

    def _add_next_layer(self) -> None:
        """Add a map layer each time the viewer has nothing else to do."""
        if self.layers is not None and self.layers.add_next():
            self._controls.dress()
        else:
            self._adding.stop()
