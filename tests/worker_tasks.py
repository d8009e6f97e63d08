"""Tasks for workers to which something happens."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from napari_smse.cluster import SlideWork
from napari_smse.cluster.block_task import score_blocks
from napari_smse.errors import SmseError
from napari_smse.scoring.pipeline import BlockScores

DYING = "a_worker_dies_here"
FLAKY = "its_drive_is_lost_once_here"


def die_once(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Score blocks; the first worker to do so is killed half-way."""
    answer = score_blocks(work, numbers)
    if _is_first(work, DYING):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


def always_die(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Kill every worker that scores a slide named so."""
    if DYING in work.path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return score_blocks(work, numbers)


def lose_drive_once(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Fail in a way that has no name of ours, once."""
    if _is_first(work, FLAKY):
        raise ConnectionError("the drive is away")
    return score_blocks(work, numbers)


def lose_drive(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Fail in a way that has no name of ours, always."""
    del numbers
    raise ConnectionError(f"the drive of {work.path.name} is away")


def score_slowly(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Leave time to stop in the middle."""
    time.sleep(0.1)
    return score_blocks(work, numbers)


def _is_first(work: SlideWork, what: str) -> bool:
    """Whether nobody was here before, in any process."""
    try:
        (work.path.parent / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
