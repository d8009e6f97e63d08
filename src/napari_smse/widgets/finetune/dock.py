"""The dock *SMSE: Fine-tune*: learn from what was drawn, see what it is worth, keep it or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_smse.errors import SmseError
from napari_smse.progress import Eta, Progress
from napari_smse.scoring import list_devices
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.controls.layout import folded, scroll_area
from napari_smse.widgets.controls.run_panel import RunPanel
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.driver_workarounds import guard_against_triton
from napari_smse.widgets.event_loop import LowLatencyMode
from napari_smse.widgets.finetune.form import FineTuneForm
from napari_smse.widgets.finetune.history_panel import HistoryPanel
from napari_smse.widgets.finetune.result_actions import ResultActions
from napari_smse.widgets.finetune.result_panel import ResultPanel
from napari_smse.widgets.finetune.stop_prompt import StopPrompt
from napari_smse.widgets.finetune.training_curves import LearningCurves
from napari_smse.widgets.finetune.training_slides import describe_slides, training_slides
from napari_smse.widgets.session import session_of
from napari_smse.widgets.tile_notes import notes_in
from napari_smse.widgets.worker import ComputeLock, Worker
from napari_smse.workflows.fine_tune import FineTuneJob, FineTuneOutcome
from napari_smse.workflows.replay.script import fine_tune_script
from napari_smse.workflows.scored_slide import ScoredSlide

if TYPE_CHECKING:
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneProgress

_SOON_MS = 200
_NOTICE = "Research use only: not for diagnosis."
_MOST_RECENT = 8
_NOTHING = (
    "First score a slide (SMSE: Score slide) and draw regions of two classes on it "
    "(SMSE: Annotate)."
)


class FineTuneDock(SlideDock):
    """Fine-tune the model that scored the slides on the regions drawn on them.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(hides_on_close=True)
        guard_against_triton()
        self.viewer = napari_viewer
        self._tuner: FineTuner | None = None
        self._learning: FineTuneProgress | None = None
        self._recent: dict[Path, FineTuneOutcome] = {}
        self._responsive, self._pace = LowLatencyMode(), Eta()
        self._turn = ComputeLock("A model is being fine-tuned")
        self._session = session_of(napari_viewer)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self.show_slides)
        self._make_widgets()
        self.learning, self.asking = Worker(turn=self._turn), Worker()
        self.actions = ResultActions(self.viewer, self.outcome, self)
        pictures = (self.outcome.flipped.pictures, self.outcome.triplets.pictures)
        self._tasks = (
            self.learning,
            self.actions.task,
            self.asking,
            *(one.task for one in pictures),
        )
        self.cancel_on_destroy(self._tasks)
        self._connect()
        self.panel.set_ready(True)
        self.show_slides()

    @property
    def result(self) -> FineTuneOutcome | None:
        """What was learnt last, unless it was rolled back."""
        return self.outcome.result

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        notice = QLabel(_NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        form = self.form = FineTuneForm()
        self.panel = RunPanel(pausable=True)
        self.panel.run.setText("Fine-tune")
        self.copy = CopyAsButton(lambda: fine_tune_script(self._slides(strict=True), form.settings))
        self.stop_bar = StopPrompt()
        self.curves = LearningCurves()
        self.curves.hide()
        self.outcome = ResultPanel(self.viewer)
        self.history = HistoryPanel()
        self._past = folded("Earlier fine-tunings", self.history)
        rest = QWidget()
        column = [notice, form, self.panel, self.stop_bar, self.curves, self.outcome, self.copy]
        self._scroll = scroll_area([*column, self._past, rest])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._scroll)
        self.setMinimumWidth(430)

    def _connect(self) -> None:
        self.panel.run_pressed.connect(self.run)
        self.panel.cancel_pressed.connect(self.cancel)
        self.panel.pause_pressed.connect(self._pause)
        self.stop_bar.keep_wanted.connect(self._keep_best)
        self.stop_bar.restore_wanted.connect(self._restore)
        self.stop_bar.go_on_wanted.connect(lambda: self._pause(False))
        self.learning.progressed.connect(self._show_progress)
        self.learning.returned.connect(self._finish)
        self.learning.errored.connect(self._fail)
        self.actions.described.connect(self.panel.state.setText)
        self.actions.problem.connect(self._show_problem)
        self.actions.corrected.connect(self.show_slides)
        self.asking.returned.connect(self.form.show_devices)
        self.form.known.toggled.connect(self.show_slides)
        self.outcome.rolled_back.connect(self._show_rolled_back)
        self.history.show_wanted.connect(self._show_again)
        self.history.use_wanted.connect(self.actions.score_with)
        self.history.problem.connect(self._show_problem)
        self._session.exemplars_offered.connect(self._offer_bank)
        self._session.run_changed.connect(self._follow_slides)
        self._session.annotations_changed.connect(self._follow_slides)
        self.viewer.layers.events.inserted.connect(self._follow_slides)
        self.viewer.layers.events.removed.connect(self._follow_slides)
        self.asking.start(list_devices)

    def _follow_slides(self, _event: object = None) -> None:
        """Look soon what there is to learn from: drawing changes it several times at once."""
        if not self.learning.is_running:
            # What was wrong with what there was need not be so any more.
            self.panel.show_problem("")
        self._soon.start()

    def show_slides(self) -> None:
        """Say which slides there are to learn from."""
        if not self.learning.is_running:
            self.panel.count.setText(self._describe(self._slides()) or _NOTHING)
            self.outcome.triplets.show_corrections(
                [one for n in notes_in(self.viewer) for one in n.corrections]
            )

    def _offer_bank(self, bank: ExemplarBank) -> None:
        """Offer reference tiles to learn from besides what is drawn."""
        self.form.offer_bank(bank)
        self.show_slides()

    def _slides(self, *, strict: bool = False) -> list[ScoredSlide]:
        """Return the slides to learn from; with reference tiles, also those whose maps follow."""
        bank = self.form.bank
        bare_of = "" if bank is None else bank.model
        return training_slides(self.viewer, strict=strict, bare_of=bare_of)

    def _describe(self, slides: Sequence[ScoredSlide]) -> str:
        bank = self.form.bank
        return describe_slides(slides, 0 if bank is None else len(bank))

    # -- learning --------------------------------------------------------------------

    def run(self) -> None:
        """Learn from all slides that were scored and annotated."""
        if self.learning.is_running:
            return
        self.panel.show_problem("")
        self.panel.show_warnings(())
        try:
            slides = self._slides(strict=True)
        except SmseError as error:
            self._fail(str(error))
            return
        reason = self._turn.take() if slides else _NOTHING
        if reason:
            self._fail(reason)
            return
        # What was learnt before stays until it is replaced, so that a cancel leaves all as it was.
        self.panel.count.setText(self._describe(slides))
        form = self.form
        job = FineTuneJob(slides, form.settings, form.device_name, self.history.history, form.bank)
        self._tuner = self._learning = None
        self._pace.begin()
        self.curves.clear_curves()
        self._set_running(True)
        self.panel.show_stage("Starting …")
        self.learning.start(job.run)

    def cancel(self) -> None:
        """Stop; while it learns, ask what is to become of what was learnt so far."""
        if not self.learning.is_running:
            return
        progress = self._learning
        if (
            self._tuner is None
            or progress is None
            or progress.stage != "learning"
            or not progress.done
        ):
            self._restore()
            return
        self.learning.pause()
        self.panel.cancel.setEnabled(False)
        self.panel.pause.setEnabled(False)
        self.stop_bar.ask(f"Stopped after step {progress.done} of {progress.total}.")

    def _pause(self, paused: bool) -> None:
        if not self.learning.is_running:
            return
        if paused:
            self.learning.pause()
            self.panel.bar.setFormat("paused")
            return
        self._pace.begin()
        self.learning.resume()
        self.panel.cancel.setEnabled(True)
        self.panel.pause.setEnabled(True)
        self.panel.pause.setChecked(False)

    def _keep_best(self) -> None:
        if self._tuner is not None:
            self._tuner.stop()
        self._pause(False)

    def _restore(self) -> None:
        if self.learning.cancel():
            self._set_running(False)
            self.panel.state.setText("Cancelled. The model and the maps are as they were.")

    def _show_progress(self, progress: Progress) -> None:
        # Here, as it needs torch, which is there by now.
        from napari_smse.finetuning.fine_tuner import FineTuner
        from napari_smse.finetuning.result import FineTuneProgress

        if isinstance(progress.detail, FineTuner):
            self._tuner = progress.detail
            self.panel.show_warnings(tuple(self._tuner.warnings))
        elif isinstance(progress, FineTuneProgress):
            self._follow(progress)
        else:
            # Nothing can be saved of what is not measured yet, nor stopped half-way any more.
            self._learning = None
            self._show_share(progress)

    def _show_share(self, progress: Progress) -> None:
        done, total = progress.done, progress.total
        if not total:
            self.panel.show_stage(progress.message)
            return
        left = self._pace.seconds_left(done, total)
        self.panel.show_share(done / total, f"{done:,} of {total:,} tiles", left)

    def _follow(self, learning: FineTuneProgress) -> None:
        self._learning, done, total = learning, learning.done, learning.total
        if learning.check is not None:
            check = learning.check
            self.curves.add_check(check.step, check.accuracy, check.separation)
        if learning.loss is None:
            self.panel.show_share(done / max(1, total), learning.message)
            return
        self.curves.add_loss(done, learning.loss)
        if not self.learning.is_paused:
            text = f"step {done:,} of {total:,}, loss {learning.loss:.3f}"
            self.panel.show_share(done / total, text, self._pace.seconds_left(done, total))

    def _show_result(self, result: FineTuneOutcome) -> None:
        self.curves.draw()
        self.outcome.show_result(result)
        self._scroll.ensureWidgetVisible(self.panel, 0, 0)
        self.panel.show_warnings(tuple(result.warnings))
        if result.saved_path is not None:
            self._recent[result.saved_path] = result
            while len(self._recent) > _MOST_RECENT:
                del self._recent[next(iter(self._recent))]
        self.history.show_entries(self._recent)

    def _set_running(self, running: bool) -> None:
        self.panel.set_running(running)
        self.outcome.set_outdated(running)
        self.stop_bar.hide()
        (self._responsive.begin if running else self._responsive.end)()
        if running:
            self.curves.show()
        else:
            self._turn.give_back()
            self.show_slides()

    def _finish(self, outcome: FineTuneOutcome) -> None:
        self._show_result(outcome)
        self._set_running(False)
        if self.result is not None:
            self.panel.state.setText(self.outcome.describe())

    def _fail(self, text: str) -> None:
        self._set_running(False)
        self._show_problem(text)

    def _show_problem(self, text: str) -> None:
        self.panel.show_problem(text)
        show_error(text)

    def _show_rolled_back(self, slides: int) -> None:
        own = "the maps are the model's own again" if slides else "no map had shown the tuned model"
        self.panel.state.setText(f"Rolled back: {own}.")

    def save_to(self, path: Path) -> None:
        """Write the tuned model: weights, card and exemplars."""
        self.actions.save(path)

    # -- earlier ones ----------------------------------------------------------------

    def _show_again(self, path: Path) -> None:
        if not self.learning.is_running and path in self._recent:
            self.outcome.roll_back()
            self.outcome.show_result(self._recent[path])
            self.panel.state.setText(f"The maps show {path.stem}.")

    # -- leaving ---------------------------------------------------------------------

    def _disconnect(self) -> None:
        self.outcome.release()
        for task in self._tasks:
            task.cancel()
        self._responsive.end()
        self._turn.give_back()
        self._session.exemplars_offered.disconnect(self._offer_bank, missing_ok=True)
        self._session.run_changed.disconnect(self._follow_slides, missing_ok=True)
        self._session.annotations_changed.disconnect(self._follow_slides, missing_ok=True)
        self.viewer.layers.events.inserted.disconnect(self._follow_slides)
        self.viewer.layers.events.removed.disconnect(self._follow_slides)
        self._soon.stop()
