"""The queue: ticked slides scored one after the other, each shown when it is done."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal

from napari_smse.progress import Progress
from napari_smse.widgets.event_loop import LowLatencyMode
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.session import session_of
from napari_smse.widgets.shown_runs import ShownRuns
from napari_smse.widgets.slides.entries import SlideEntry
from napari_smse.widgets.worker import ComputeLock, Worker
from napari_smse.workflows.batch.score_queue import (
    ScoreSlidesJob,
    SlideOutcome,
    SlideStep,
    SlideToScore,
)

WAITING = "waiting to be scored"


class ScoreQueue(QObject):
    """Scores slides in the background with the model and settings of the session.

    Parameters
    ----------
    viewer
        Where those are shown that are open.
    runs
        What shows them.
    """

    changed = Signal()
    """Something else is to be said of a slide."""

    progressed = Signal(object)
    """The `Progress` of all slides together."""

    scored = Signal(object)
    """A slide was scored, and this `SlideEntry` says so."""

    ended = Signal(str)
    """All slides are done, as the text says."""

    problem = Signal(str)

    def __init__(self, viewer: ViewerModel, runs: ShownRuns, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._runs = session_of(viewer), runs
        self._viewer = viewer
        self._entries: list[SlideEntry] = []
        self._indexed = False
        self._turn = ComputeLock("A queue of slides is being scored")
        self._responsive = LowLatencyMode()
        self.task = Worker(turn=self._turn)
        self.task.progressed.connect(self._take)
        self.task.returned.connect(self._finish)
        self.task.errored.connect(self._fail)

    @property
    def is_running(self) -> bool:
        """Whether slides are being scored."""
        return self.task.is_running

    def holds(self, entry: SlideEntry) -> bool:
        """Whether a slide is being scored, or waits for it."""
        return self.is_running and any(one is entry for one in self._entries)

    def start(self, entries: Sequence[SlideEntry]) -> None:
        """Score these slides, in this order."""
        if self.is_running or not entries:
            return
        if reason := self._turn.take():
            self.problem.emit(reason)
            return
        self._entries = list(entries)
        for entry in entries:
            entry.queued, entry.failed = WAITING, False
        chosen = index_settings()
        self._indexed = chosen.folder is not None and chosen.takes_scored
        job = ScoreSlidesJob(
            [SlideToScore(entry.path, entry.slide) for entry in entries],
            self._session.score_choice,
            chosen.folder if self._indexed else None,
        )
        self._responsive.begin()
        self.task.start(job.run)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; what was scored stays, and is not scored again."""
        if self.task.cancel():
            self._release_computer()
            for entry in self._entries:
                if not entry.failed and entry.queued:
                    entry.queued = "cancelled; scoring it again goes on from here"
            self.changed.emit()

    def release(self) -> None:
        """Stop, and let others work."""
        self.task.cancel()
        self._release_computer()

    def _take(self, progress: Progress) -> None:
        detail = progress.detail
        if isinstance(detail, SlideOutcome):
            self._end(self._entries[detail.number], detail)
        elif isinstance(detail, SlideStep):
            entry = self._entries[detail.number]
            self._session.set_scoring(entry.layer)
            done = f"{detail.share:.0%}".replace("%", " %")
            text = detail.message if detail.message else f"scoring, {done}"
            if text != entry.queued:
                entry.queued = text
                self.changed.emit()
        self.progressed.emit(progress)

    def _end(self, entry: SlideEntry, outcome: SlideOutcome) -> None:
        self._session.set_scoring(None)
        entry.failed = bool(outcome.problem)
        entry.queued = outcome.problem
        if outcome.run is not None:
            if outcome.index_problem:
                entry.queued = f"not in the index: {outcome.index_problem}"
            layer, slide = entry.layer, entry.slide
            # One that was opened meanwhile has no maps: its stored run is offered.
            if layer is not None and slide is not None and outcome.maps is not None:
                self._runs.show(layer, slide, outcome.run, outcome.maps)
            if self._indexed and not outcome.index_problem:
                index_settings().grew.emit(str(outcome.run.store.facts["slide"]["quick_hash"]))
            self.scored.emit(entry)
        self.changed.emit()

    def _finish(self, outcomes: list[SlideOutcome]) -> None:
        self._release_computer()
        failed = sum(bool(one.problem) for one in outcomes)
        scored = len(outcomes) - failed
        text = f"{scored} slide{'' if scored == 1 else 's'} scored"
        self.ended.emit(f"{text}; {failed} could not be: see the list." if failed else f"{text}.")
        self.changed.emit()

    def _fail(self, reason: str) -> None:
        self._release_computer()
        for entry in self._entries:
            if entry.queued == WAITING:
                entry.queued = ""
        self.problem.emit(reason)
        self.changed.emit()

    def _release_computer(self) -> None:
        self._responsive.end()
        self._session.set_scoring(None)
        self._turn.give_back()
