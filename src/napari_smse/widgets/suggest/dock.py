"""The dock *SMSE: Annotate next*: what to label, which labels to doubt, and what slides do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import napari
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.progress import Progress
from napari_smse.widgets.controls.copy_as import CopyAsButton
from napari_smse.widgets.controls.layout import scroll_area
from napari_smse.widgets.dock import SlideDock
from napari_smse.widgets.layers.isolate_slide import IsolateSlide
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.scored_slides import (
    ResultModels,
    model_names,
    scored_slides,
    slides_gone,
)
from napari_smse.widgets.session import ScoredLayer, session_of
from napari_smse.widgets.slide_layers import layer_with
from napari_smse.widgets.suggest.batch_effect_panel import BatchEffectPanel
from napari_smse.widgets.suggest.label_efficiency_panel import LabelEfficiencyPanel
from napari_smse.widgets.suggest.label_issues_panel import LabelIssuesPanel
from napari_smse.widgets.suggest.labelling_controller import LabellingController
from napari_smse.widgets.suggest.tile_queue import TileQueue
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.widgets.worker import ComputeLock, Worker
from napari_smse.workflows.batch_effect import BatchEffectResult, measure_batch_effect
from napari_smse.workflows.label_efficiency import (
    LabelEfficiencyResult,
    measure_label_efficiency,
)
from napari_smse.workflows.label_issues import LabelIssueResult, find_suspected_labels
from napari_smse.workflows.replay.script import suggest_script
from napari_smse.workflows.scored_slide import NOT_SCORED, ScoredSlide, TileOnSlide
from napari_smse.workflows.settings.embeddings import SuggestSettings
from napari_smse.workflows.stain_robustness import StainRobustness, measure_stain_robustness
from napari_smse.workflows.suggest_tiles import Suggestions, find_next

_NOTICE: Final = "Research use only: not for diagnosis."
_TABS: Final = (
    ("Active learning", "Where to annotate next"),
    ("Suspected label errors", "Labels that neighbours doubt"),
    ("Batch effect", "Do slides differ more than classes?"),
)
_QUEUE: Final = "the tiles to annotate next"
_CURVE: Final = "the learning curve"
_DOUBTS: Final = "the suspected label errors"
_EFFECT: Final = "the batch effect"
_TWO_NEEDED: Final = (
    "Two scored slides are needed: open and score at least two, with one model and at the same "
    "scale."
)
_FOLLOWS_MS: Final = 1500
"""So long after the last label, what labels are worth is judged anew."""


class SuggestDock(SlideDock):
    """What to annotate next, which annotations to doubt, and whether slides differ too much.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.queue, self.label_issues, self.batch_effect = (
            TileQueue(),
            LabelIssuesPanel(),
            BatchEffectPanel(),
        )
        self.labelling = LabellingController(napari_viewer, self.queue)
        self.efficiency = LabelEfficiencyPanel()
        self._view = IsolateSlide(napari_viewer)
        self._session = session_of(napari_viewer)
        self._found_by = ResultModels()
        # Whether a reason why slides could not be measured stands where figures would.
        self._unmeasured = False
        self._turn = ComputeLock("Slides are being measured with their stain changed")
        self._make_layout()
        self.finding, self.doubting, self.measuring, self.estimating = (Worker() for _ in range(4))
        self.staining = Worker(turn=self._turn)
        self._judge_later = QTimer(self)
        self._judge_later.setSingleShot(True)
        self._judge_later.setInterval(_FOLLOWS_MS)
        pictures = (self.queue.pictures, self.label_issues.pictures)
        self._tasks = (
            self.finding, self.doubting, self.measuring, self.estimating, self.staining,
            *(one.task for one in pictures),
        )  # fmt: skip
        self.cancel_on_destroy(self._tasks)
        self._connect()
        self.show_slides()

    # -- making ----------------------------------------------------------------------

    def _make_layout(self) -> None:
        notice = QLabel(_NOTICE)
        notice.setStyleSheet("font-weight: bold; padding: 2px;")
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.tabs = QTabWidget()
        pages = (self.queue, self.label_issues, self.batch_effect)
        for (title, heading), page in zip(_TABS, pages, strict=True):
            head = QLabel(heading)
            head.setStyleSheet("font-weight: bold; font-size: 14px;")
            column = QWidget()
            layout = QVBoxLayout(column)
            layout.setContentsMargins(4, 8, 4, 4)
            layout.addWidget(head)
            layout.addWidget(page, stretch=1)
            if page is self.queue:
                layout.addWidget(self.efficiency)
                layout.addStretch()
            self.tabs.addTab(column, title)
        self.copy = CopyAsButton(
            lambda: suggest_script(
                scored_slides(self.viewer), SuggestSettings(self.queue.count.value)
            )
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll_area([notice, self.state, self.tabs, self.copy]))
        self.setMinimumWidth(430)

    def _connect(self) -> None:
        self.queue.find_wanted.connect(self.find_next)
        self.label_issues.find_wanted.connect(self.find_suspected_labels)
        self.batch_effect.measure_wanted.connect(self.measure)
        self.finding.returned.connect(self._show_queue)
        self.finding.errored.connect(self.queue.show_message)
        self.doubting.returned.connect(self._show_doubts)
        self.doubting.errored.connect(self.label_issues.show_message)
        self.measuring.returned.connect(self._show_measured)
        self.measuring.errored.connect(self._fail_measuring)
        self.batch_effect.stain_wanted.connect(self.measure_stain_robustness)
        self.staining.progressed.connect(self.batch_effect.show_stain_progress)
        self.staining.returned.connect(self._show_stained)
        self.staining.errored.connect(self._end_staining)
        self.efficiency.requested.connect(self.start_label_efficiency)
        self.queue.labels_changed.connect(self._judge_later.start)
        self._judge_later.timeout.connect(self._follow_labels)
        self.estimating.progressed.connect(self.efficiency.show_progress)
        self.estimating.returned.connect(self._show_efficiency)
        self.estimating.errored.connect(self._fail_estimating)
        self.label_issues.tile_chosen.connect(self._fly_to)
        self.label_issues.correction_made.connect(self._correct)
        self.labelling.problem.connect(show_error)
        self.tabs.currentChanged.connect(self._change_tab)
        self._session.run_changed.connect(self._take_run)
        self._session.classes_changed.connect(self.labelling.show_classes)
        events = self.viewer.layers.events
        events.inserted.connect(self.show_slides)
        events.removed.connect(self.show_slides)

    def show_slides(self, _event: object = None) -> None:
        """Say which slides there are."""
        found = self._session.scored_layers()
        self._describe(found)
        if len(found) < 2 and not self.measuring.is_running:
            self._stop_staining()
            self._found_by.forget(_EFFECT)
            self.batch_effect.show_message(_TWO_NEEDED)
        elif self.batch_effect.sentence.text() == _TWO_NEEDED:
            self.batch_effect.show_message("")

    def _take_run(self, _layer: object) -> None:
        """Look at the slides anew: what failed with other runs need not with these."""
        if not self.finding.is_running:
            self.queue.show_message("")
        if not self.doubting.is_running and not self.label_issues.tiles:
            self.label_issues.show_message("")
        if self._unmeasured and not self.measuring.is_running:
            self._unmeasured = False
            self.batch_effect.show_message("")
        self.show_slides()

    def _slides_for(self, result: str) -> list[ScoredSlide]:
        """Return the slides as they are scored now, and note by which models."""
        self._found_by.ask(result, self._session.scored_layers())
        return scored_slides(self.viewer)

    def _note(self, result: str, *, shown: bool) -> None:
        (self._found_by.show if shown else self._found_by.forget)(result)
        self._describe(self._session.scored_layers())

    def _describe(self, found: Sequence[ScoredLayer]) -> None:
        sentences = [_summary(found) if found else NOT_SCORED, *self._found_by.outdated(found)]
        self.state.setText(" ".join([*sentences, *slides_gone(self.viewer)]))

    # -- where to annotate next ------------------------------------------------------

    def find_next(self, count: int) -> None:
        """Look for tiles to label next."""
        if not self.finding.is_running:
            self.queue.show_message("Looking for tiles …")
            self.finding.start(partial(find_next, self._slides_for(_QUEUE), count))

    def _show_queue(self, found: Suggestions) -> None:
        self.labelling.begin_anew()
        self.queue.show_message("")
        self._change_tab()
        self.queue.show_queue(found.queue)
        self._note(_QUEUE, shown=True)

    # -- what labels are worth -------------------------------------------------------

    def start_label_efficiency(self) -> None:
        """Judge what is labelled; while that goes on, stop it."""
        if self.estimating.cancel():
            self.efficiency.stop()
        else:
            self._measure_efficiency()

    def _measure_efficiency(self) -> None:
        self.estimating.start(partial(measure_label_efficiency, self._slides_for(_CURVE)))

    def _show_efficiency(self, found: LabelEfficiencyResult) -> None:
        self.efficiency.show_efficiency(found)
        self._note(_CURVE, shown=True)

    def _fail_estimating(self, text: str) -> None:
        self.efficiency.fail(text)
        self._note(_CURVE, shown=False)

    def _follow_labels(self) -> None:
        if self.efficiency.is_followed:
            self._measure_efficiency()

    # -- labels that neighbours doubt ------------------------------------------------

    def find_suspected_labels(self) -> None:
        """Look for labels that neighbours doubt."""
        if not self.doubting.is_running:
            self.label_issues.show_message("Comparing neighbours …")
            self.doubting.start(partial(find_suspected_labels, self._slides_for(_DOUBTS)))

    def _show_doubts(self, found: LabelIssueResult) -> None:
        self.label_issues.show_doubts(found)
        self._note(_DOUBTS, shown=True)

    def _correct(self, correction: TileCorrection) -> None:
        layer = layer_with(self.viewer, correction.place.slide)
        if layer is None:
            show_error("The tile's slide is not in the viewer any more: open it again.")
        else:
            notes_of(layer).add_correction(correction)

    def _fly_to(self, tile: TileOnSlide) -> None:
        layer = layer_with(self.viewer, tile.slide.quick_hash)
        if layer is None:
            show_error(f"{tile.slide.name} is not in the viewer any more: open it again.")
            return
        self._view.show(layer, tile.slide, maps=False)
        fly_to(self.viewer, layer, tile.region)

    # -- slides and classes ----------------------------------------------------------

    def measure(self) -> None:
        """Measure whether slides differ more than classes."""
        if not self.measuring.is_running:
            self._stop_staining()
            self._show_no_effect("Measuring …")
            self.measuring.start(partial(measure_batch_effect, self._slides_for(_EFFECT)))

    def _show_measured(self, found: BatchEffectResult) -> None:
        self._unmeasured = False
        self.batch_effect.show_measured(found)
        self._note(_EFFECT, shown=True)

    def _fail_measuring(self, text: str) -> None:
        self._unmeasured = True
        self._show_no_effect(text)

    def _show_no_effect(self, text: str) -> None:
        self.batch_effect.show_message(text)
        self._note(_EFFECT, shown=False)

    def measure_stain_robustness(self) -> None:
        """Measure again with the stain of the tiles changed; while that goes on, stop it."""
        if self.staining.is_running:
            self._stop_staining()
            self.batch_effect.end_stain("Stopped.")
            return
        if reason := self._turn.take():
            self.batch_effect.end_stain(reason)
            return
        self.batch_effect.show_stain_progress(Progress(message="Starting …"))
        self.staining.start(partial(measure_stain_robustness, self._slides_for(_EFFECT)))

    def _show_stained(self, found: StainRobustness) -> None:
        self._turn.give_back()
        self.batch_effect.show_stained(found)
        self._note(_EFFECT, shown=True)

    def _end_staining(self, text: str) -> None:
        self._turn.give_back()
        self.batch_effect.end_stain(text)

    def _stop_staining(self) -> None:
        self.staining.cancel()
        self._turn.give_back()

    # -- the viewer ------------------------------------------------------------------

    def _change_tab(self) -> None:
        self._view.restore()
        self.labelling.set_on(self.isVisible() and self.tabs.currentIndex() == 0)

    def _disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._turn.give_back()
        self._judge_later.stop()
        self.labelling.release()
        self._view.restore()
        self._session.run_changed.disconnect(self._take_run, missing_ok=True)
        self._session.classes_changed.disconnect(self.labelling.show_classes, missing_ok=True)
        self.viewer.layers.events.inserted.disconnect(self.show_slides)
        self.viewer.layers.events.removed.disconnect(self.show_slides)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Go on with the queue when the dock comes to the front again."""
        super().showEvent(event)
        self._change_tab()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Give the keys back while another dock lies over this one; not when all is minimised."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous() and not self._left:
            self._change_tab()


def _summary(slides: Sequence[ScoredLayer]) -> str:
    number = "1 scored slide" if len(slides) == 1 else f"{len(slides)} scored slides"
    names = ", ".join(scored.slide.name for scored in slides)
    return f"{number}: {names}. Model {model_names(scored.run.card for scored in slides)}."
