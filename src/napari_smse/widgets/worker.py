"""Long work off the GUI thread: a core generator, told, cancelled, and never mixed up.

The only place where work leaves the GUI thread and comes back.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, cast

from qtpy.QtCore import QObject, Signal
from superqt.utils import GeneratorWorker

from napari_smse.errors import SmseError

logger = logging.getLogger(__name__)

_LOOK_UP_S = 0.1

Work = Callable[[], Iterator[Any]]
"""Starts a generator; every value it yields is handed to the GUI thread."""


class Worker(QObject):
    """Runs one generator at a time in a worker thread.

    A new start, or a cancel, disowns what runs: what it still says is dropped,
    so that results of an old run can never reach a new one.
    """

    told = Signal(object)
    """A value that the generator yielded."""

    failed = Signal(str)
    """A named error ended the work; the text is for the user."""

    ended = Signal()
    """The generator came to its end."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = itertools.count(1)
        self._current = 0
        self._stop = threading.Event()
        self._go = threading.Event()
        self._turn = threading.Lock()
        self.closing = threading.Event()
        self._worker: GeneratorWorker | None = None

    @property
    def is_running(self) -> bool:
        """Whether work is under way that was not cancelled."""
        return self._current != 0

    @property
    def is_paused(self) -> bool:
        """Whether work is under way that waits at its next word, or will."""
        return self.is_running and not self._go.is_set()

    def start(self, work: Work) -> None:
        """Start work; whatever ran before is cancelled."""
        self.cancel()
        number = self._current = next(self._numbers)
        stop = self._stop = threading.Event()
        go = self._go = threading.Event()
        go.set()
        worker = _Worker(_until, work, (stop, self.closing), go, self._turn)
        worker.yielded.connect(lambda value: self._tell(number, value))
        worker.errored.connect(lambda error: self._fail(number, error))
        worker.returned.connect(lambda _: self._end(number))
        self._worker = worker
        worker.start()

    def cancel(self) -> bool:
        """Disown what runs and let it stop at its next word; False if nothing ran."""
        was_running = self.is_running
        self._current = 0
        self._stop.set()
        return was_running

    def pause(self) -> None:
        """Let what runs wait at its next word, until `go_on` or a cancel."""
        self._go.clear()

    def go_on(self) -> None:
        """Let what waits go on."""
        self._go.set()

    def _tell(self, number: int, value: object) -> None:
        if number == self._current:
            self.told.emit(value)

    def _fail(self, number: int, error: Exception) -> None:
        if not isinstance(error, SmseError):
            logger.error("background work failed", exc_info=error)
        if number == self._current:
            self._current = 0
            self.failed.emit(_message(error))

    def _end(self, number: int) -> None:
        if number == self._current:
            self._current = 0
            self.ended.emit()


class _Worker(GeneratorWorker):
    """A worker that may outlive the application, as while torch is being imported."""

    def run(self) -> None:
        """Run; Qt would end the process for an exception that leaves this."""
        try:
            super().run()
        except RuntimeError:
            # Speaking failed: the application was closed, and took the signals with it.
            logger.debug("work ended after the application", exc_info=True)


def _until(
    work: Work,
    stops: Sequence[threading.Event],
    go: threading.Event,
    turn: threading.Lock,
) -> Iterator[Any]:
    """Hand out what a generator yields until told to stop, and close it in its own thread.

    Work waits until the cancelled work before it has let go of its files, and while it is paused.
    """

    def stopped() -> bool:
        return any(stop.is_set() for stop in stops)

    with turn, closing(cast("Generator[Any, None, None]", work())) as values:
        for value in values:
            if stopped():
                return
            yield value
            while not go.wait(_LOOK_UP_S):
                if stopped():
                    return


def _message(error: Exception) -> str:
    if isinstance(error, SmseError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Out of memory: close other programs, or take fewer tiles or a smaller region."
    return (
        f"Something unforeseen went wrong ({type(error).__name__}: {error}). What was scored so "
        "far is kept; please report it with the log."
    )
