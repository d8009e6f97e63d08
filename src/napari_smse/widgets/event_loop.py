"""Keep the viewer quick while a worker thread is busy in the same interpreter."""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, QTimer

_SWITCH_INTERVAL = 0.001
_BEAT_MS = 20
_QUIET_BEATS = 4


class LowLatencyMode:
    """Favours the GUI thread from `begin` to `end`.

    Every Qt call gives the interpreter lock away and asks for it back, which
    takes up to a switch interval (5 ms by default) while a worker computes: a
    few calls add up to a stall that can be felt. And a full garbage collection
    walks through all that napari and torch ever made, which takes a third of a
    second; what is there already is therefore left out of it for a while.
    """

    def __init__(self) -> None:
        self._froze = False

    def begin(self) -> None:
        """Begin; does nothing if it began before."""
        if self in _favouring:
            return
        if not _favouring:
            _intervals.append(sys.getswitchinterval())
            sys.setswitchinterval(min(_intervals[-1], _SWITCH_INTERVAL))
        _favouring.add(self)
        # Somebody else's frozen objects must stay frozen when this ends.
        self._froze = gc.get_freeze_count() == 0
        if self._froze:
            gc.freeze()

    def end(self) -> None:
        """Put everything back as it was, once nothing else favours the GUI thread."""
        if self not in _favouring:
            return
        _favouring.discard(self)
        if not _favouring:
            sys.setswitchinterval(_intervals.pop())
        if self._froze:
            gc.unfreeze()


_favouring: weakref.WeakSet[LowLatencyMode] = weakref.WeakSet()
_intervals: list[float] = []
"""The switch interval before any of them began."""


class CallWhenIdle(QObject):
    """Calls once the event loop has nothing to catch up with, as after a first drawing.

    Parameters
    ----------
    call
        What to call.
    parent
        Dropped with it, uncalled.
    """

    def __init__(self, call: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._call, self._quiet, self._beat = call, 0, time.perf_counter()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._listen)
        self._timer.start(_BEAT_MS)

    def _listen(self) -> None:
        now = time.perf_counter()
        late = (now - self._beat) * 1000 > 2 * _BEAT_MS
        self._beat, self._quiet = now, 0 if late else self._quiet + 1
        if self._quiet >= _QUIET_BEATS:
            self._timer.stop()
            self._call()
            self.deleteLater()


class EventLoopStall(QObject):
    """Measures how long the event loop is held up by what is shown, drawing included.

    Parameters
    ----------
    parent
        Dropped with it.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.seconds = 0.0
        self._began = self._beat = self._late = 0.0
        self._quiet = 0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._listen)

    def watch(self) -> None:
        """Begin, before something is shown; `seconds` is told a few beats later."""
        self._began = self._beat = self._late = time.perf_counter()
        self._quiet = 0
        self._timer.start(_BEAT_MS)

    def _listen(self) -> None:
        now = time.perf_counter()
        if (now - self._beat) * 1000 > 2 * _BEAT_MS:
            self._late, self._quiet = now, 0
        else:
            self._quiet += 1
        self._beat = now
        if self._quiet >= _QUIET_BEATS:
            self._timer.stop()
            self.seconds = self._late - self._began
