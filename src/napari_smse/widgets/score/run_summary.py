"""Keeps the summary in step with the slide in view, its run, and the map that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_smse.errors import SmseError
from napari_smse.results.slide_summary import HotSpot, SlideSummary
from napari_smse.scoring import MapName
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.score.messages import no_classes
from napari_smse.widgets.score.summary_panel import SummaryPanel
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.out_of_distribution import RunOod, summarise_run

_SETTLED_MS: Final = 60
"""Several things change at once, as when another slide comes into view."""

_NOTHING: Final = "Not scored yet: press Run."
_GOES_ON: Final = "The slide is being scored. The summary comes at the end."
_NOT_MEASURED: Final = "Out of distribution is not measured yet: such tissue counts as called here."
_NOT_KNOWN: Final = (
    "The model does not say what its training tiles look like: tissue unlike them is called, too."
)


@dataclass(frozen=True)
class _SummaryRequest:
    """What is to be summed up."""

    layer: Image
    maps: HeatMapLayers
    class_name: str
    ood: RunOod | None


class RunSummary(QObject):
    """Sums up what is called on the slide in view, for as long as somebody looks at it.

    Parameters
    ----------
    viewer
        Where the slides are.
    panel
        Where the summary is shown.
    """

    def __init__(
        self, viewer: ViewerModel, panel: SummaryPanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self.panel = viewer, session_of(viewer), panel
        self._asked: _SummaryRequest | None = None
        self.summary: SlideSummary | None = None
        # Without a parent, as a worker may still speak while its dock is being destroyed.
        self.task = Worker()
        self.task.returned.connect(self._take)
        self.task.errored.connect(panel.say)
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLED_MS)
        self._settling.timeout.connect(self.refresh)
        panel.shown.connect(self._refresh_soon)
        panel.spot_chosen.connect(self._fly)
        for signal in self._session.signals_of_what_is_shown:
            signal.connect(self._refresh_soon)

    @property
    def tasks(self) -> tuple[Worker, Worker]:
        """What works for it in the background."""
        return self.task, self.panel.pictures.task

    def release(self) -> None:
        """Listen no more; what is shown stays."""
        self._settling.stop()
        for task in self.tasks:
            task.cancel()
        for signal in self._session.signals_of_what_is_shown:
            signal.disconnect(self._refresh_soon, missing_ok=True)

    def refresh(self) -> None:
        """Sum up anew, if somebody looks and there is something to sum up."""
        self.task.cancel()
        self._asked = self.summary = None
        if not self.panel.isVisible():
            return
        layer = self._session.slide_layer
        run = None if layer is None else self._session.run_of(layer)
        maps = None if layer is None else self._session.maps_of(layer)
        if layer is None or run is None or maps is None:
            self.panel.say(_NOTHING)
            return
        if self._session.is_scoring(layer):
            self.panel.say(_GOES_ON, maps.by)
            return
        if not maps.maps.has_maps:
            self.panel.say(no_classes(run), maps.by)
            return
        ood = self._session.ood_of(layer)
        self._asked = _SummaryRequest(layer, maps, _seen(maps).class_name, ood)
        self.task.start(
            partial(summarise_run, run, maps.maps, maps.rule, self._asked.class_name, ood)
        )

    def _refresh_soon(self, _changed: object = None) -> None:
        self._settling.start()

    def _take(self, summary: SlideSummary) -> None:
        asked = self._asked
        if asked is None:
            return
        self.summary, maps = summary, asked.maps
        scale = summary.of_map(_seen(maps).scale)
        if scale is None:
            self.panel.say(f"No tile at {_seen(maps).scale} is scored.", maps.by)
            return
        try:
            slide = slide_of(asked.layer)
        except SmseError as error:  # its file is gone
            self.panel.say(str(error), maps.by)
            return
        band = maps.rule.band_of(asked.class_name)
        self.panel.show_summary(
            scale,
            asked.class_name,
            band,
            maps.call_colours,
            slide,
            by=maps.by,
            note=_note(asked.ood),
        )

    def _fly(self, spot: HotSpot) -> None:
        layer = self._session.slide_layer
        if layer is not None:
            fly_to(self._viewer, layer, spot.region)


def _seen(maps: HeatMapLayers) -> MapName:
    """Return the map that is looked at, or the one that is shown first."""
    return maps.shown or list(maps.maps)[-1]


def _note(ood: RunOod | None) -> str:
    if ood is None:
        return _NOT_MEASURED
    return "" if ood.scores.known else _NOT_KNOWN
