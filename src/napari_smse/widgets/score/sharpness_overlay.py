"""How sharp the tiles of the slide in view are, as a map in place of the others."""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QSignalBlocker
from qtpy.QtWidgets import QCheckBox

from napari_smse.errors import SmseError
from napari_smse.scoring import MapName
from napari_smse.scoring.score_maps import name_scales
from napari_smse.widgets.layers.overlays import hide_sharpness, show_sharpness
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.workflows.runs.stored_runs import sharpness_map
from napari_smse.workflows.scored_slide import Run


class SharpnessOverlay(QObject):
    """Lays the sharpness of the tiles over the slide in view, and hides its other maps meanwhile.

    Parameters
    ----------
    viewer
        Where the layer goes.
    switch
        Whether it is wanted.
    """

    def __init__(
        self, viewer: ViewerModel, switch: QCheckBox, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._switch = viewer, session_of(viewer), switch
        # By the layer of its slide, the map that gave way.
        self._put_away: weakref.WeakKeyDictionary[Image, MapName] = weakref.WeakKeyDictionary()
        switch.toggled.connect(self.refresh)
        self._session.slide_changed.connect(self.refresh)
        self._session.run_changed.connect(self.refresh)
        self._session.map_shown.connect(self._make_way)

    def release(self) -> None:
        """Listen no more; the layer stays."""
        for signal in (self._session.slide_changed, self._session.run_changed):
            signal.disconnect(self.refresh, missing_ok=True)
        self._session.map_shown.disconnect(self._make_way, missing_ok=True)

    def refresh(self, _changed: object = None) -> None:
        """Follow the switch, the slide in view and its run."""
        layer = self._session.slide_layer
        run = None if layer is None else self._session.run_of(layer)
        if layer is None:
            return
        if run is None or not self._switch.isChecked():
            self._hide(layer)
            return
        try:
            self._show(layer, run)
        except SmseError:  # its file or its scores are gone, which the dock says
            self._hide(layer)

    def _show(self, layer: Image, run: Run) -> None:
        maps = self._session.maps_of(layer)
        seen = None if maps is None else maps.shown
        names = name_scales([tiles.grid.spec.mpp for tiles in run.plan.scales])
        number = names.index(seen.scale) if seen is not None and seen.scale in names else 0
        with_values = sharpness_map(run, number)
        if maps is not None and seen is not None:
            self._put_away[layer] = seen
            self._session.set_shown(maps.layers[seen], False)
        show_sharpness(
            self._viewer, layer, slide_of(layer), with_values, names[number], run.plan.mask
        )

    def _hide(self, layer: Image) -> None:
        try:
            hide_sharpness(self._viewer, slide_of(layer))
        except SmseError:
            return
        put_away, maps = self._put_away.pop(layer, None), self._session.maps_of(layer)
        if put_away is not None and maps is not None and maps.shown is None:
            maps.show_only(put_away)

    def _make_way(self, layer: Image) -> None:
        """Another map is looked at: two lie over each other unreadably."""
        maps = self._session.maps_of(layer)
        gave_way = self._switch.isChecked() and layer is self._session.slide_layer
        if gave_way and maps is not None and maps.shown is not None:
            self._put_away.pop(layer, None)
            with QSignalBlocker(self._switch):
                self._switch.setChecked(False)
            self._hide(layer)
