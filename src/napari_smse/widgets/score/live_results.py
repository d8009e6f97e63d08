"""Maps, table and status bar that follow a run, and the slide in view."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_smse.scoring import ScaleScores, ScoreMaps, TileScores, fused_scales
from napari_smse.slides import Slide
from napari_smse.widgets.event_loop import EventLoopStall
from napari_smse.widgets.layers.contour_layer import ContourLayer
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.map_view import MapView
from napari_smse.widgets.ood_monitor import OodMonitor
from napari_smse.widgets.score.cursor_status import CursorStatus
from napari_smse.widgets.score.map_controls import MapControls
from napari_smse.widgets.score.ood_overlay import OodOverlay
from napari_smse.widgets.score.sharpness_overlay import SharpnessOverlay
from napari_smse.widgets.score.tile_table import TileTableView
from napari_smse.widgets.session import session_of
from napari_smse.workflows.scored_slide import Run

_REFRESH_S = 0.2
_TABLE_S = 1.0
_MOST_SHARE = 0.05
"""Of the time, that drawing maps may hold the viewer up: without a graphics card it takes long."""


class LiveResults(QObject):
    """Shows results as they come, but not more often than an eye can follow.

    What goes with the maps follows, too: legend, grey tissue, and what is out of distribution.

    Controls and table are those of the slide in view, which need not be the one being scored.

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
        table: TileTableView,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.cursor = CursorStatus(viewer)
        self.view = MapView(viewer)
        controls.pale.toggled.connect(self._set_pale)
        self.contours = ContourLayer(viewer, self)
        controls.contours_changed.connect(self._show_contours)
        self._session = session_of(viewer)
        self._viewer, self._controls, self._table = viewer, controls, table
        # The maps that a run fills, whatever slide is in view.
        self._filled: HeatMapLayers | None = None
        self._slide_layer: Layer | None = None
        self._held_up = EventLoopStall(self)
        self._waiting: list[TileScores] = []
        self._refreshed = self._tabled = 0.0
        self._adding = QTimer(self)
        self._adding.timeout.connect(self._add_next_layer)
        self.ood = OodMonitor(self._session, self)
        self.sharpness = SharpnessOverlay(viewer, controls.sharpness, self)
        self.overlay = OodOverlay(viewer, controls.out_of_distribution, controls.banner, self)
        self._session.slide_changed.connect(self._show_slide)
        self._session.map_shown.connect(self._show_contours)
        self._session.maps_changed.connect(self._show_other_maps)
        self._session.ood_changed.connect(self._take_ood)
        self._show_slide()

    @property
    def layers(self) -> HeatMapLayers | None:
        """The maps of the slide in view; None if it has none."""
        layer = self._session.slide_layer
        return None if layer is None else self._session.maps_of(layer)

    def begin(self, run: Run, slide_layer: Layer, slide: Slide) -> None:
        """Fill the maps of a new run."""
        fused = fused_scales([t.grid.spec.mpp for t in run.plan.scales], run.card)
        maps = ScoreMaps(run.plan, run.card.classes, fused)
        self._adding.stop()
        self._waiting.clear()
        self._refreshed = self._tabled = 0.0
        self._slide_layer = slide_layer
        self._filled = HeatMapLayers.of_run(self._viewer, slide_layer, slide, maps, run)

    def forget(self, slide_layer: Layer) -> None:
        """Take away what was scored on a slide, which may not be looked at or learnt from."""
        self._session.set_run(slide_layer, None)
        if (maps := self._session.maps_of(slide_layer)) is not None:
            maps.remove()

    def take(self, scores: Sequence[TileScores]) -> None:
        """Take in new results, and show them if it is time to."""
        self._waiting.extend(scores)
        now = time.monotonic()
        # A progress without results, as the first of a run, must not put off the first cell.
        apart = max(_REFRESH_S, self._held_up.seconds / _MOST_SHARE)
        if self._waiting and now - self._refreshed >= apart:
            self._refreshed = now
            self._held_up.watch()
            self._refresh_maps()
        if now - self._tabled >= _TABLE_S:
            self._tabled = now
            self._grow()

    def show_everything(self) -> None:
        """Bring all maps and the table up to date, and add the maps not looked at so far.

        They come at the end of a run because each holds up the viewer for a moment.
        """
        self._refresh_maps(hidden=True)
        self._show_contours()
        self._grow()
        self._adding.start()

    def release(self) -> None:
        """Let go of the viewer; the maps stay."""
        self._adding.stop()
        self.cursor.stop()
        self.view.release()
        self.contours.release()
        self._session.map_shown.disconnect(self._show_contours, missing_ok=True)
        self.ood.release()
        self.overlay.release()
        self.sharpness.release()
        self._session.slide_changed.disconnect(self._show_slide, missing_ok=True)
        self._session.maps_changed.disconnect(self._show_other_maps, missing_ok=True)
        self._session.ood_changed.disconnect(self._take_ood, missing_ok=True)

    @property
    def _is_filling(self) -> bool:
        """Whether what a run fills is of the slide in view."""
        return self._filled is not None and self._filled is self.layers

    def _grow(self) -> None:
        """Show the new tiles in the table, and let other docks know of them."""
        if self._is_filling:
            self._refresh_table()
        if self._slide_layer is not None:
            self._session.run_grew.emit(self._slide_layer)

    def _refresh_maps(self, *, hidden: bool = False) -> None:
        if self._filled is not None:
            self._filled.maps.add(self._waiting)
            self._waiting.clear()
            self._filled.mark_stale()
            self._filled.refresh(hidden=hidden)

    def _set_pale(self, _on: bool = True) -> None:
        # Under contours the stain is what one wants to see.
        self.view.pale = self._controls.pale.isChecked() and self._controls.is_filled

    def _show_contours(self, _slide_layer: object = None) -> None:
        """Draw around what is probable on the map that is seen, if that is asked for."""
        self._set_pale()
        layer, maps, at = self._session.slide_layer, self.layers, self._controls.contours
        if layer is None or maps is None:
            return
        if at is None or maps.shown is None:
            self.contours.hide(maps.slide)
        else:
            self.contours.show(layer, maps.slide, maps, maps.shown, at)

    def _show_slide(self) -> None:
        self._controls.follow(self.layers)
        self._refresh_table()

    def _show_other_maps(self, slide_layer: Layer) -> None:
        if slide_layer is self._session.slide_layer:
            self._show_slide()
            self._show_contours()

    def _refresh_table(self) -> None:
        if self.layers is None:
            self._table.tiles.clear()
        else:
            scales = self.layers.maps.scores()
            calls = [self._called(number, scores) for number, scores in enumerate(scales)]
            classes = self.layers.maps.classes if self.layers.maps.has_maps else ()
            self._table.show_scores(scales, classes, calls)

    def _called(self, number: int, scores: ScaleScores) -> NDArray[np.str_]:
        """Return what is called of the tiles of a scale; nothing where none is scored."""
        assert self.layers is not None
        assert self._session.slide_layer is not None
        unlike, in_range = np.full(len(scores.tiles), np.nan, dtype=np.float32), True
        ood = self._session.ood_of(self._session.slide_layer)
        # As a run begins, what was measured is still that of the one before.
        if ood is not None and number < len(ood.tiles.scales):
            scored, in_range = np.isfinite(scores.probability[:, 0]), ood.in_range(number)
            known = ood.of_scale(number)
            # While a run goes on, more tiles are scored than were measured.
            if np.count_nonzero(scored) == len(known):
                unlike[scored] = known
        rule = self.layers.rule
        # What is not scored has the number -1.
        return np.array([*rule.names, ""])[rule.call(scores.probability, unlike, in_range=in_range)]

    def _take_ood(self, slide_layer: Layer) -> None:
        if slide_layer is self._session.slide_layer:
            self._refresh_table()

    def _add_next_layer(self) -> None:
        """Add a map layer each time the viewer has nothing else to do."""
        if self._filled is not None and self._filled.is_current and self._filled.add_next():
            self._controls.dress()
        else:
            self._adding.stop()
