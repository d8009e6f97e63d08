"""Reads damaged files in processes of their own, and counts what comes of it."""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.mutations import mutated
from fuzz.targets import Target
from napari_smse.errors import SmseError

NAMED: Final = "named"
"""An error of ours, in one line."""
READ: Final = "read"
"""An answer; of a file with checksums, the right one."""
ALTERED: Final = "altered"
TRACEBACK: Final = "traceback"
CRASH: Final = "crash"
HANG: Final = "hang"
OUTCOMES: Final = (NAMED, READ, ALTERED, TRACEBACK, CRASH, HANG)
HEAD: Final = f"{'':22}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES)
FAULTS: Final = frozenset({ALTERED, TRACEBACK, CRASH, HANG})

_LIMIT_S: Final = 20.0
_MEMORY_BYTES: Final = 2 * 2**30
"""That a reader may take beside what the program has."""


@dataclass
class Tally:
    """What came of the inputs.

    Attributes
    ----------
    counts
        By target and outcome.
    faults
        Target, number of the input, outcome and what was said, of each fault.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[tuple[str, int, str, str]] = field(default_factory=list)

    def add(self, target: str, number: int, outcome: str, note: str) -> None:
        """Count one input."""
        self.counts[target, outcome] += 1
        if outcome in FAULTS:
            self.faults.append((target, number, outcome, note))

    def table(self) -> str:
        """Return the counts as text, a line a target."""
        names = list(dict.fromkeys(name for name, _ in self.counts))
        return "\n".join([HEAD, *map(self.row, [*names, ""])])

    def row(self, name: str) -> str:
        """Return the counts of a target, or of all for no name, as a line of the table."""
        row = [self._count(name, outcome) for outcome in OUTCOMES]
        return f"{name or 'all':22}" + "".join(f"{count:10}" for count in row)

    def _count(self, name: str, outcome: str) -> int:
        return sum(
            count
            for (target, found), count in self.counts.items()
            if found == outcome and name in ("", target)
        )


def fuzz(
    targets: Sequence[Target], each: int, seed: int = 0, report: Callable[[str], None] | None = None
) -> Tally:
    """Read so many damaged files of each target.

    A process reads one after the other; if it dies or hangs, another goes on after that input.

    Parameters
    ----------
    targets
        What to read.
    each
        Inputs of each.
    seed
        Other inputs with another.
    report
        Called with the line of each target, once it is done.
    """
    tally = Tally()
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="smse-fuzz-") as folder:
            first = 0
            while first < each:
                for number, outcome, note in _in_a_process(target, Path(folder), first, each, seed):
                    tally.add(target.name, number, outcome, note)
                    first = number + 1
        if report is not None:
            report(tally.row(target.name))
    return tally


def _in_a_process(
    target: Target, folder: Path, first: int, last: int, seed: int
) -> Iterator[tuple[int, str, str]]:
    """Yield outcomes from a child, until it ends; what ended it is an outcome, too."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        _read_all(target, folder / f"from-{first}", range(first, last), seed, writes)
    os.close(writes)
    number = first
    with os.fdopen(reads, "rb") as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], _LIMIT_S)
            line = pipe.readline() if ready else b""
            if line:
                outcome, _, note = line.decode(errors="replace").rstrip("\n").partition(" ")
                yield number, outcome, note
                number += 1
                continue
            if not ready:
                os.kill(child, signal.SIGKILL)
            break
    _, status = os.waitpid(child, 0)
    if number < last:
        yield number, HANG if not ready else CRASH, f"status {status}"


def _read_all(target: Target, folder: Path, numbers: range, seed: int, pipe: int) -> None:
    """Read damaged files one after the other, and write a line of each; does not return."""
    _quieten()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = target.make(folder)
        whole = {file: file.read_bytes() for file in files}
        right = target.read(folder)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_BYTES, -1))
        for number in numbers:
            rng = random.Random(f"{seed} {target.name} {number}")
            weights = [max(1, len(content)) for content in whole.values()]
            (file,) = rng.choices(list(whole), weights)
            file.write_bytes(mutated(whole[file], rng))
            os.write(pipe, f"{_outcome(target, folder, right)}\n".encode())
            file.write_bytes(whole[file])
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(3)
    os._exit(0)


def _outcome(target: Target, folder: Path, right: object) -> str:
    began = time.monotonic()
    try:
        found = target.read(folder)
    except (SmseError, OSError) as error:
        return f"{NAMED} {time.monotonic() - began:.2f} {' '.join(str(error).split())[:200]}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(place))
        return f"{TRACEBACK} {type(error).__name__} {' '.join(str(error).split())[:80]} {where}"
    return READ if not target.checked or found == right else ALTERED


def _quieten() -> None:
    faulthandler.disable()  # a crash is an outcome
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    if not os.environ.get("SMSE_FUZZ_LOUD"):
        os.dup2(silent, 2)
