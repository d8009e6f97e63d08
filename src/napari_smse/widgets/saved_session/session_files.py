"""Saves the session of a viewer, and opens one in the background, slide by slide."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import napari
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from napari_smse.errors import SessionError, SmseError
from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress, map_progress
from napari_smse.reader import LayerData, slide_layer
from napari_smse.widgets.dock import main_window, of_viewer, open_dock, open_docks
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.saved_session.capture import capture
from napari_smse.widgets.saved_session.restoring import open_slides, restore_slide
from napari_smse.widgets.session import session_of
from napari_smse.widgets.shown_runs import ShownRuns
from napari_smse.widgets.slide_layers import slide_layers
from napari_smse.widgets.worker import Worker
from napari_smse.workflows.models.check_model import same_model
from napari_smse.workflows.viewer_session.places import is_there, places_to_look
from napari_smse.workflows.viewer_session.record import (
    SUFFIX,
    SessionRecord,
    SessionSlide,
    write_session,
)
from napari_smse.workflows.viewer_session.reopening import (
    ReopenedSlide,
    reopen_session,
)

_FILTER = f"Sessions (*{SUFFIX});;All files (*)"
_DONE = object()


class SessionFiles(QObject):
    """Saves and opens the sessions of one viewer; `session_files` gives that of a viewer.

    What is in the viewer when a session is opened stays as it is: a slide that is open is not
    opened again, and what is drawn is not drawn over. What of a session cannot be opened stays in
    it when it is saved again.

    Parameters
    ----------
    viewer
        Whose session it is.
    """

    described = Signal(str)
    """What is being done, or came of it."""

    changed = Signal()
    """A session is being opened now, or no more."""

    def __init__(self, viewer: napari.Viewer) -> None:
        window = main_window(viewer)
        super().__init__(window)
        self._viewer = viewer
        self._path = Path()
        self._record: SessionRecord | None = None
        self._slides: list[tuple[SessionSlide, Image | None]] = []
        self._problems: list[str] = []
        self._carried: list[SessionSlide] = []
        self._runs = ShownRuns(viewer, self)
        self._steps: deque[Callable[[], Iterator[None] | None]] = deque()
        self._step: Iterator[None] | None = None
        self._stepping = QTimer(self)
        self._stepping.timeout.connect(self._do_next)
        # Without a parent: the worker may still speak while the window is being destroyed.
        self.task = Worker()
        self.task.progressed.connect(self._take)
        self.task.returned.connect(self._finish_soon)
        self.task.errored.connect(self._fail)
        window.destroyed.connect(weakref.finalize(self, self.task.closing.set))

    # -- saving --------------------------------------------------------------------------

    def ask_where_to_save(self) -> None:
        """Ask for a file, and write the session to it."""
        first = next(iter(slide_layers(self._viewer)), None)
        usual = str(self._path if self._path.name else f"{first.name if first else ''}{SUFFIX}")
        chosen, _ = QFileDialog.getSaveFileName(
            main_window(self._viewer), "Save session", usual, _FILTER
        )
        if chosen:
            self.save(Path(chosen if chosen.endswith(".json") else chosen + SUFFIX))

    def save(self, path: Path) -> None:
        """Write what the viewer shows, whole or not at all."""
        try:
            if not any(slide_layers(self._viewer)):
                raise SessionError("There is nothing to save: open a slide first (File > Open).")
            captured = capture(self._viewer, path, self._still_carried())
            write_session(path, captured.record)
        except SmseError as error:
            show_error(str(error))
            return
        self._path = path
        kept = len(self._still_carried())
        more = f" Kept in it: {counted(kept, 'slides')} that could not be opened." if kept else ""
        self._say(f"The session is saved to {path}.{more}", captured.left_out)

    def _still_carried(self) -> list[SessionSlide]:
        """Return slides that could not be opened, whole or at all, and hold what was drawn."""
        there = open_slides(self._viewer)
        return [one for one in self._carried if one.annotations or one.quick_hash not in there]

    def _carry(self, one: SessionSlide) -> None:
        """Keep a slide for the next file that is saved."""
        self._forget(one)
        self._carried.append(one)

    def _forget(self, one: SessionSlide) -> None:
        """Keep a slide no more, as all of it is shown."""
        what = one.quick_hash, one.annotations
        self._carried = [
            kept for kept in self._carried if (kept.quick_hash, kept.annotations) != what
        ]

    # -- opening -------------------------------------------------------------------------

    @property
    def is_opening(self) -> bool:
        """Whether a session is being opened."""
        return self._record is not None or self.task.is_running

    def ask_what_to_open(self) -> None:
        """Ask for a session, and open it."""
        chosen, _ = QFileDialog.getOpenFileName(
            main_window(self._viewer), "Open session", "", _FILTER
        )
        if chosen:
            self.open(Path(chosen))

    def open(self, path: Path) -> None:
        """Open a session in the background; one that is being opened is cancelled."""
        self.cancel()
        self._path = path.absolute()
        self._problems, self._slides = [], []
        self.described.emit(f"Opening {path.name} …")
        task = reopen_session(self._path, open_slides(self._viewer))
        self.task.start(lambda: map_progress(task, _with_layer))
        self.changed.emit()

    def cancel(self) -> None:
        """Open no more of a session; what was opened stays."""
        record = self._record
        if self.task.cancel() or record is not None:
            self._steps.clear()
            for _ in self._step or ():  # a slide of which a part is seen already comes whole
                pass
            self._step = None
            number = 0 if record is None else len(record.slides)
            for one in () if record is None else record.slides[len(self._slides) :]:
                self._carry(one)
            self._end(f"Cancelled: {len(self._slides)} of {counted(number, 'slides')} were opened.")

    def _take(self, progress: Progress) -> None:
        if progress.message:
            self.described.emit(progress.message)
        if isinstance(progress.detail, SessionRecord):
            self._begin(progress.detail)
        elif isinstance(progress.detail, tuple):
            self._do_soon(partial(self._show, *progress.detail))

    def _do_soon(self, step: Callable[[], Iterator[None] | None]) -> None:
        """Do something after all that is to be done before, a part at a turn of the event loop."""
        self._steps.append(step)
        self._stepping.start()

    def _do_next(self) -> None:
        if self._step is not None:
            if next(self._step, _DONE) is _DONE:
                self._step = None
        elif self._steps:
            self._step = self._steps.popleft()()
        else:
            self._stepping.stop()

    def _begin(self, record: SessionRecord) -> None:
        """Open the docks first: they then see slides and runs come as if a user opened them."""
        self._record = record
        session = session_of(self._viewer)
        session.bank_files.update(self._found_banks(record))
        session.show_maps(record.display)
        there = open_docks(self._viewer)
        for name in record.docks:
            if name not in there:
                self._do_soon(partial(self._open_dock, name))
        self._do_soon(partial(self._show_choices, record))

    def _show_choices(self, record: SessionRecord) -> None:
        """Show the classes to annotate with, and the model to score with."""
        session = session_of(self._viewer)
        if session.annotator is not None and record.classes:
            session.annotator.show_classes(dict(record.classes))
        if record.model is None:
            return
        model = record.model.path
        if record.model.relative:
            there = filter(is_there, places_to_look(record.model, self._path))
            model = str(next(there, model))
        if not same_model(model, session.score_choice.model):
            session.model_wanted.emit(model)

    def _open_dock(self, name: str) -> None:
        try:
            open_dock(self._viewer, name)
        except (KeyError, ValueError):
            self._problems.append(f"There is no dock {name!r} in this version.")

    def _show(self, opened: ReopenedSlide, made: LayerData | None) -> Iterator[None]:
        record = self._record
        if record is None:
            return
        restoring = restore_slide(self._viewer, self._runs, opened, made, record.classes)
        layer, more = yield from restoring
        self._problems += [*opened.problems, *more]
        stated = record.slides[len(self._slides)]
        self._slides.append((stated, layer))
        if opened.is_whole:
            self._forget(stated)
        else:
            self._carry(stated)

    def _finish_soon(self, record: SessionRecord) -> None:
        self._do_soon(partial(self._finish, record))

    def _finish(self, record: SessionRecord) -> None:
        session = session_of(self._viewer)
        for _, layer in self._slides:
            maps = None if layer is None else session.maps_of(layer)
            if maps is not None:
                maps.dress(record.display)
        seen = None
        if record.in_view is not None and record.in_view < len(self._slides):
            seen = self._slides[record.in_view][1]
        if seen is not None and seen in self._viewer.layers:
            session.choose(seen)
        self._choose_index(record)
        if record.docks:
            self._open_dock(record.docks[-1])  # in front
        shown = sum(layer is not None for _, layer in self._slides)
        self._end(f"{self._path.name}: {counted(shown, 'slides')} of {len(record.slides)} opened.")

    def _choose_index(self, record: SessionRecord) -> None:
        if record.index is None:
            return
        found = next(filter(is_there, places_to_look(record.index, self._path)), None)
        if found is None:
            self._problems.append(f"The index {record.index.path} is not there.")
        elif found != index_settings().folder:
            index_settings().choose(found)

    def _found_banks(self, record: SessionRecord) -> dict[str, Path]:
        found = {}
        for tiles in record.reference_tiles:
            path = next(filter(is_there, places_to_look(tiles.file, self._path)), None)
            if path is None:
                self._problems.append(f"The reference tiles {tiles.file.path} are not there.")
            else:
                found[tiles.model] = path
        return found

    def _fail(self, text: str) -> None:
        self._record = None
        self.described.emit("")
        show_error(text)
        self.changed.emit()

    def _end(self, text: str) -> None:
        self._record = None
        self._say(text, self._problems)
        self.changed.emit()

    def _say(self, text: str, problems: Sequence[str]) -> None:
        self.described.emit("\n".join([text, *problems]))
        (show_warning if problems else show_info)("\n".join([text, *problems]))


def _with_layer(progress: Progress) -> Progress:
    opened = progress.detail
    if not isinstance(opened, ReopenedSlide):
        return progress
    made = None if opened.slide is None or opened.was_open else slide_layer(opened.slide)
    return Progress(progress.done, progress.total, detail=(opened, made))


def session_files(viewer: napari.Viewer) -> SessionFiles:
    """Return what saves and opens the sessions of a viewer, made when it is first asked for."""
    return of_viewer(SessionFiles, viewer)
