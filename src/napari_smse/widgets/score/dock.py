"""The dock *SMSE: Score slide*: from a slide to its heat maps."""

from __future__ import annotations

import threading
from pathlib import Path

import napari
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard, read_card
from napari_smse.progress import Progress
from napari_smse.scoring import ScoringProgress, list_devices
from napari_smse.slides import Slide
from napari_smse.widgets.controls.layout import scroll_area
from napari_smse.widgets.controls.model_card_dialog import ModelCardDialog
from napari_smse.widgets.controls.model_picker import ModelSelection
from napari_smse.widgets.controls.run_panel import RunPanel
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.driver_workarounds import guard_against_triton
from napari_smse.widgets.event_loop import CallWhenIdle, LowLatencyMode
from napari_smse.widgets.index.status import IndexStatus
from napari_smse.widgets.layers.annotation_layer import follow_scale
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.score import messages
from napari_smse.widgets.score.form import ScoreForm
from napari_smse.widgets.score.live_results import LiveResults
from napari_smse.widgets.score.map_controls import MapControls
from napari_smse.widgets.score.result_saver import ResultButtons, ResultSaver
from napari_smse.widgets.score.run_planner import RunPlanner
from napari_smse.widgets.score.run_summary import RunSummary
from napari_smse.widgets.score.summary_panel import ResultTabs
from napari_smse.widgets.score.tile_table import TileRow
from napari_smse.widgets.score.viewport_watch import ViewportWatch
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import set_scale, slide_of
from napari_smse.widgets.worker import ComputeLock, Worker
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.scored_slide import Run

_FIRST_DRAWING_S = 5.0
"""How long a run waits at most until the first, empty map is drawn."""


class ScoreDock(SlideDock):
    """Choose a slide and scales, press Run, watch the heat maps fill in.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(hides_on_close=True)
        guard_against_triton()
        self.viewer = napari_viewer
        self.session = session_of(napari_viewer)
        self.slide: Slide | None = None
        self._progress: ScoringProgress | None = None
        self._drawn = threading.Event()
        # What is being scored, or was last; another slide may be in view.
        self._scored: tuple[Image, ScoreJob] | None = None
        self._run: Run | None = None
        self._running = False
        self._responsive = LowLatencyMode()
        self._turn = ComputeLock("A slide is being scored")
        self._watch = ViewportWatch(self.viewer, self)
        self._make_widgets()
        self._make_tasks()
        self._connect()
        self.models.choose_first(self.form.preferred.model)
        self._find_slides()

    @property
    def shown_run(self) -> Run | None:
        """The run in force of the slide in view."""
        layer = self.form.slide_layer
        return None if layer is None else self.session.run_of(layer)

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.form = ScoreForm(self.session)
        self.panel = RunPanel()
        self.index = IndexStatus()
        self.controls = MapControls(self.session)
        self.tabs = ResultTabs()
        self.table = self.tabs.table
        self.summary = RunSummary(self.viewer, self.tabs.summary, self)
        self.live = LiveResults(self.viewer, self.controls, self.table, self)
        self.results = ResultButtons(lambda: self.planner.script())
        self.save, self.export = self.results.save, self.results.export
        notice = QLabel(messages.NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        shown = [notice, self.form, self.panel, self.index, self.controls, self.tabs]
        outer.addWidget(scroll_area(shown))
        # Outside what scrolls, so that it is seen in a small window too.
        outer.addWidget(self.results)
        self.setMinimumWidth(400)

    def _make_tasks(self) -> None:
        self.scoring, self.asking = Worker(turn=self._turn), Worker()
        self.saver = ResultSaver(self.session, self)
        self.models = ModelSelection(self.form.models, lambda name: read_card(name), self)
        self.planner = RunPlanner(self.viewer, self.form, self.models, self)
        self.counter = self.planner.counter
        tasks = (self.scoring, self.saver.task, self.asking, self.live.ood.task, self.models.task)
        self._tasks = (*tasks, *self.planner.tasks, *self.summary.tasks)
        self.cancel_on_destroy((*self._tasks, *self.index.tasks))

    def _connect(self) -> None:
        form, panel = self.form, self.panel
        form.slide.chosen.connect(self._choose_slide)
        form.mpp_typed.connect(self._override_mpp)
        form.models.card_wanted.connect(self._show_card)
        self.models.changed.connect(self._show_model)
        form.tissue_wanted.connect(self._show_tissue)
        form.changed.connect(self.counter.count_soon)
        form.problem.connect(panel.show_problem)
        panel.run_pressed.connect(self.run)
        panel.cancel_pressed.connect(self.cancel)
        self.counter.described.connect(panel.count.setText)
        self.scoring.progressed.connect(self._show_progress)
        self.scoring.returned.connect(self._finish)
        self.scoring.returned.connect(self.planner.settle_runtime)
        self.scoring.errored.connect(self._fail)
        say = panel.state.setText
        self.models.described.connect(lambda t: say(messages.describe_choice(t, self.shown_run)))
        self.saver.described.connect(lambda t: say(t or messages.describe_run(self.shown_run)))
        self.planner.described.connect(say)
        for part in (self.models, self.saver, self.live.ood, self.planner):
            part.problem.connect(self._show_problem)
        self.asking.returned.connect(form.show_devices)
        self.table.tile_chosen.connect(self._fly_to)
        self.save.clicked.connect(lambda: self.saver.ask(self.form.slide_layer))
        self.export.clicked.connect(lambda: self.saver.ask_export(self.form.slide_layer))
        self.viewer.layers.events.inserted.connect(self._find_slides)
        self.viewer.layers.events.removed.connect(self._find_slides)
        self.session.run_changed.connect(self._take_run)
        self.session.model_wanted.connect(self.models.open)
        # Naming the devices imports torch, which the dock must not wait for.
        self.asking.start(list_devices)

    # -- slide and model -------------------------------------------------------------

    def _find_slides(self, _event: object = None) -> None:
        self.form.slide.show_slides(self.viewer)
        if self.form.slide_layer is None:
            self._choose_slide()
        if self._scored is not None and self._scored[0] not in self.viewer.layers:
            self.cancel(messages.SLIDE_CLOSED)

    def _choose_slide(self) -> None:
        layer = self.form.slide_layer
        self.slide = None
        self.panel.show_problem("")
        try:
            self.slide = None if layer is None else slide_of(layer)
        except SmseError as error:
            self._show_problem(str(error))
        if self.slide is not None:
            # Now rather than with the first map: its first drawing takes a moment.
            self.viewer.canvas.overlays.scale_bar.visible = True
        self.form.show_slide(self.slide)
        self.panel.set_ready(self.slide is not None)
        self._show_run()
        self.counter.count_soon()

    def _take_run(self, layer: Image) -> None:
        if layer is self.form.slide_layer:
            self._show_run()

    def _show_run(self) -> None:
        """Say what the maps and the table show, and what Save would write."""
        run, layer = self.shown_run, self.form.slide_layer
        # What is being written cannot be copied.
        written = self.session.is_scoring(layer)
        self.panel.show_warnings(() if run is None else run.warnings)
        self.panel.state.setText(messages.describe_run(run))
        self.results.allow(run is not None and run.store.finished and not written)

    def _override_mpp(self, mpp: float) -> None:
        layer = self.form.slide_layer
        if self.slide is None or layer is None or mpp <= 0:
            return
        try:
            self.slide = self.slide.with_mpp(mpp)
        except SmseError as error:
            self._show_problem(str(error))
            return
        set_scale(layer, self.slide)
        follow_scale(self.viewer, layer, self.slide)
        if stops := self.session.is_scoring(layer):
            self.cancel()
        self.live.forget(layer)  # which was at another physical scale
        self.panel.state.setText(messages.OTHER_SCALE if stops else "")
        self.panel.show_problem("")
        self.form.show_slide(self.slide)
        self.counter.count_soon()

    def _show_model(self, card: ModelCard, chosen: bool) -> None:
        self.panel.show_problem("")
        self.index.show_model(card)
        self.form.show_card(card)
        if chosen:
            self.form.tick_a_trained_scale()
        self.counter.count_soon()

    def _show_card(self) -> None:
        self.models.read_again()
        if self.models.card is not None:
            ModelCardDialog(self.models.card, self).exec()

    # -- tissue and tile count -------------------------------------------------------

    def _show_tissue(self) -> None:
        layer = self.form.slide_layer
        if self.slide is None or layer is None:
            self._show_problem(messages.NO_SLIDE)
            return
        try:
            self.planner.toggle_tissue(layer)
        except SmseError as error:
            self._show_problem(str(error))

    # -- running ---------------------------------------------------------------------

    def run(self) -> None:
        """Score what the form asks for; what an earlier run stored is not scored again."""
        if self.scoring.is_running:
            return
        self.panel.show_problem("")
        self.panel.show_warnings(())
        layer = self.form.slide_layer
        if self.slide is None or layer is None:
            self._show_problem(messages.NO_SLIDE)
            return
        self.models.read_again()
        self._drawn = drawn = threading.Event()
        try:
            # Nobody may be looking: a run then starts all the same.
            job = self.planner.job(layer, lambda _run: drawn.wait(_FIRST_DRAWING_S))
        except SmseError as error:
            self._show_problem(str(error))
            return
        if reason := self._turn.take():
            self._show_problem(reason)
            return
        # Until it has begun, the results shown can still be looked at and saved.
        self._scored, self._run, self._progress = (layer, job), None, None
        self._set_running(True)
        self._watch.begin(layer, job.viewport)
        self.index.begin_run()
        self.panel.show_stage("Starting …")
        self.scoring.start(job.run)

    def cancel(self, why: str = messages.CANCELLED) -> None:
        """Stop, and say why; what was scored stays, and the next run goes on from there."""
        if self.scoring.cancel():
            self._drawn.set()
            self.live.show_everything()
            self._set_running(False)
            self.index.show_stopped()
            self.panel.state.setText(self._of_which(why))

    def _show_progress(self, progress: Progress) -> None:
        if isinstance(progress.detail, Run):
            self._begin(progress.detail)
        elif isinstance(progress, ScoringProgress):
            self._progress = progress
            self.panel.show_progress(progress, self._of_which(""))
            self.live.take(progress.scores)
        else:
            self.panel.show_stage(progress.message)

    def _begin(self, run: Run) -> None:
        layer, job = self._scored
        self._run = run
        self.live.begin(run, layer, job.slide)
        self.session.set_run(layer, run)
        CallWhenIdle(self._drawn.set, self)

    def _of_which(self, text: str) -> str:
        """Put the name of the slide that is scored before a text, if another one is in view."""
        if self._scored is None or self._scored[0] is self.form.slide_layer:
            return text
        name = self._scored[1].slide.name
        return f"{name}: {text}" if text else name

    def _set_running(self, running: bool) -> None:
        layer = None if self._scored is None else self._scored[0]
        self.session.set_scoring(layer if running else None)
        self.panel.set_running(running)
        self._show_run()
        (self._responsive.begin if running else self._responsive.end)()
        if not running:
            self._watch.end()
            self._turn.give_back()
            if self._run is not None:  # the same, but more of it is there now
                self.session.run_changed.emit(layer)

    def _finish(self, _run: Run) -> None:
        self.live.show_everything()
        self._set_running(False)
        if self._run is not None and self._scored is not None:
            end = messages.describe_end(self._run, self._progress)
            self.panel.state.setText(self._of_which(end))
            self.index.add(self._scored[1].slide, self._run)

    def _fail(self, text: str) -> None:
        self.live.show_everything()
        self._set_running(False)
        self.index.show_stopped()
        self._show_problem(text)

    def _show_problem(self, text: str) -> None:
        self.panel.show_problem(text)
        show_error(text)

    # -- afterwards ------------------------------------------------------------------

    def _fly_to(self, tile: TileRow) -> None:
        if self.form.slide_layer is not None:
            fly_to(self.viewer, self.form.slide_layer, tile.region)

    def save_to(self, folder: Path) -> None:
        """Write what the slide in view shows into a folder of its name."""
        self.saver.save(self.form.slide_layer, folder)

    def _disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._responsive.end()
        self._watch.end()
        self._turn.give_back()
        for part in (self.live, self.controls, self.summary, self.index, self.planner):
            part.release()
        self.form.slide.release()
        self.session.set_scoring(None)
        self.session.run_changed.disconnect(self._take_run, missing_ok=True)
        self.session.model_wanted.disconnect(self.models.open, missing_ok=True)
        self.viewer.layers.events.inserted.disconnect(self._find_slides)
        self.viewer.layers.events.removed.disconnect(self._find_slides)
