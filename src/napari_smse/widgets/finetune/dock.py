"""The dock *SMSE: Fine-tune*: learn from what was drawn, see what it is worth, keep it or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import show_error, show_info
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.errors import SmseError
from napari_smse.progress import Eta
from napari_smse.scoring import list_devices
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.widgets.compute_lock import ComputeLock
from napari_smse.widgets.controls.layout import folded, scroll_area
from napari_smse.widgets.controls.run_panel import RunPanel
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.event_loop import LowLatencyMode
from napari_smse.widgets.finetune.form import FineTuneForm
from napari_smse.widgets.finetune.history_panel import HistoryPanel
from napari_smse.widgets.finetune.learning_curves import LearningCurves
from napari_smse.widgets.finetune.result_panel import ResultPanel
from napari_smse.widgets.finetune.stop_prompt import StopPrompt
from napari_smse.widgets.layers.slide_layers import layer_with
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.scored_slides import describe_slides, find_scored_slides, notes_in
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.widgets.triton_guard import guard_against_triton
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.fine_tune import (
    Colouring,
    FineTuneJob,
    FineTuneOutcome,
    FineTuneStarted,
    TrainingSlide,
)
from napari_smse.workflows.score_slide import Stage

if TYPE_CHECKING:
    from napari_smse.finetuning.fine_tuner import FineTuneProgress
    from napari_smse.scoring import ComputeDevice

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
        super().__init__()
        guard_against_triton()
        self.viewer = napari_viewer
        self._ready: FineTuneStarted | None = None
        self._told: FineTuneProgress | None = None
        self._recent: dict[Path, FineTuneOutcome] = {}
        self._responsive, self._pace = LowLatencyMode(), Eta()
        self._turn = ComputeLock("A model is being fine-tuned")
        self._make_widgets()
        self.learning, self.saving, self.asking = (Worker() for _ in range(3))
        pictures = (self.outcome.flipped.pictures, self.outcome.triplets.pictures)
        self._tasks = (self.learning, self.saving, self.asking, *(one.task for one in pictures))
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
        self.form = FineTuneForm()
        self.panel = RunPanel(pausable=True)
        self.panel.run.setText("Fine-tune")
        self.stop_bar = StopPrompt()
        self.curves = LearningCurves()
        self.curves.hide()
        self.outcome = ResultPanel(self.viewer)
        self.history = HistoryPanel()
        self._past = folded("Earlier fine-tunings", self.history)
        rest = QWidget()
        self._scroll = scroll_area(
            [
                notice,
                self.form,
                self.panel,
                self.stop_bar,
                self.curves,
                self.outcome,
                self._past,
                rest,
            ]
        )
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
        self.learning.told.connect(self._hear)
        self.learning.failed.connect(self._fail)
        self.learning.ended.connect(self._finish)
        self.saving.told.connect(self._tell_saved)
        self.saving.failed.connect(self._tell_problem)
        self.asking.told.connect(self.form.show_devices)
        self.form.known.toggled.connect(self.show_slides)
        self.outcome.keep_wanted.connect(self._ask_where_to_save)
        self.outcome.rolled_back.connect(self._tell_rolled_back)
        self.outcome.triplets.remark_made.connect(self._remark)
        self.outcome.triplets.forget_wanted.connect(self._forget_remarks)
        self.history.show_wanted.connect(self._show_again)
        self.history.use_wanted.connect(self._score_with)
        self.history.problem.connect(self._tell_problem)
        self.asking.start(_devices)

    def show_slides(self) -> None:
        """Say which slides there are to learn from."""
        if not self.learning.is_running:
            self.panel.count.setText(self._tell(self._slides()) or _NOTHING)
            self.outcome.triplets.show_remarks(
                [one for n in notes_in(self.viewer) for one in n.remarks]
            )

    def offer_bank(self, bank: ExemplarBank) -> None:
        """Offer known tiles to learn from besides what is drawn."""
        self.form.offer_bank(bank)
        self.show_slides()

    def _slides(self, *, strict: bool = False) -> list[TrainingSlide]:
        """Return the slides to learn from; with known tiles, those too whose maps will follow."""
        bank = self.form.bank
        bare_of = "" if bank is None else bank.model
        found = find_scored_slides(self.viewer, strict=strict, bare_of=bare_of)
        return [one for _, one in found]

    def _tell(self, slides: Sequence[TrainingSlide]) -> str:
        bank = self.form.bank
        return describe_slides(slides, 0 if bank is None else len(bank))

    # -- learning --------------------------------------------------------------------

    def run(self) -> None:
        """Learn from all slides that were scored and annotated."""
        if self.learning.is_running:
            return
        self.panel.tell_problem("")
        self.panel.tell_warnings(())
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
        self.panel.count.setText(self._tell(slides))
        form = self.form
        job = FineTuneJob(slides, form.wish, form.device_name, self.history.history, form.bank)
        self._ready = self._told = None
        self._pace.begin()
        self.curves.clear_curves()
        self._set_running(True)
        self.panel.show_stage("Starting …")
        self.learning.start(job.run)

    def cancel(self) -> None:
        """Stop; while it learns, ask what is to become of what was learnt so far."""
        if not self.learning.is_running:
            return
        told = self._told
        if self._ready is None or told is None or told.doing != "learning" or not told.done:
            self._restore()
            return
        self.learning.pause()
        self.panel.cancel.setEnabled(False)
        self.panel.pause.setEnabled(False)
        self.stop_bar.ask(f"Stopped after step {told.done} of {told.total}.")

    def _pause(self, paused: bool) -> None:
        if not self.learning.is_running:
            return
        if paused:
            self.learning.pause()
            self.panel.bar.setFormat("paused")
            return
        self._pace.begin()
        self.learning.go_on()
        self.panel.cancel.setEnabled(True)
        self.panel.pause.setEnabled(True)
        self.panel.pause.setChecked(False)

    def _keep_best(self) -> None:
        if self._ready is not None:
            self._ready.tuning.stop()
        self._pause(False)

    def _restore(self) -> None:
        if self.learning.cancel():
            self._set_running(False)
            self.panel.state.setText("Cancelled. The model and the maps are as they were.")

    def _hear(
        self, said: Stage | FineTuneStarted | FineTuneProgress | Colouring | FineTuneOutcome
    ) -> None:
        if isinstance(said, Stage):
            # Nothing can be kept of what is not judged yet, nor stopped half-way any more.
            self._told = None
            self.panel.show_stage(said.text)
        elif isinstance(said, FineTuneStarted):
            self._ready = said
            self.panel.tell_warnings(tuple(said.tuning.warnings))
        elif isinstance(said, FineTuneOutcome):
            self._show_result(said)
        elif isinstance(said, Colouring):
            left = self._pace.seconds_left(said.done, said.total)
            self.panel.show_share(
                said.done / max(1, said.total), f"{said.done:,} of {said.total:,} tiles", left
            )
        else:
            self._follow(said)

    def _follow(self, said: FineTuneProgress) -> None:
        self._told = said
        if said.check is not None:
            self.curves.add_look(said.check.step, said.check.accuracy, said.check.separation)
        if said.loss is None:
            self.panel.show_share(said.done / max(1, said.total), f"{said.doing} tiles")
            return
        self.curves.add_loss(said.done, said.loss)
        if not self.learning.is_paused:
            text = f"step {said.done:,} of {said.total:,}, loss {said.loss:.3f}"
            left = self._pace.seconds_left(said.done, said.total)
            self.panel.show_share(said.done / said.total, text, left)

    def _show_result(self, result: FineTuneOutcome) -> None:
        self.curves.draw()
        self.outcome.show_result(result)
        self._scroll.ensureWidgetVisible(self.panel, 0, 0)
        self.panel.tell_warnings(tuple(result.warnings))
        if result.kept is not None:
            self._recent[result.kept] = result
            while len(self._recent) > _MOST_RECENT:
                del self._recent[next(iter(self._recent))]
        self.history.show_entries(self._recent)

    def _set_running(self, running: bool) -> None:
        self.panel.set_running(running)
        self.stop_bar.hide()
        (self._responsive.begin if running else self._responsive.end)()
        if running:
            self.curves.show()
        else:
            self._turn.give_back()

    def _finish(self) -> None:
        self._set_running(False)
        if self.result is not None:
            tuning, steps = self.result.tuning, self.result.tuned.steps
            early = "" if steps >= tuning.recipe.steps else f" in {steps:,} steps"
            self.panel.state.setText(
                f"Learnt from {len(tuning.training):,} tiles{early}, {len(tuning.testing):,} held "
                "out. The maps show the tuned model: keep it, or roll back."
            )

    def _fail(self, text: str) -> None:
        self._set_running(False)
        self._tell_problem(text)

    def _tell_problem(self, text: str) -> None:
        self.panel.tell_problem(text)
        show_error(text)

    def _tell_rolled_back(self) -> None:
        self.panel.state.setText("Rolled back: the maps are the model's own again.")

    # -- remarks on tiles ------------------------------------------------------------

    def _remark(self, remark: TileCorrection) -> None:
        layer = layer_with(self.viewer, remark.place.slide)
        if layer is not None:
            notes_of(layer).add_remark(remark)
            self.show_slides()

    def _forget_remarks(self) -> None:
        for notes in notes_in(self.viewer):
            notes.forget_remarks()
        self.show_slides()

    # -- keeping ---------------------------------------------------------------------

    def _ask_where_to_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Keep as a model", "my_model.safetensors")
        if chosen:
            self.save_to(Path(chosen))

    def save_to(self, path: Path) -> None:
        """Write the tuned model: weights, card and exemplars."""
        result = self.result
        if result is None:
            return

        def work() -> Iterator[Path]:
            from napari_smse.finetuning.saving import save_fine_tuned

            yield save_fine_tuned(result.tuning, result.tuned, path, colours=result.colours)

        self.saving.start(work)

    def _tell_saved(self, path: Path) -> None:
        self.outcome.name_model(path)
        self.panel.state.setText(f"Kept as {path}. Open it as the model in SMSE: Score slide.")
        show_info(f"Model saved to {path}.")

    # -- earlier ones ----------------------------------------------------------------

    def _show_again(self, path: Path) -> None:
        if not self.learning.is_running and path in self._recent:
            self.outcome.roll_back()
            self.outcome.show_result(self._recent[path])
            self.panel.state.setText(f"The maps show {path.stem}.")

    def _score_with(self, path: Path) -> None:
        dock = self.window().findChild(ScoreDock)
        if dock is None:
            self._tell_problem(f"Open SMSE: Score slide, press Open … and choose {path}.")
        else:
            dock.models.open(str(path))
            self.panel.state.setText(f"{path.stem} is the model in SMSE: Score slide now.")

    # -- leaving ---------------------------------------------------------------------

    def _let_go_of_all(self) -> None:
        self.outcome.leave()
        for task in self._tasks:
            task.cancel()
        self._responsive.end()
        self._turn.give_back()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Look again what there is to learn from when the mouse comes."""
        self.show_slides()
        super().enterEvent(event)


def _devices() -> Iterator[list[ComputeDevice]]:
    yield list_devices()
