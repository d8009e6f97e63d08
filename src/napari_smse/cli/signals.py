"""SIGTERM and SIGHUP end a command as Ctrl+C does, with what was done so far written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NAMES: Final = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_FIRST_STATUS: Final = 128


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` when this process is asked to end, and tell by its status why.

    The exit status is 143 after SIGTERM and 129 after SIGHUP, as a shell expects. A signal that
    is ignored, as SIGHUP is under nohup, stays so.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in _signals()}
    try:
        yield
    except SystemExit as end:
        if received and end.code:
            raise SystemExit(_FIRST_STATUS + received[0]) from end
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        return []
    numbers = [signal.Signals[name] for name in _NAMES if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
