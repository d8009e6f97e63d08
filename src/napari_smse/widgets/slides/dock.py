"""The dock *SMSE: Slides*: which slides there are, which is in view, and a queue to score them."""

from __future__ import annotations

from functools import partial
from typing import Final

import napari
import numpy as np
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_smse.errors import SmseError
from napari_smse.models import read_card
from napari_smse.progress import Progress
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.run_panel import RunPanel
from napari_smse.widgets.dock import SCORE, SlideDock, open_dock
from napari_smse.widgets.driver_workarounds import guard_against_triton
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.layers.annotation_layer import count_drawn
from napari_smse.widgets.saved_session.buttons import SessionButtons
from napari_smse.widgets.session import session_of
from napari_smse.widgets.shown_runs import ShownRuns
from napari_smse.widgets.slides.associated_images import AssociatedImages
from napari_smse.widgets.slides.cohort_saver import CohortSaver
from napari_smse.widgets.slides.entries import SlideEntries, SlideEntry
from napari_smse.widgets.slides.messages import describe_copies, describe_state
from napari_smse.widgets.slides.score_queue import ScoreQueue
from napari_smse.widgets.slides.slide_files import SlideFiles
from napari_smse.widgets.slides.slide_table import SlideRow, SlideTable
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.runs.stored_runs import StoredRun
from napari_smse.workflows.slide_list import indexed_slides, label_and_macro

_EMPTY: Final = "Open slides, or add a folder of them."
_GUESSED: Final = "Case IDs in <i>italics</i> are guesses: double-click to state the patient."
_PICTURES = dict[str, NDArray[np.uint8]]


class SlidesDock(SlideDock):
    """Choose the slide in view, say of which case each is, and score many of them.

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
        self._chosen_index = index_settings()
        self._indexed: frozenset[str] = frozenset()
        self.entries = SlideEntries(napari_viewer, self)
        self.runs = ShownRuns(napari_viewer, self)
        self.queue = ScoreQueue(napari_viewer, self.runs, self)
        # Without parents: workers may still speak while the dock is being destroyed.
        self.reading, self.indexing = Worker(), Worker()
        self.files = SlideFiles(napari_viewer, self.entries, self)
        self.cohort = CohortSaver(napari_viewer, self.entries, self)
        self._tasks = (self.reading, self.indexing, *self.files.tasks, self.cohort.task)
        self.cancel_on_destroy((*self._tasks, self.entries.task, self.runs.task, self.queue.task))
        self._make_widgets()
        self._connect()
        self._show_choice()
        self._look_into_index()
        self._show()

    # -- making ----------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.table, self.sessions = SlideTable(), SessionButtons(self.viewer)
        self.open = push_button("Open slides …", "Open slide files in the viewer.")
        self.add = push_button(
            "Add folder …",
            "List all slides in a folder and below it, without opening them: to be scored, or "
            "opened by a double-click.",
        )
        self.close_slide = push_button(
            "Close",
            "Close the chosen slide with all that lies on it. One that is listed as a file stays "
            "listed; closed again, it is taken off the list.",
        )
        self.label = push_button(
            "Label and macro …", "Show the label and the macro image of the chosen slide."
        )
        self.stored = push_button("Show stored scores", "Show what an earlier run scored.")
        self.all = push_button("Tick all", "Tick all slides, to be scored.")
        self.none = push_button("Tick none", "Tick no slide.")
        self.settings = push_button(
            "Change …", "Model, scales and settings are those of SMSE: Score slide: open it."
        )
        self.copies, self.choice, self.message = QLabel(), QLabel(), QLabel()
        self.guessed = QLabel(_GUESSED)
        self.copies.setStyleSheet("color: #ff9d5c")
        self.pictures: AssociatedImages | None = None
        self.panel = RunPanel()
        self.panel.run.setText("Score all ticked")
        self.panel.run.setToolTip(
            "Score the ticked slides one after the other, with the model named above. What was "
            "scored before is not scored again."
        )
        layout = QVBoxLayout(self)
        layout.addLayout(hbox(self.open, self.add, self.files.address, self.close_slide))
        layout.addWidget(self.sessions)
        layout.addWidget(self.table, stretch=1)
        for widget in (self.guessed, self.copies, self.message):
            layout.addWidget(widget)
        layout.addLayout(hbox(self.label, self.stored, self.cohort.button))
        layout.addLayout(hbox(self.all, self.none))
        line = hbox(self.choice, self.settings)
        line.setStretch(0, 1)
        layout.addLayout(line)
        layout.addWidget(self.panel)
        for label in (self.guessed, self.copies, self.choice, self.message):
            label.setWordWrap(True)
        self.setMinimumWidth(420)

    def _connect(self) -> None:
        self.table.chosen.connect(self._choose)
        self.table.opened.connect(self._open_listed)
        self.table.case_typed.connect(self._state_case)
        self.table.ticks_changed.connect(self._show_ready)
        self.table.edited.connect(self._show)
        self.open.clicked.connect(self.files.ask_for_slides)
        self.add.clicked.connect(self.files.ask_for_folder)
        self.close_slide.clicked.connect(self.close_chosen)
        self.label.clicked.connect(self.show_label)
        self.stored.clicked.connect(self.show_stored)
        self.all.clicked.connect(lambda: self.table.tick(True))
        self.none.clicked.connect(lambda: self.table.tick(False))
        self.settings.clicked.connect(lambda: open_dock(self.viewer, SCORE))
        self.panel.run_pressed.connect(self.score_ticked)
        self.panel.cancel_pressed.connect(self.cancel)
        self.entries.changed.connect(self._show)
        self.sessions.described.connect(self.message.setText)
        for part in (self.files, self.runs, self.cohort):
            part.problem.connect(self._show_problem)
            part.described.connect(self.message.setText)
        self.indexing.returned.connect(self._take_indexed)
        self.reading.returned.connect(self._show_pictures)
        self.reading.errored.connect(self._show_problem)
        self.queue.changed.connect(self._show)
        self.queue.progressed.connect(self._show_progress)
        self.queue.scored.connect(self.entries.look_again)
        self.queue.problem.connect(self._fail)
        self.queue.ended.connect(self._finish)
        self._chosen_index.changed.connect(self._look_into_index)
        self._chosen_index.grew.connect(self._look_into_index)
        session = self.session
        for changed in (session.slide_changed, session.annotations_changed, session.run_changed):
            changed.connect(self._show)
        session.score_choice_changed.connect(self._show_choice)

    # -- what is shown -----------------------------------------------------------------

    @property
    def chosen(self) -> SlideEntry | None:
        """The slide of the chosen row."""
        return self.entries.get(self.table.current_key)

    def _show(self, *_: object) -> None:
        self.table.show_rows([self._row(one) for one in self.entries])
        for one in self.entries:
            if one.facts is not None:
                self.table.show_picture(one.key, one.facts.thumbnail)
        in_view = self.entries.of_layer(self.session.slide_layer)
        if in_view is not None and (self.chosen is None or self.chosen.layer is not None):
            self.table.show_chosen(in_view.key)
        text = describe_copies(self.entries.copies)
        self.copies.setText(text)
        self.copies.setVisible(bool(text))
        self.guessed.setVisible(not all(one.case.stated for one in self.entries))
        if not list(self.entries):
            self.message.setText(_EMPTY)
        elif self.message.text() == _EMPTY:
            self.message.clear()
        self._show_ready()

    def _row(self, one: SlideEntry) -> SlideRow:
        slide, layer = one.slide, one.layer
        mpp = slide.scale.mpp if slide is not None else one.facts.mpp if one.facts else None
        run = None if layer is None else self.session.run_of(layer)
        drawn = 0 if slide is None else count_drawn(self.viewer, slide)
        in_index = one.facts is not None and one.facts.quick_hash in self._indexed
        return SlideRow(
            one.key,
            one.name,
            "?" if mpp is None else f"{mpp:.3g}",
            describe_state(one, run, drawn, in_index=in_index),
            one.case,
            layer is not None,
            one.failed or bool(one.facts and one.facts.problem),
            str(one.path),
        )

    def _show_ready(self) -> None:
        chosen, running = self.chosen, self.queue.is_running
        self.close_slide.setEnabled(chosen is not None)
        self.label.setEnabled(chosen is not None and chosen.layer is not None)
        self.stored.setEnabled(self._offered is not None)
        ticked = len(self.table.ticked)
        self.panel.set_ready(bool(ticked) and not running)
        if not running:
            self.panel.count.setText(
                f"{ticked} of {self.table.rowCount()} slides ticked."
                if self.table.rowCount()
                else ""
            )

    def _show_choice(self) -> None:
        self.choice.setText(f"Score with {self.session.score_choice.summary}.")
        try:
            self.entries.look_for_runs_of(read_card(self.session.score_choice.model))
        except SmseError as error:
            self.panel.show_problem(str(error))

    def _show_problem(self, text: str) -> None:
        self.message.clear()
        self.panel.show_problem(text)
        show_error(text)

    def _look_into_index(self, *_: object) -> None:
        self.indexing.start(partial(indexed_slides, self._chosen_index.folder))

    def _take_indexed(self, slides: frozenset[str]) -> None:
        self._indexed = slides
        self._show()

    # -- the slide in view -------------------------------------------------------------

    def _choose(self, key: str) -> None:
        entry = self.entries.get(key)
        self.panel.show_problem("")
        if entry is not None:
            # In full, as a row has room for the beginning only.
            reason = entry.queued if entry.failed else entry.facts.problem if entry.facts else ""
            self.message.setText(reason)
        if entry is not None and entry.layer is not None:
            self.session.choose(entry.layer)
        self._show_ready()

    def _open_listed(self, key: str) -> None:
        entry = self.entries.get(key)
        if entry is not None and entry.layer is None:
            self.files.open_slides([entry.path])

    def close_chosen(self) -> None:
        """Close the chosen slide; one that is only listed is taken off the list."""
        entry = self.chosen
        if entry is None:
            return
        if self.queue.holds(entry) or self.session.is_scoring(entry.layer):
            self._show_problem(f"{entry.name} is being scored: wait, or cancel that first.")
        else:
            self.panel.show_problem("")
            self.files.close_slide(entry)

    # -- cases -------------------------------------------------------------------------

    def _state_case(self, key: str, text: str) -> None:
        entry = self.entries.get(key)
        if entry is None:
            return
        same = [entry]
        if entry.facts is not None and entry.facts.quick_hash:
            # A slide that is on the list twice is of one case.
            same = self.entries.with_content(entry.facts.quick_hash)
        try:
            for one in same:
                one.state_case(text)
        except SmseError as error:
            self._show_problem(str(error))
        self._show()

    # -- label, macro image and stored scores --------------------------------------------

    def show_label(self) -> None:
        """Show the label, the macro image and other pictures of the chosen slide."""
        entry = self.chosen
        if entry is not None and (slide := entry.slide) is not None:
            self.reading.start(lambda: (slide.name, label_and_macro(slide)))

    def _show_pictures(self, found: tuple[str, _PICTURES]) -> None:
        name, pictures = found
        if not pictures:
            self.message.setText(f"{name} has no label and no macro image.")
            return
        self.message.clear()
        self.pictures = AssociatedImages(name, pictures, self)
        self.pictures.show()

    @property
    def _offered(self) -> StoredRun | None:
        """The stored run of the chosen slide, if it can be shown."""
        one = self.chosen
        if one is None or one.layer is None or one.facts is None:
            return None
        taken = self.session.run_of(one.layer) is not None or self.queue.holds(one)
        return None if taken else one.facts.stored

    def show_stored(self) -> None:
        """Show what an earlier run by the chosen model scored on the chosen slide."""
        entry, stored = self.chosen, self._offered
        if stored is not None and entry is not None and entry.slide is not None:
            self.runs.open(entry.layer, entry.slide, stored, self.session.score_choice.model)

    # -- the queue -----------------------------------------------------------------------

    def score_ticked(self) -> None:
        """Score the ticked slides one after the other."""
        self.panel.show_problem("")
        self.message.clear()
        ticked = [self.entries.get(key) for key in self.table.ticked]
        self.queue.start([one for one in ticked if one is not None])
        self.panel.set_running(self.queue.is_running)

    def cancel(self) -> None:
        """Stop the queue; what was scored stays."""
        self.queue.cancel()
        self.panel.set_running(False)
        self.panel.state.setText("Cancelled. Scoring again goes on from here.")

    def _show_progress(self, progress: Progress) -> None:
        if progress.message:
            self.panel.show_share(progress.done / max(1, progress.total), progress.message)

    def _finish(self, text: str) -> None:
        self.panel.set_running(False)
        self.panel.state.setText(text)

    def _fail(self, reason: str) -> None:
        self.panel.set_running(False)
        self._show_problem(reason)

    def _disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        for part in (self.queue, self.runs, self.entries):
            part.release()
        self._chosen_index.changed.disconnect(self._look_into_index)
        self._chosen_index.grew.disconnect(self._look_into_index)
        session = self.session
        for changed in (session.slide_changed, session.annotations_changed, session.run_changed):
            changed.disconnect(self._show, missing_ok=True)
        session.score_choice_changed.disconnect(self._show_choice, missing_ok=True)
