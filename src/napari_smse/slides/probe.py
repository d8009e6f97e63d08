"""A process that opens unknown files first: a library that crashes ends it, and not the batch."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from napari_smse.errors import DamagedSlideError

logger = logging.getLogger(__name__)

TIME_LIMIT: Final = 60.0
"""Seconds that opening a file, or starting the process, may take."""
_COMMAND: Final = (sys.executable, "-m", "napari_smse.slides.probe")
_READY: Final = b"ready\n"
_SIDE: Final = 64
_Stamp = tuple[str, int, int]


class Probe:
    """Opens files in a process of its own, which is started when the first is asked for.

    It lives for as long as this process or until a file ends it; then another takes its place.

    Parameters
    ----------
    command
        What starts it.
    time_limit
        Seconds that a file may take.
    """

    def __init__(self, command: Sequence[str] = _COMMAND, time_limit: float = TIME_LIMIT) -> None:
        self._command, self._time_limit = tuple(command), time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._found: dict[_Stamp, str] = {}
        self._works = True

    def require_openable(self, path: Path) -> None:
        """Make sure that opening a file, and reading a little of it, ends no process.

        Whatever else is wrong with it, opening it says. A file that did not change is tried once.

        Raises
        ------
        DamagedSlideError
            The library that reads it crashed, or did not come back in time.
        """
        with self._turn:
            stamp = _stamp(path)
            if stamp not in self._found and self._started():
                self._found[stamp] = "" if self._answers(path) else self._ended()
            if problem := self._found.get(stamp):
                raise DamagedSlideError(f"{path.name} {problem}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> bool:
        """Start the process if need be; whether there is one."""
        if self._process is not None or not self._works:
            return self._works
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=os.name == "posix",  # Ctrl-C is for this process to hear
            )
            self._works = self._line() == _READY
        except OSError:
            self._works = False
        if not self._works:
            self.close()
            logger.warning("files are opened without a trial: the process for it does not start")
        return self._works

    def _answers(self, path: Path) -> bool:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
            process.stdin.flush()
        except OSError:  # it died meanwhile
            return False
        return bool(self._line())

    def _line(self) -> bytes:
        """Return what the process says next; nothing if it dies, or takes too long and is ended."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        timer = threading.Timer(self._time_limit, process.kill)
        timer.start()
        try:
            return process.stdout.readline()
        finally:
            timer.cancel()

    def _ended(self) -> str:
        """Forget the process that a file ended; return what became of it, and a remedy."""
        process, self._process = self._process, None
        assert process is not None
        process.communicate()
        status = process.returncode
        if os.name == "posix" and status == -signal.SIGKILL:
            what = f"was not opened within {self._time_limit:g} s, or took all memory"
        else:
            what = f"makes the library that reads it crash (status {status})"
        return f"{what}; copy it again, or convert it to a pyramidal TIFF"


_probe = Probe()
atexit.register(_probe.close)


def require_openable(path: Path) -> None:
    """Make sure that opening a file, and reading a little of it, does not end this process.

    Raises
    ------
    DamagedSlideError
        The library that reads it crashed in a process of its own, or did not come back in time.
    """
    _probe.require_openable(path)


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:  # as of one of several slides in a file
        return str(path.absolute()), 0, 0
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def look_at(path: Path) -> None:
    """Open each slide of a file as a run does, and read a little in the middle of each level."""
    from napari_smse.slides.opening import open_slide, slides_in_file

    for part in slides_in_file(path):
        with open_slide(part) as slide:
            for number, level in reversed(list(enumerate(slide.levels))):
                slide.read_level(number, level.width // 2, level.height // 2, _SIDE, _SIDE)


def serve() -> None:
    """Answer with a line for each file, named by a line, once it was opened or refused."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # some libraries print
    answers.write(_READY)
    for line in sys.stdin.buffer:
        with contextlib.suppress(Exception):
            look_at(Path(json.loads(line)))
        answers.write(b"opened\n")


if __name__ == "__main__":
    serve()
