"""Blocks read, cut into tiles and classified, all at the same time."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.block_order import BlockOrder
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.progress import StageTimes
from napari_smse.scoring.read_block import read_block
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan
from napari_smse.tiles.appearance import appearance_features

if TYPE_CHECKING:
    from napari_smse.models import Model

MAX_SILENCE_S = 0.25
"""Longest time without a progress: a cancel acts at the next one."""

_BATCHES_AHEAD = 2
"""Tiles held ready for each network, in batches."""

_BLOCKS_A_READER = 2
"""One that is read and one that waits, as whoever iterates may be writing when the first is read.
"""

_NETWORKS_A_GPU = 2
"""While one copies its tiles, the other computes."""

_ReadTiles = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Tiles of a block, ``(n, h, w, 3)``, and what they look like, ``(n, k)``."""


@dataclass(frozen=True)
class BlockScores:
    """The scores of all tiles of a block.

    Parameters
    ----------
    number
        Number of the block in the plan.
    probability
        (n, classes), in the order of the block's members.
    embedding
        (n, d).
    appearance
        (n, k), see `tiles.appearance`.
    """

    number: int
    probability: NDArray[np.float32]
    embedding: NDArray[np.float32]
    appearance: NDArray[np.float32]


@dataclass(frozen=True)
class BatchScores:
    """A batch that was classified.

    Parameters
    ----------
    places
        Block, and row in it, of each tile, (n, 2).
    probability
        (n, classes).
    completed
        Blocks whose last tiles are in this batch.
    """

    places: NDArray[np.int64]
    probability: NDArray[np.float32]
    completed: tuple[BlockScores, ...]


class Pipeline:
    """Reads, classifies, and hands out what is ready, a bounded number of tiles at a time.

    Threads read and cut tiles; a thread for each network classifies them, in batches that run
    across blocks. Whoever iterates only passes tiles on, so that reading, network and what is
    done with the results overlap, and the slowest of them limits the throughput.

    Parameters
    ----------
    slide, model, plan
        The slide, the network, and the tiles to classify.
    order
        Order in which blocks are read.
    devices
        Devices to run the network on; two or more share the tiles.
    threads
        CPU cores for the network.
    readers
        Threads that read the slide. With 0, whoever iterates reads and classifies, in turn.
    """

    def __init__(
        self,
        slide: Slide,
        model: Model,
        plan: TilePlan,
        order: BlockOrder,
        devices: Sequence[ComputeDevice],
        *,
        threads: int = 1,
        readers: int = 2,
    ) -> None:
        self._slide, self._plan, self._order = slide, plan, order
        self._batch_size = max(device.batch_size for device in devices)
        self._readers = max(1, readers)
        self._classifiers = _ClassifierPool(model, devices, threads)
        self.times = StageTimes(self._readers, len(self._classifiers))
        self._inline = readers == 0
        self._waiting = _WaitingTiles()
        self._blocks: dict[int, _OpenBlock] = {}
        self._reading: dict[Future[_ReadTiles], int] = {}
        self._classifying: dict[Future[Prediction], NDArray[np.int64]] = {}

    def run(self) -> Generator[BatchScores | None]:
        """Yield each batch as it is ready, and None whenever none was for a quarter of a second.

        Raises
        ------
        DamagedSlideError, DeviceError
            As reading and classifying do.
        """
        networks = len(self._classifiers)
        readers = _executor(self._readers, "read-slide", inline=self._inline)
        classifiers = _executor(networks, "classify", inline=self._inline)
        try:
            while self._submit_work(readers, classifiers):
                pending: list[Future[Any]] = [*self._reading, *self._classifying]
                done = wait(pending, timeout=MAX_SILENCE_S, return_when=FIRST_COMPLETED).done
                if not done:
                    yield None
                for future in done:
                    if future in self._reading:
                        self._take_tiles(future)
                    else:
                        yield self._take_prediction(future)
        finally:
            # A read may hang on its drive; a batch is soon done, and nothing may compute when
            # the program ends.
            readers.shutdown(wait=False, cancel_futures=True)
            classifiers.shutdown(wait=True, cancel_futures=True)

    def _submit_work(self, readers: Executor, classifiers: Executor) -> bool:
        """Keep readers and networks busy; False when nothing is left to do."""
        ahead = _BATCHES_AHEAD * self._batch_size * len(self._classifiers)
        while len(self._reading) < _BLOCKS_A_READER * self._readers and len(self._waiting) < ahead:
            number = self._order.next()
            if number is None:
                break
            self._reading[readers.submit(self._read, number)] = number
        while len(self._classifying) <= len(self._classifiers):
            batch = self._waiting.take(self._batch_size, all_read=not self._reading)
            if batch is None:
                break
            tiles, places = batch
            self._classifying[classifiers.submit(self._classify, tiles)] = places
        return bool(self._reading or self._classifying)

    def _read(self, number: int) -> _ReadTiles:
        with self.times.measure("reading"):
            tiles = read_block(self._slide, self._plan, self._plan.blocks[number])
            return tiles, appearance_features(tiles)

    def _classify(self, tiles: NDArray[np.uint8]) -> Prediction:
        with self._classifiers.borrow() as classifier, self.times.measure("network"):
            return classifier(tiles)

    def _take_tiles(self, future: Future[Any]) -> None:
        number = self._reading.pop(future)
        tiles, appearance = future.result()
        self._blocks[number] = _OpenBlock(number, appearance)
        self._waiting.add(number, tiles)

    def _take_prediction(self, future: Future[Any]) -> BatchScores:
        places = self._classifying.pop(future)
        probability, embedding = future.result()
        completed = []
        for number in dict.fromkeys(places[:, 0].tolist()):
            block, at = self._blocks[number], places[:, 0] == number
            block.fill(places[at, 1], probability[at], embedding[at])
            if block.is_complete:
                completed.append(self._blocks.pop(number).scores())
        return BatchScores(places, probability, tuple(completed))


class _ClassifierPool:
    """As many classifiers as can be busy at once, each used by one thread at a time.

    On a CPU each has one core: they then never wait for each other, as the threads within one
    network do after every layer.
    """

    def __init__(self, model: Model, devices: Sequence[ComputeDevice], threads: int) -> None:
        self._free: queue.SimpleQueue[TileClassifier] = queue.SimpleQueue()
        self._count = 0
        for device in devices:
            first = TileClassifier(model, device, 1)
            copies = threads if device.torch_name == "cpu" else _NETWORKS_A_GPU
            for classifier in [first, *(first.clone() for _ in range(copies - 1))]:
                self._free.put(classifier)
                self._count += 1

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def borrow(self) -> Iterator[TileClassifier]:
        """Hold a classifier of the pool for as long as the context lasts."""
        classifier = self._free.get()
        try:
            yield classifier
        finally:
            self._free.put(classifier)


@dataclass
class _WaitingTiles:
    """Tiles that were read and not classified yet, first come, first served."""

    _parts: deque[tuple[int, int, NDArray[np.uint8]]] = field(default_factory=deque)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: int, tiles: NDArray[np.uint8]) -> None:
        self._parts.append((number, 0, tiles))
        self._count += len(tiles)

    def take(
        self, max_tiles: int, *, all_read: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Return a full batch and where its tiles are from; fewer only if no more will come."""
        if not self._count or (self._count < max_tiles and not all_read):
            return None
        parts: list[NDArray[np.uint8]] = []
        places: list[NDArray[np.int64]] = []
        missing = max_tiles
        while missing and self._parts:
            number, row, tiles = self._parts.popleft()
            part = tiles[:missing]
            parts.append(part)
            rows = np.arange(row, row + len(part))
            places.append(np.column_stack([np.full(len(part), number), rows]))
            missing -= len(part)
            if len(part) < len(tiles):
                self._parts.appendleft((number, row + len(part), tiles[len(part) :]))
        self._count -= max_tiles - missing
        return np.concatenate(parts), np.concatenate(places)


class _OpenBlock:
    """A block of which some tiles are still to be classified."""

    def __init__(self, number: int, appearance: NDArray[np.float32]) -> None:
        self._number, self._appearance = number, appearance
        self._missing = len(appearance)
        self._parts: list[tuple[NDArray[np.int64], Prediction]] = []

    @property
    def is_complete(self) -> bool:
        return self._missing == 0

    def fill(
        self,
        rows: NDArray[np.int64],
        probability: NDArray[np.float32],
        embedding: NDArray[np.float32],
    ) -> None:
        self._parts.append((rows, (probability, embedding)))
        self._missing -= len(rows)

    def scores(self) -> BlockScores:
        # Two networks may end in another order than they began.
        order = np.argsort(np.concatenate([rows for rows, _ in self._parts]))
        probability, embedding = (
            np.concatenate([prediction[part] for _, prediction in self._parts])[order]
            for part in (0, 1)
        )
        return BlockScores(self._number, probability, embedding, self._appearance)


def _executor(threads: int, name: str, *, inline: bool) -> Executor:
    return _Inline() if inline else ThreadPoolExecutor(threads, thread_name_prefix=name)


class _Inline(Executor):
    """Does what it is given at once, in the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
