"""Only so much is read ahead, and a run can be cancelled at any time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_smse.models import NetworkOutput
from napari_smse.scoring import pipeline
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.pipeline import BatchScores, Pipeline
from napari_smse.scoring.read_block import read_block
from napari_smse.slides import Slide
from napari_smse.tiles import ReadBlock, TilePlan
from support.models import RednessNetwork

LONG = 20.0
READERS = 2
MakePipeline = Callable[..., Pipeline]
Running = Callable[[], list[str]]


class GatedNetwork(RednessNetwork):
    """Answers only once a gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self.gate, self.entered = gate, threading.Event()

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        self.entered.set()
        assert self.gate.wait(LONG)
        return super().forward(images)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tiles each read gave."""
    counts: list[int] = []

    def counted(slide: Slide, plan: TilePlan, block: ReadBlock) -> NDArray[np.uint8]:
        tiles = read_block(slide, plan, block)
        counts.append(len(tiles))
        return tiles

    monkeypatch.setattr(pipeline, "read_block", counted)
    return counts


@pytest.fixture
def hanging_read(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> threading.Event:
    """The slide's drive answers once the gate is open; this says that it was asked."""
    asked = threading.Event()

    def hangs(slide: Slide, plan: TilePlan, block: ReadBlock) -> NDArray[np.uint8]:
        asked.set()
        assert gate.wait(LONG)
        return read_block(slide, plan, block)

    monkeypatch.setattr(pipeline, "read_block", hangs)
    return asked


def until_no_more_is_read(told: Generator[BatchScores | None], read: list[int], least: int) -> None:
    """Iterate until there are this many tiles, and several silences in a row brought no more."""
    before, silences = -1, 0
    while silences < 5 or sum(read) < least:
        assert next(told) is None
        silences = silences + 1 if len(read) == before else 0
        before = len(read)


@pytest.mark.parametrize("networks", [1, 2])
def test_only_so_much_is_read_before_it_is_classified(
    make_pipeline: MakePipeline,
    many_blocks: TilePlan,
    eight_at_once: ComputeDevice,
    gate: threading.Event,
    read: list[int],
    networks: int,
) -> None:
    ready = pipeline._BATCHES_AHEAD * eight_at_once.batch_size * networks
    # Beyond what is held ready: what each reader was at or had before it when that was reached, and
    # the batches handed over, one more than there are networks.
    largest = max(block.tile_count for block in many_blocks.blocks)
    being_read = pipeline._BLOCKS_A_READER * READERS * largest
    bound = ready - 1 + being_read + (networks + 1) * eight_at_once.batch_size
    assert bound < many_blocks.tile_count

    made = make_pipeline(network=GatedNetwork(gate), threads=networks, readers=READERS)
    told = made.run()
    until_no_more_is_read(told, read, least=ready)
    assert sum(read) <= bound
    gate.set()
    answered = 0
    for batch in told:
        answered += 0 if batch is None else len(batch.places)
        assert sum(read) - answered <= bound
    assert answered == sum(read) == many_blocks.tile_count


@pytest.mark.usefixtures("hanging_read")
def test_a_hanging_read_leaves_the_word_to_who_iterates(
    make_pipeline: MakePipeline, many_blocks: TilePlan, gate: threading.Event
) -> None:
    told = make_pipeline().run()
    assert list(islice(told, 3)) == [None, None, None]
    gate.set()
    assert sum(len(one.completed) for one in told if one is not None) == len(many_blocks.blocks)


def test_closing_does_not_wait_for_a_hanging_read(
    make_pipeline: MakePipeline,
    hanging_read: threading.Event,
    gate: threading.Event,
    running: Running,
    still_running: Running,
) -> None:
    told = make_pipeline().run()
    assert next(told) is None
    assert hanging_read.wait(LONG)
    told.close()
    assert [name for name in running() if name.startswith("read-slide")]
    gate.set()
    assert not still_running()


def test_closing_waits_for_the_batch_that_is_computed(
    make_pipeline: MakePipeline, gate: threading.Event, running: Running
) -> None:
    # Torch that computes while the program ends brings it down.
    network = GatedNetwork(gate)
    told = make_pipeline(network=network).run()
    while not network.entered.is_set():
        assert next(told) is None
    threading.Timer(0.1, gate.set).start()
    told.close()
    assert gate.is_set()
    assert not [name for name in running() if name.startswith("classify")]


@pytest.mark.parametrize("readers", [0, 1, 3])
def test_closing_half_way_ends_everything(
    make_pipeline: MakePipeline,
    many_blocks: TilePlan,
    read: list[int],
    still_running: Running,
    readers: int,
) -> None:
    told = make_pipeline(readers=readers).run()
    next(one for one in told if one is not None)
    told.close()
    assert not still_running()
    assert 0 < len(read) < len(many_blocks.blocks)


@pytest.mark.parametrize("readers", [0, 2])
def test_a_run_that_nobody_iterates_reads_nothing(
    make_pipeline: MakePipeline, read: list[int], running: Running, readers: int
) -> None:
    told = make_pipeline(readers=readers).run()
    told.close()
    assert not read
    assert not running()
