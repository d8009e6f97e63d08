"""A thousand damaged files: each is read, or refused in one line."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.harness import ALTERED, CRASH, NAMED, TRACEBACK
from fuzz.mutations import MUTATIONS, mutated
from napari_smse.errors import DataError

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
def test_nothing_is_altered_raised_or_killed() -> None:
    # In a process of its own: children are forked from it, and this one has threads.
    answer = subprocess.run(
        [sys.executable, "-m", "fuzz", "--each", "40"],
        cwd=TESTS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(answer.stdout)
    assert answer.returncode == 0, answer.stdout + answer.stderr[-2000:]


def test_damage_changes_what_it_is_given() -> None:
    content = bytes(range(200))
    assert all(
        mutation(content, random.Random(seed)) != content
        for mutation in MUTATIONS
        if mutation.__name__ not in {"change_number", "zero_piece"}  # what is odd already
        for seed in range(20)
    )
    assert all(mutated(content, random.Random(seed)) != content for seed in range(200))


def read(folder: Path) -> object:
    """A reader with every fault there is."""
    content = (folder / "a").read_bytes()
    if len(content) < 20:
        raise DataError("too short")
    if content[0] != 0:
        raise ValueError("a traceback")
    if len(content) > 64:
        os.abort()
    return content


def make(folder: Path) -> list[Path]:
    (folder / "a").write_bytes(bytes(64))
    return [folder / "a"]


@pytest.mark.slow
def test_every_fault_is_found_and_what_comes_after_a_crash_is_tried() -> None:
    script = (
        "from fuzz.test_fuzz import make, read; from fuzz.harness import fuzz; "
        "from fuzz.targets import Target; "
        "tally = fuzz([Target('bad', make, read, checked=True)], 150); "
        "print(sorted({outcome for _, outcome in tally.counts}), sum(tally.counts.values()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=TESTS, capture_output=True, text=True, check=True
    )
    outcomes = sorted([ALTERED, CRASH, NAMED, TRACEBACK])
    assert answer.stdout.strip() == f"{outcomes} 150"
