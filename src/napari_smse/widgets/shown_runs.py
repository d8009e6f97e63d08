"""Puts runs in force on open slides, with their maps: by the queue, or from the cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_smse.metrics.estimate import counted
from napari_smse.models.model_files import read_card
from napari_smse.scoring import ScoreMaps, ScoreStore
from napari_smse.slides import Slide
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.session import session_of
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.runs.feature_run import is_of_features, open_feature_run
from napari_smse.workflows.runs.stored_runs import StoredRun, maps_of_run, run_of_store
from napari_smse.workflows.scored_slide import Run


@dataclass(frozen=True)
class _Opened:
    layer: Image
    slide: Slide
    run: Run
    maps: ScoreMaps

    @property
    def summary(self) -> str:
        name, card = self.slide.name, self.run.card
        if not is_of_features(self.run):
            return f"The scores of {name} are shown."
        return (
            f"{counted(self.run.plan.tile_count, 'tiles')} of {name} with {card.embedding_dim:,} "
            f"features by {card.name}: use Find similar, Embedding map, Annotate next or Fine-tune."
        )


class ShownRuns(QObject):
    """Shows what was scored, here or in an earlier session, on slides that are open.

    Parameters
    ----------
    viewer
        Where the slides are.
    """

    problem = Signal(str)
    described = Signal(str)
    completed = Signal()
    """All maps are there."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session_of(viewer)
        self._incomplete: list[HeatMapLayers] = []
        self._adding = QTimer(self)
        self._adding.timeout.connect(self._add_next_layer)
        # Without a parent: the worker may still speak while the dock is being destroyed.
        self.task = Worker()
        self.task.returned.connect(self._take)
        self.task.errored.connect(self.problem)

    @property
    def is_adding(self) -> bool:
        """Whether maps are still to come."""
        return self._adding.isActive()

    def open(self, layer: Image, slide: Slide, stored: StoredRun, model: str) -> None:
        """Open a run of the cache in the background, and show it.

        Parameters
        ----------
        layer, slide
            The slide that it is of.
        stored, model
            The run, and what its model is loaded by.
        """
        self.described.emit(f"Opening the scores of {slide.name} …")
        self.task.start(partial(_opened, layer, slide, stored, model))

    def open_features(self, layer: Image, slide: Slide, path: Path) -> None:
        """Read features of a slide's tiles in the background, and put them in force as its run.

        Parameters
        ----------
        layer, slide
            The slide that they are of.
        path
            A file as `napari_smse.read_tile_features` reads it.
        """
        self.described.emit(f"Reading the features in {path.name} …")
        self.task.start(partial(_opened_features, layer, slide, path))

    def show(self, layer: Image, slide: Slide, run: Run, maps: ScoreMaps) -> HeatMapLayers:
        """Put a run in force on a slide, in view or not, and return its maps."""
        shown = HeatMapLayers.of_run(self._viewer, layer, slide, maps, run)
        self._session.set_run(layer, run)
        shown.refresh(hidden=True)
        self._incomplete.append(shown)
        self._adding.start()
        return shown

    def release(self) -> None:
        """Add no more layers."""
        self.task.cancel()
        self._adding.stop()

    def _take(self, opened: _Opened) -> None:
        if self._session.is_scoring(opened.layer):  # which began while this was being opened
            self.problem.emit(
                f"{opened.slide.name} is being scored by now: nothing else is shown on it."
            )
        elif opened.layer in self._viewer.layers:
            self.show(opened.layer, opened.slide, opened.run, opened.maps)
            self.described.emit(opened.summary)

    def _add_next_layer(self) -> None:
        """Add a map layer that is missing each time the viewer has nothing else to do."""
        while self._incomplete:
            shown = self._incomplete[0]
            if shown.is_current and shown.add_next():
                shown.refresh(hidden=True)
                return
            self._incomplete.pop(0)
        self._adding.stop()
        self.completed.emit()


def _opened(layer: Image, slide: Slide, stored: StoredRun, model: str) -> _Opened:
    run = run_of_store(slide, ScoreStore.open(stored.path), read_card(model), model)
    return _Opened(layer, slide, run, maps_of_run(run))


def _opened_features(layer: Image, slide: Slide, path: Path) -> _Opened:
    run = open_feature_run(path, slide)
    return _Opened(layer, slide, run, maps_of_run(run))
