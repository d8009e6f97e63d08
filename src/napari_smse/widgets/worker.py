"""Long work off the GUI thread: started, paused, cancelled, and never mixed up.

The only place where work leaves the GUI thread and comes back.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

from qtpy.QtCore import QObject, Signal
from superqt.utils import GeneratorWorker

from napari_smse.errors import SmseError, is_out_of_memory

logger = logging.getLogger(__name__)

_LOOK_UP_S = 0.1

Work = Callable[[], Any]
"""Starts a task, whose progress and result are handed to the GUI thread, or returns a result."""


class Worker(QObject):
    """Runs one task, or one function, at a time in a thread of its own.

    A new start, or a cancel, disowns what runs: what it still yields or returns is dropped,
    so that results of an old run can never reach a new one.

    Parameters
    ----------
    parent
        As of any Qt object.
    doing
        What it does, as in "A slide is being scored", if that is to go on while its dock is closed.
    turn
        Its claim to the computer, which says what it does; it is void once the worker's dock is
        destroyed.
    """

    progressed = Signal(object)
    """A value that the task yielded."""

    returned = Signal(object)
    """The work came to its end, with this result."""

    errored = Signal(str)
    """A named error ended the work; the text is for the user."""

    finished = Signal()
    """The work came to its end or failed; not after a cancel."""

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        doing: str = "",
        turn: ComputeLock | None = None,
    ) -> None:
        super().__init__(parent)
        self.doing = doing if turn is None else turn.doing
        self._numbers = itertools.count(1)
        self._current = 0
        self._stop = threading.Event()
        self._go = threading.Event()
        self._turn = threading.Lock()
        self.closing = threading.Event()
        if turn is not None:
            turn.void = self.closing
        self._worker: GeneratorWorker | None = None

    @property
    def is_running(self) -> bool:
        """Whether work is under way that was not cancelled."""
        return self._current != 0

    @property
    def is_paused(self) -> bool:
        """Whether work is under way that waits at its next progress, or will."""
        return self.is_running and not self._go.is_set()

    def start(self, work: Work) -> None:
        """Start work; whatever ran before is cancelled."""
        self.cancel()
        number = self._current = next(self._numbers)
        stop = self._stop = threading.Event()
        go = self._go = threading.Event()
        go.set()
        worker = _Worker(_until, work, (stop, self.closing), go, self._turn)
        worker.yielded.connect(lambda value: self._on_yielded(number, value))
        worker.errored.connect(lambda error: self._on_errored(number, error))
        worker.returned.connect(lambda value: self._on_returned(number, value))
        self._worker = worker
        worker.start()

    def cancel(self) -> bool:
        """Disown what runs and let it stop at its next progress; False if nothing ran."""
        was_running = self.is_running
        self._current = 0
        self._stop.set()
        return was_running

    def pause(self) -> None:
        """Let what runs wait at its next progress, until `resume` or a cancel."""
        self._go.clear()

    def resume(self) -> None:
        """Let what waits go on."""
        self._go.set()

    def _on_yielded(self, number: int, value: object) -> None:
        if number == self._current:
            self.progressed.emit(value)

    def _on_errored(self, number: int, error: Exception) -> None:
        if not isinstance(error, SmseError):
            logger.error("background work failed", exc_info=error)
        if number == self._current:
            self._current = 0
            self.errored.emit(_message(error))
            self.finished.emit()

    def _on_returned(self, number: int, value: object) -> None:
        if number == self._current:
            self._current = 0
            self.returned.emit(value)
            self.finished.emit()


class _Worker(GeneratorWorker):
    """A worker that may outlive the application, as while torch is being imported."""

    def run(self) -> None:
        """Run; Qt would end the process for an exception that leaves this."""
        try:
            super().run()
        except RuntimeError:
            # Emitting failed: the application was closed, and took the signals with it.
            logger.debug("work ended after the application", exc_info=True)


def _until(
    work: Work,
    stops: Sequence[threading.Event],
    go: threading.Event,
    turn: threading.Lock,
) -> Generator[Any, None, Any]:
    """Hand out what a task yields until it is to stop, and close it in its own thread.

    Work waits until the cancelled work before it has released its files, and while it is paused.
    """

    def stopped() -> bool:
        return any(stop.is_set() for stop in stops)

    with turn:
        task = work()
        if not isinstance(task, Generator):
            return task
        with closing(task):
            while True:
                try:
                    value = next(task)
                except StopIteration as end:
                    return end.value
                if stopped():
                    return None
                yield value
                while not go.wait(_LOOK_UP_S):
                    if stopped():
                        return None


def _message(error: Exception) -> str:
    if isinstance(error, SmseError):
        return str(error)
    if is_out_of_memory(error):
        return "Out of memory: close other programs, or take fewer tiles or a smaller region."
    return (
        f"Something unforeseen went wrong ({type(error).__name__}: {error}). What was scored so "
        "far is kept; please report it with the log."
    )


class ComputeLock:
    """A claim to the computer for long work; one is held at a time in the whole program.

    Parameters
    ----------
    doing
        What is being done, as in "A slide is being scored".
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.void = threading.Event()

    def take(self) -> str:
        """Take the turn; return why not, or nothing."""
        for other in _held:
            if other is not self and not other.void.is_set():
                return f"{other.doing}: wait until that is done, or cancel it, and try again."
        _held.add(self)
        return ""

    def give_back(self) -> None:
        """Let others work; does nothing if the turn is not held."""
        _held.discard(self)


# Weak, so that a dock that died with its turn blocks nobody.
_held: weakref.WeakSet[ComputeLock] = weakref.WeakSet()
