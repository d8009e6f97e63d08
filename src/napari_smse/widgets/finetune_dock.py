"""The dock *SMSE: Fine-tune*: learn from what was drawn, see what it is worth, keep it or not."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.errors import SmseError
from napari_smse.scoring import ScoreMaps, fused_scales
from napari_smse.widgets.annotation_layer import drawn_on
from napari_smse.widgets.background import BackgroundTask
from napari_smse.widgets.finetune_job import FineTuneJob, ScoredSlide, Tuned
from napari_smse.widgets.heat_layers import HeatLayers
from napari_smse.widgets.responsive import Responsive
from napari_smse.widgets.run_panel import RunPanel
from napari_smse.widgets.score_job import RUN_KEY, Stage
from napari_smse.widgets.slide_layers import slide_layers, slide_of
from napari_smse.widgets.triton_guard import guard_against_triton

if TYPE_CHECKING:
    from napari_smse.learning.fine_tuning import FineTuningProgress

_NOTICE = "Research use only: not for diagnosis."
_NOTHING = (
    "First score a slide (SMSE: Score slide) and draw regions of two classes on it "
    "(SMSE: Annotate)."
)
_LOSSES = {
    "Triplet: alike nearer than unlike": "triplet",
    "Pair: forgets least": "pair",
}
_HEADS = ("Held out", "Before", "After", "Difference")
_WORDS = {
    "auc": "AUC",
    "accuracy": "Called right",
    "balanced_accuracy": "Called right, classes alike",
}


class FineTuneDock(QWidget):
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
        self.result: Tuned | None = None
        self._slides: list[tuple[Image, ScoredSlide]] = []
        self._left = False
        self._responsive = Responsive()
        self._make_widgets()
        self.learning, self.saving = BackgroundTask(), BackgroundTask()
        closing = (self.learning.closing, self.saving.closing)
        # See the score dock: collected together with the dock, the events would be half gone.
        self.destroyed.connect(weakref.finalize(self, _set_all, closing))
        self._connect()
        self._set_result(None)
        self.panel.set_ready(True)

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        notice = QLabel(_NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        self.loss = QComboBox()
        self.loss.addItems(list(_LOSSES))
        self.steps = QSpinBox()
        self.steps.setRange(10, 5000)
        self.steps.setValue(200)
        self.keep = QCheckBox("Keep what the model knew")
        self.keep.setChecked(True)
        form = QFormLayout()
        form.addRow("Loss", self.loss)
        form.addRow("Steps", self.steps)
        form.addRow(self.keep)
        self.panel = RunPanel()
        self.panel.run.setText("Fine-tune")
        self.panel.count.setText(_NOTHING)
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setHorizontalHeaderLabels(_HEADS)
        vertical, horizontal = self.table.verticalHeader(), self.table.horizontalHeader()
        assert vertical is not None
        assert horizontal is not None
        vertical.hide()
        horizontal.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.save = QPushButton("Keep as a model …")
        self.back = QPushButton("Roll back")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addWidget(self.back)
        layout = QVBoxLayout(self)
        layout.addWidget(notice)
        layout.addLayout(form)
        layout.addWidget(self.panel)
        layout.addWidget(self.table)
        layout.addWidget(self.note)
        layout.addLayout(buttons)
        layout.addStretch()
        self.table.setMaximumHeight(190)
        self.setMinimumWidth(400)

    def _connect(self) -> None:
        self.panel.run_pressed.connect(self.run)
        self.panel.cancel_pressed.connect(self.cancel)
        self.learning.told.connect(self._hear)
        self.learning.failed.connect(self._fail)
        self.learning.ended.connect(self._finish)
        self.saving.told.connect(self._tell_saved)
        self.saving.failed.connect(self._fail)
        self.save.clicked.connect(self._ask_where_to_save)
        self.back.clicked.connect(self.roll_back)

    # -- learning --------------------------------------------------------------------

    def run(self) -> None:
        """Learn from all slides that were scored and annotated."""
        self.panel.tell_problem("")
        self.panel.tell_warnings(())
        try:
            slides = self._find_slides()
        except SmseError as error:
            self._fail(str(error))
            return
        if not slides:
            self._fail(_NOTHING)
            return
        if self.result is not None:
            self.roll_back()
        self._slides = slides
        self.panel.count.setText(_summary(slides))
        job = FineTuneJob(
            [scored for _, scored in slides],
            _LOSSES[self.loss.currentText()],  # type: ignore[arg-type]
            self.steps.value(),
            1.0 if self.keep.isChecked() else 0.0,
        )
        self._set_running(True)
        self.panel.show_stage("Starting …")
        self.learning.start(job.run)

    def cancel(self) -> None:
        """Stop; the model and the maps stay as they were."""
        if self.learning.cancel():
            self._set_running(False)
            self.panel.state.setText("Cancelled. The model and the maps are as they were.")

    def roll_back(self) -> None:
        """Show the maps of the model that scored the slides again."""
        if self.result is None:
            return
        for layer, one in self._slides:
            run = one.started
            fused = fused_scales([t.grid.spec.mpp for t in run.plan.scales], run.card)
            maps = ScoreMaps(run.plan, run.card.classes, fused)
            maps.add_stored(run.store)
            self._show(layer, one, maps)
        self._set_result(None)
        self.panel.state.setText("Rolled back: the maps are the model's own again.")

    def _find_slides(self) -> list[tuple[Image, ScoredSlide]]:
        found = []
        for layer in slide_layers(self.viewer):
            run = layer.metadata.get(RUN_KEY)
            if run is None:
                continue
            slide = slide_of(layer)
            regions = drawn_on(self.viewer, layer, slide).regions()
            if regions:
                found.append((layer, ScoredSlide(slide, run, regions)))
        return found

    def _hear(self, said: Stage | FineTuningProgress | Tuned) -> None:
        if isinstance(said, Stage):
            self.panel.show_stage(said.text)
        elif isinstance(said, Tuned):
            self._show_result(said)
        elif said.loss is not None:
            self.panel.show_share(said.done / said.total, f"learning, loss {said.loss:.3f}")
        else:
            self.panel.show_share(said.done / said.total, f"{said.doing} tiles")

    def _show_result(self, result: Tuned) -> None:
        for layer, one in self._slides:
            self._show(layer, one, result.maps[one.slide.quick_hash])
        self._set_result(result)
        warnings = list(result.tuning.warnings)
        if result.conflicts:
            warnings.append(
                f"{result.conflicts} tiles lie in regions of two classes and were not learnt from."
            )
        self.panel.tell_warnings(tuple(warnings))

    def _show(self, layer: Image, one: ScoredSlide, maps: ScoreMaps) -> None:
        if layer not in self.viewer.layers:
            return
        shown = HeatLayers(self.viewer, layer, one.slide, maps)
        while shown.add_next():
            pass
        shown.mark_stale()
        shown.refresh(hidden=True)

    def _set_running(self, running: bool) -> None:
        self.panel.set_running(running)
        (self._responsive.begin if running else self._responsive.end)()

    def _finish(self) -> None:
        self._set_running(False)
        if self.result is not None:
            tuning = self.result.tuning
            self.panel.state.setText(
                f"Learnt from {len(tuning.training):,} tiles, {len(tuning.testing):,} held out. "
                "The maps show the tuned model: keep it, or roll back."
            )

    def _fail(self, text: str) -> None:
        self._set_running(False)
        self.panel.tell_problem(text)
        show_error(text)

    # -- what it is worth ------------------------------------------------------------

    def _set_result(self, result: Tuned | None) -> None:
        self.result = result
        self.save.setEnabled(result is not None)
        self.back.setEnabled(result is not None)
        self.table.setVisible(result is not None)
        self.note.setVisible(result is not None)
        if result is None:
            return
        rows = list(_rows(result))
        self.table.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        known = result.tuned.old_right
        self.note.setText(
            ""
            if known is None
            else f"Of what the model knew before, {known[0]:.0%} was called right, now "
            f"{known[1]:.0%}."
        )

    def _ask_where_to_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Keep as a model", "my_model.safetensors")
        if chosen:
            self.save_to(Path(chosen))

    def save_to(self, path: Path) -> None:
        """Write the tuned model: weights, card and exemplars."""
        result = self.result
        if result is None:
            return

        def work() -> object:
            from napari_smse.learning.tuned_model import save_tuned

            yield save_tuned(result.tuning, result.tuned, path)

        self.saving.start(work)  # type: ignore[arg-type]

    def _tell_saved(self, path: Path) -> None:
        self.panel.state.setText(f"Kept as {path}. Open it as the model in SMSE: Score slide.")
        show_info(f"Model saved to {path}.")

    # -- leaving ---------------------------------------------------------------------

    def leave(self) -> None:
        """Stop all work; the maps stay."""
        if self._left:
            return
        self._left = True
        self.learning.cancel()
        self.saving.cancel()
        self._responsive.end()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Leave when the window closes."""
        self.leave()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Leave when napari takes the dock out of its window, which it does without closing it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.leave()
        super().changeEvent(event)


def _rows(result: Tuned) -> list[tuple[str, str, str, str]]:
    from napari_smse.learning.report_tables import shown
    from napari_smse.learning.tuned_model import differences, estimates

    tuning, tuned = result.tuning, result.tuned
    before, after = (estimates(tuning, one.held_out) for one in (tuned.before, tuned.after))
    change = differences(tuning, tuned)
    rows = [
        (
            words,
            shown(before[name], form=".2f"),
            shown(after[name], form=".2f"),
            shown(change[name], form="+.2f"),
        )
        for name, words in _WORDS.items()
    ]
    for k, now in tuned.after.recall.items():
        then = tuned.before.recall[k]
        words = "Nearest is alike" if k == 1 else f"One of {k} nearest is alike"
        rows.append((words, f"{then:.2f}", f"{now:.2f}", f"{now - then:+.2f}"))
    return rows


def _summary(slides: Sequence[tuple[Image, ScoredSlide]]) -> str:
    mm2: dict[str, float] = {}
    for _, one in slides:
        for name, area in one.regions.items():
            mm2[name] = mm2.get(name, 0.0) + area.area * (one.slide.mpp / 1000) ** 2
    drawn = ", ".join(f"{name} {area:.2f} mm²" for name, area in mm2.items())
    return f"{len(slides)} slide{'s' if len(slides) > 1 else ''} with regions: {drawn}"


def _set_all(events: Sequence[threading.Event]) -> None:
    for event in events:
        event.set()
