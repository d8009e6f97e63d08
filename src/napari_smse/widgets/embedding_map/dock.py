"""The dock *SMSE: Embedding map*: all tiles as points, those that are alike near each other."""

from __future__ import annotations

from typing import Final

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_smse.metrics.estimate import counted
from napari_smse.palette import PROBLEM, WARNING, class_colours
from napari_smse.progress import Progress
from napari_smse.similarity.clustering import Clusters
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Region
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.controls.layout import notice_label, scroll_area
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.embedding_map.colouring import ColourBy, Colouring, ColourLegend, colouring
from napari_smse.widgets.embedding_map.form import EmbeddingMapForm
from napari_smse.widgets.embedding_map.messages import (
    describe_changes,
    describe_exemplar,
    describe_left_out,
    describe_tile,
    of_one_model,
)
from napari_smse.widgets.embedding_map.scatter_plot import ScatterPlot
from napari_smse.widgets.embedding_map.selection_controller import SelectionController
from napari_smse.widgets.embedding_map.selection_panel import SelectionPanel
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.session import ScoredLayer, session_of
from napari_smse.widgets.slide_layers import layer_with
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.embedding_map import (
    ClusterTilesJob,
    EmbeddingMap,
    EmbeddingMapJob,
    OodJob,
)
from napari_smse.workflows.out_of_distribution import OodScores
from napari_smse.workflows.replay.script import embedding_map_script

_NOTHING_SCORED: Final = "First score a slide (SMSE: Score slide); its tiles are shown here."
_POINT_AT: Final = "Point at a tile to read what it is."
_NOTICE = "Research use only: not for diagnosis."


class EmbeddingMapDock(SlideDock):
    """See what the model takes for alike, and choose tiles by it.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.space: EmbeddingMap | None = None
        self._wanted: list[ScoredLayer] = []
        self._unlike: OodScores | None = None
        self._clusters: dict[int, NDArray[np.intp]] = {}
        self._session = session_of(napari_viewer)
        self._make_widgets()
        self.selection = SelectionController(napari_viewer, self.plot, self.panel, self)
        self.mapping = Worker(doing="An embedding map is being made")
        self.grouping, self.comparing = Worker(), Worker()
        self._tasks = (self.mapping, self.grouping, self.selection.outlining, self.comparing)
        self.cancel_on_destroy(self._tasks)
        self._connect()
        self._refresh()

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.form = EmbeddingMapForm()
        self.plot = ScatterPlot()
        self.plot.exemplars.setVisible(self.form.exemplars.isChecked())
        self.legend = ColourLegend()
        self.pointed = QLabel(_POINT_AT)
        self.panel = SelectionPanel()
        self.state = QLabel()
        self.news, self.problem = notice_label(WARNING), notice_label(PROBLEM)
        for label in (self.pointed, self.state):
            label.setWordWrap(True)
        # So that nothing moves when longer words are said.
        self.pointed.setMinimumHeight(2 * self.pointed.fontMetrics().lineSpacing() + 4)
        notice = QLabel(_NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        above = [notice, self.form, self.news, self.problem, self.state]
        self.copy = CopyAsButton(
            lambda: embedding_map_script(of_one_model(self._wanted)[0], self.form.settings)
        )
        below = [self.legend, self.pointed, self.panel, self.copy]
        column = scroll_area([*above, self.plot, *below])
        inner = column.widget().layout()
        inner.setStretch(inner.indexOf(self.plot), 1)
        inner.setStretch(inner.indexOf(self.panel), 0)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(column)
        self.setMinimumWidth(430)

    def _connect(self) -> None:
        self.form.changed.connect(self.make_map)
        self.form.refresh_pressed.connect(self._refresh_or_cancel)
        self.form.coloured.connect(self._colour)
        self.form.exemplars.toggled.connect(self.plot.exemplars.setVisible)
        self.form.everything.clicked.connect(self.plot.show_all)
        self.plot.hovered.connect(self._show_pointed)
        self.plot.clicked.connect(self._fly)
        self.mapping.progressed.connect(lambda progress: self.state.setText(progress.message))
        self.mapping.returned.connect(self._show_new)
        self.grouping.returned.connect(self._take_clusters)
        self.comparing.progressed.connect(self._show_comparing)
        self.comparing.returned.connect(self._take_unlike)
        for task in self._tasks:
            task.errored.connect(self._fail)
        self._session.run_grew.connect(self._refresh)
        self._session.run_changed.connect(self._take_run)
        self._session.known_changed.connect(self._take_known)
        self.viewer.layers.events.inserted.connect(self._refresh)
        self.viewer.layers.events.removed.connect(self._refresh)

    # -- slides ----------------------------------------------------------------------

    def _refresh(self, _event: object = None) -> None:
        """See what is scored by now, and say what of it is not in the map."""
        runs = self._session.scored_layers()
        self.form.show_runs(runs)
        self._wanted = self.form.wanted(runs)
        self.form.refresh.setEnabled(bool(runs))
        if not runs:
            self._forget()
            return
        if self.mapping.is_running:
            return
        same, others = of_one_model(self._wanted)
        if self.space is None:
            # Of a run that is still going, only what is asked for.
            if same[0].run.store.finished and not self.problem.text():
                self.make_map()
            elif not self.problem.text():
                self.state.setText(
                    f"{same[0].slide.name} is being scored: Refresh shows what is there."
                )
            return
        news = describe_changes(self.space.slides, same, others) or describe_left_out(others)
        self.news.setText(news)
        self.news.setVisible(bool(news))

    def _take_run(self, layer: Image) -> None:
        """Follow another model that is in force on a slide of the map, if that is quickly done."""
        # What went wrong with other scores need not with these.
        self._show_problem("")
        self._refresh()
        run = self._session.run_of(layer)
        quick = self.form.settings.method == "pca"
        if self.space is None or run is None or not run.store.finished or not quick:
            return
        if any(one.run.base is run or one.run is run.base for one in self.space.slides):
            self.make_map()

    def _forget(self) -> None:
        """Show nothing, as no slide is scored."""
        self.mapping.cancel()
        self._set_working(False)
        if self.space is not None:
            self._show(None)
        self._show_problem("")
        self.news.hide()
        self.state.setText(_NOTHING_SCORED)

    # -- the map ---------------------------------------------------------------------

    def _refresh_or_cancel(self) -> None:
        if self.mapping.cancel():
            self._set_working(False)
            self.state.setText("Cancelled. Refresh makes the map anew.")
            self._show_problem("" if self.space is not None else "No map was made.")
        else:
            self.make_map()

    def make_map(self) -> None:
        """Lay out the tiles of the chosen slides."""
        self._wanted = self.form.wanted(self._session.scored_layers())
        if not self._wanted:
            return
        self._show_problem("")
        self.news.hide()
        same, _ = of_one_model(self._wanted)
        job = EmbeddingMapJob(
            tuple((scored.slide, scored.run) for scored in same), self.form.settings
        )
        self._set_working(True)
        self.state.setText("Reading …")
        self.mapping.start(job.run)

    def _show_new(self, space: EmbeddingMap) -> None:
        self._show(space)
        self._set_working(False)
        self._refresh()

    def _show(self, space: EmbeddingMap | None) -> None:
        for task in (self.grouping, self.comparing):
            task.cancel()
        self.space = space
        self._unlike, self._clusters = None, {}
        self.selection.take_unlikeness(None)
        points = np.empty((0, 2), np.float32) if space is None else space.points
        self.plot.show_points(points, ("", "") if space is None else space.axes)
        self._show_exemplars()
        self._colour()
        self.pointed.setText(_POINT_AT)
        self.selection.follow(space)

    def _show_exemplars(self) -> None:
        bank = None if self.space is None else self.space.bank
        self.form.exemplars.setEnabled(bank is not None)
        self.form.show_exemplar_count(0 if bank is None else len(bank))
        if self.space is None or bank is None:
            self.plot.show_exemplars(np.empty((0, 2), np.float32), np.empty((0, 3), np.uint8))
            return
        known = class_colours(bank.classes, self.space.card.class_colours)
        table = np.array([known[name] for name in bank.classes], dtype=np.uint8)
        self.plot.show_exemplars(self.space.exemplar_points, table[bank.labels])

    def _set_working(self, working: bool) -> None:
        self.form.set_working(working)
        if not working and self.space is not None:
            number = len(self.space)
            card = self.space.card
            self.state.setText(f"{counted(number, 'tiles')}, scored by {card.name} {card.version}.")

    def _fail(self, text: str) -> None:
        self._set_working(self.mapping.is_running)
        self.selection.allow_annotating()
        if self.space is None:
            self.state.setText("")
        self._show_problem(text)
        show_error(text)

    def _show_problem(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    # -- colours ---------------------------------------------------------------------

    def _colour(self) -> None:
        if self.space is None:
            self.legend.explain(Colouring(np.empty((0, 3), np.uint8)))
            return
        by, groups = self.form.by, self.form.groups.value()
        if by is ColourBy.CLUSTER and groups not in self._clusters:
            self.grouping.start(ClusterTilesJob(self.space.slides, groups).run)
        needs_ood = by in (ColourBy.CALL, ColourBy.UNLIKE)
        if needs_ood and self._unlike is None and not self.comparing.is_running:
            self.comparing.start(OodJob(self.space.slides, self._known()).run)
        shown = colouring(self.space, by, clusters=self._clusters.get(groups), unlike=self._unlike)
        self.plot.set_colours(shown.colours)
        self.legend.explain(shown)

    def _known(self) -> list[ExemplarBank | None]:
        """Return what counts as known on each slide of the map besides what the model knows."""
        assert self.space is not None
        layers = [layer_with(self.viewer, one.slide.quick_hash) for one in self.space.slides]
        return [None if layer is None else self._session.known_of(layer) for layer in layers]

    def _take_known(self, _layer: Image) -> None:
        self.comparing.cancel()
        self._unlike = None
        self._colour()

    def _take_clusters(self, result: tuple[int, Clusters]) -> None:
        # By what was asked for: fewer groups are found where fewer tiles differ.
        key, found = result
        self._clusters[key] = found.labels
        self._colour()

    def _show_comparing(self, progress: Progress) -> None:
        share = progress.done / max(1, progress.total)
        self.state.setText(f"Looking at the tiles: {share:.0%} …")

    def _take_unlike(self, scores: OodScores) -> None:
        self._unlike = scores
        self.selection.take_unlikeness(scores.values)
        self._set_working(self.mapping.is_running)
        self._colour()

    # -- single tiles ----------------------------------------------------------------

    def _show_pointed(self, row: int | None, exemplar: int | None) -> None:
        if self.space is None:
            return
        if exemplar is not None and self.space.bank is not None:
            self.pointed.setText(describe_exemplar(self.space.bank, exemplar))
        elif row is not None:
            self.pointed.setText(
                describe_tile(
                    self.space, row, None if self._unlike is None else self._unlike.values
                )
            )

    def _fly(self, row: int | None, exemplar: int | None) -> None:
        """Show a tile, or an exemplar, on its slide."""
        self._show_pointed(row, exemplar)
        if self.space is None:
            return
        region: Region | None
        if exemplar is not None and self.space.bank is not None:
            bank = self.space.bank
            region, quick_hash = bank.region(exemplar), bank.slides[exemplar]
        elif row is not None:
            one, number = self.space.place_of(row)
            region, quick_hash = one.tiles.region(number), one.slide.quick_hash
        else:
            return
        layer = layer_with(self.viewer, quick_hash) if quick_hash else None
        if layer is None or region is None:
            self.pointed.setText(f"{self.pointed.text()} · its slide is not open")
            return
        fly_to(self.viewer, layer, region)

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self._session.run_grew.disconnect(self._refresh, missing_ok=True)
        for task in self._tasks:
            task.cancel()
        self._session.run_changed.disconnect(self._take_run, missing_ok=True)
        self._session.known_changed.disconnect(self._take_known, missing_ok=True)
        self.viewer.layers.events.inserted.disconnect(self._refresh)
        self.viewer.layers.events.removed.disconnect(self._refresh)
