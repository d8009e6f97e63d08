"""Many slides over many workers: who gets which blocks, and what comes of it."""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_smse.cluster.slide_task import SlideWork
from napari_smse.cluster.worker_task import score_blocks
from napari_smse.errors import SmseError, WorkerError
from napari_smse.scoring import ScoreStore, ScoringProgress
from napari_smse.scoring.block_writer import BlockWriter
from napari_smse.scoring.pipeline import MAX_SILENCE_S, BlockScores
from napari_smse.scoring.progress import ThroughputMeter
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan

if TYPE_CHECKING:
    from distributed import Client, Future

Task = Callable[[SlideWork, Sequence[int]], list[BlockScores] | SmseError]

_TASKS_A_THREAD: Final = 2
"""While one is scored, the next is on its way."""

_MIN_TILES, _MAX_TILES = 64, 256
"""Tiles in a task. Small ones end a slide together; large ones fill batches."""

_RETRIES: Final = 2
"""After an error without a name, such as of a network drive; deaths of workers Dask counts."""

_COUNT_EVERY_S: Final = 5.0
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class ClusterJob:
    """A slide that workers score.

    Parameters
    ----------
    work
        Description of the slide, sent to the workers.
    plan, store
        Tiles and store of the slide; only this process writes.
    slide
        The slide, which must not change meanwhile.
    """

    work: SlideWork
    plan: TilePlan
    store: ScoreStore
    slide: Slide | None = None
    _writer: BlockWriter = field(init=False)
    _began: float = field(init=False)
    _missing: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self._writer = BlockWriter(self.plan, self.store, self.slide)
        self._began = time.monotonic()
        self._missing = set(np.flatnonzero(~self.store.blocks_done()).tolist())

    @property
    def todo(self) -> list[int]:
        """Blocks that are still to be scored."""
        return sorted(self._missing)

    @property
    def is_complete(self) -> bool:
        """Whether every block was scored."""
        return not self._missing

    def tiles_in(self, numbers: Iterable[int]) -> int:
        """How many tiles some blocks have."""
        return sum(self.plan.blocks[number].tile_count for number in numbers)

    def add(self, blocks: Sequence[BlockScores]) -> None:
        """Take in blocks, and at the last of them end the run in the store."""
        self._missing -= {block.number for block in blocks}
        self._writer.add(blocks)
        if self.is_complete:
            self.finish()

    def finish(self) -> None:
        """Write what has gathered, and that this is all."""
        self._writer.write()
        if not self.store.complete:
            self._writer.confirm(content=True)
            self.store.finish(seconds=round(time.monotonic() - self._began, 3))

    def write(self) -> None:
        """Write what has gathered."""
        self._writer.write()


@dataclass(frozen=True)
class ClusterProgress:
    """Progress of the workers.

    Parameters
    ----------
    progress
        Tiles scored of those to score, over all slides begun.
    ended
        A slide that is complete or was given up.
    error
        Error for which it was given up.
    """

    progress: ScoringProgress
    ended: ClusterJob | None = None
    error: Exception | None = None


class ClusterScoring:
    """Gives blocks of slides to workers, a bounded number at a time, and writes the results.

    Blocks whose worker dies go to another. A slide that cannot be scored stops no other.

    Parameters
    ----------
    client
        Client of the workers.
    task
        Function that scores blocks on a worker.
    """

    def __init__(self, client: Client, task: Task = score_blocks) -> None:
        self._client, self._task = client, task
        self._meter = ThroughputMeter(0)
        self._parts: deque[tuple[ClusterJob, list[int]]] = deque()
        self._running: dict[Future[Any], tuple[ClusterJob, list[int]]] = {}
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._names = count()
        self._threads, self._counted = 1, -_COUNT_EVERY_S

    def run(self, jobs: Iterable[ClusterJob]) -> Generator[ClusterProgress]:
        """Score slides; close the generator to cancel. Whole blocks stay in the stores.

        Parameters
        ----------
        jobs
            Slides to score, taken one by one as workers become free.

        Raises
        ------
        WorkerError
            If the connection to the workers is lost.
        """
        source = iter(jobs)
        try:
            while True:
                yield from self._submit_work(source)
                if not self._running:
                    return
                yield self._next_progress()
        finally:
            if self._client.status == "running":
                self._client.cancel(list(self._running))
            for job in self._jobs():
                _write_gathered(job, logging.WARNING)

    def _submit_work(self, source: Iterator[ClusterJob]) -> Iterator[ClusterProgress]:
        """Keep all workers busy, beginning other slides where one alone does not."""
        while len(self._running) < _TASKS_A_THREAD * self._count_threads():
            while not self._parts:
                job = next(source, None)
                if job is None:
                    return
                yield self._begin(job)
            self._submit(*self._parts.popleft())

    def _begin(self, job: ClusterJob) -> ClusterProgress:
        tiles = job.tiles_in(job.todo)
        self._meter.total += tiles
        if job.is_complete:
            try:
                job.finish()
            except Exception as error:
                return self._give_up(job, error)
            return self._progress(job)
        self._parts.extend((job, numbers) for numbers in self._split_blocks(job, tiles))
        return self._progress()

    def _split_blocks(self, job: ClusterJob, tiles: int) -> Iterator[list[int]]:
        """Divide a slide's blocks: the fewer tiles are left, the fewer a task has."""
        numbers: list[int] = []
        for number in job.todo:
            numbers.append(number)
            max_tiles = max(_MAX_TILES, job.work.device.batch_size)
            target = min(max_tiles, max(_MIN_TILES, tiles // (3 * self._count_threads())))
            if job.tiles_in(numbers) >= target:
                yield numbers
                tiles -= job.tiles_in(numbers)
                numbers = []
        if numbers:
            yield numbers

    def _submit(self, job: ClusterJob, numbers: list[int]) -> None:
        future = self._client.submit(
            self._task,
            job.work,
            numbers,
            key=f"score-{id(self)}-{next(self._names)}",
            pure=False,
            retries=_RETRIES,
        )
        self._running[future] = (job, numbers)
        future.add_done_callback(self._finished.put)

    def _next_progress(self) -> ClusterProgress:
        try:
            future = self._finished.get(timeout=MAX_SILENCE_S)
        except queue.Empty:
            return self._progress()
        if future not in self._running:  # of a slide that was given up
            return self._progress()
        job, numbers = self._running.pop(future)
        try:
            job.add(_result(future, job))
        except _LostError:
            raise WorkerError(
                "The way to the Dask scheduler was lost. What was scored is kept: the same command "
                "goes on from there."
            ) from None
        except Exception as error:
            return self._give_up(job, error)
        self._meter.done += job.tiles_in(numbers)
        return self._progress(job if job.is_complete else None)

    def _give_up(self, job: ClusterJob, error: Exception) -> ClusterProgress:
        """Forget a slide, but for what was scored of it."""
        futures = [future for future, (owner, _) in self._running.items() if owner is job]
        self._client.cancel(futures)
        for future in futures:
            del self._running[future]
        self._parts = deque(part for part in self._parts if part[0] is not job)
        self._meter.total -= job.tiles_in(job.todo)
        _write_gathered(job)
        return self._progress(job, error)

    def _progress(
        self, ended: ClusterJob | None = None, error: Exception | None = None
    ) -> ClusterProgress:
        return ClusterProgress(self._meter.advance(()), ended, error)

    def _jobs(self) -> set[ClusterJob]:
        return {job for job, _ in (*self._parts, *self._running.values())}

    def _count_threads(self) -> int:
        """Threads of all workers; they come and go."""
        now = time.monotonic()
        if now - self._counted >= _COUNT_EVERY_S:
            threads = sum(self._client.nthreads().values())
            if not threads:
                _log.warning("No worker is there: waiting until one joins.")
            self._threads, self._counted = max(1, threads), now
        return self._threads


def _write_gathered(job: ClusterJob, level: int = logging.DEBUG) -> None:
    """Write what has gathered of a slide that ends early; that of others must not be lost."""
    try:
        job.write()
    except Exception as error:
        _log.log(level, "%s: what was scored last is lost: %s", job.work.path, error)


class _LostError(Exception):
    """The scheduler is gone."""


def _result(future: Future[Any], job: ClusterJob) -> list[BlockScores]:
    """Return what a worker found.

    Raises
    ------
    SmseError
        If it cannot score the slide.
    """
    from distributed import KilledWorker

    name = job.work.path.name
    try:
        result: list[BlockScores] | SmseError = future.result()
    except CancelledError as error:
        raise _LostError from error
    except KilledWorker as error:
        raise WorkerError(
            f"Workers died again and again while they scored {name}: most often, memory ran out; "
            "take fewer workers to a machine. What was scored is kept: the same command goes on "
            "from there."
        ) from error
    except Exception as error:
        # Whatever a worker's machine makes of it, the other slides go on.
        raise WorkerError(
            f"Workers cannot score {name} ({type(error).__name__}: {error}): check that they have "
            "the same napari-smse, runtimes and files as this machine."
        ) from error
    finally:
        future.release()
    if isinstance(result, SmseError):
        raise result
    return result
