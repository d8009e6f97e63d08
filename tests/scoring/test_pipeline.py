"""Reading and classifying at the same time: nothing lost, and errors come out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_smse.errors import DamagedSlideError
from napari_smse.models import NetworkOutput
from napari_smse.scoring import choose_device, pipeline
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.pipeline import BatchScores, Pipeline
from napari_smse.scoring.read_block import read_block
from napari_smse.slides import Slide
from napari_smse.tiles import ReadBlock, TilePlan
from support.models import RednessNetwork

LONG = 20.0
BATCH = 8
DEVICE = replace(choose_device("cpu", exact=True), batch_size=BATCH)
OTHER = replace(DEVICE, label="CPU, another")
MakePipeline = Callable[..., Pipeline]
Running = Callable[[], list[str]]


class BreakingNetwork(RednessNetwork):
    """Answers twice."""

    error = RuntimeError("the network broke")

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        output = super().forward(images)
        if len(self.batches) > 2:
            raise self.error
        return output


@pytest.fixture(scope="module")
def expected(varied_slide: Slide, many_blocks: TilePlan) -> list[NDArray[np.float64]]:
    """How malignant each tile of each block is, by numpy."""
    answers = []
    for block in many_blocks.blocks:
        colour = read_block(varied_slide, many_blocks, block).astype(float).mean(axis=(1, 2))
        answers.append(1 / (1 + np.exp((colour[:, 1] - colour[:, 0]) / 16)))
    return answers


def assert_whole(told: list[BatchScores | None], expected: list[NDArray[np.float64]]) -> None:
    """Every tile once, every block once, and each answer at its own place."""
    batches = [one for one in told if one is not None]
    at = np.concatenate([batch.places for batch in batches])
    every = [(number, row) for number, rows in enumerate(expected) for row in range(len(rows))]
    assert sorted(map(tuple, at.tolist())) == every
    for batch in batches:
        right = [expected[number][row] for number, row in batch.places]
        np.testing.assert_allclose(batch.probability[:, 1], right, atol=1e-4)
    blocks = [block for batch in batches for block in batch.completed]
    assert sorted(block.number for block in blocks) == list(range(len(expected)))
    for block in blocks:
        np.testing.assert_allclose(block.probability[:, 1], expected[block.number], atol=1e-4)
        assert block.embedding.shape == (len(expected[block.number]), 3)


def test_the_tiles_of_these_tests_are_answered_differently(
    expected: list[NDArray[np.float64]],
) -> None:
    # Otherwise answers could change places unnoticed.
    assert len(np.unique(np.concatenate(expected).round(3))) > BATCH


@pytest.mark.parametrize("readers", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_tile_is_answered_once_at_its_place(
    make_pipeline: MakePipeline,
    expected: list[NDArray[np.float64]],
    still_running: Running,
    readers: int,
    threads: int,
) -> None:
    told = list(make_pipeline(DEVICE, threads=threads, readers=readers).run())
    assert_whole(told, expected)
    sizes = sorted(len(batch.places) for batch in told if batch is not None)
    assert set(sizes[1:]) == {BATCH}  # at most one could not be filled
    assert not still_running()


def test_two_devices_of_different_size_share_the_tiles(
    make_pipeline: MakePipeline, expected: list[NDArray[np.float64]]
) -> None:
    assert_whole(list(make_pipeline(replace(DEVICE, batch_size=3), OTHER).run()), expected)


def test_answers_of_a_later_batch_may_come_first(
    make_pipeline: MakePipeline, expected: list[NDArray[np.float64]]
) -> None:
    third = threading.Event()

    class FirstIsSlow(RednessNetwork):
        def forward(self, images: torch.Tensor) -> NetworkOutput:
            output = super().forward(images)
            if len(self.batches) >= 3:
                third.set()
            elif len(self.batches) == 1:
                assert third.wait(LONG)
            return output

    told = list(make_pipeline(DEVICE, network=FirstIsSlow(), threads=2).run())
    assert_whole(told, expected)


def test_with_no_readers_no_thread_is_started(
    monkeypatch: pytest.MonkeyPatch, make_pipeline: MakePipeline
) -> None:
    monkeypatch.setattr(pipeline, "ThreadPoolExecutor", None)
    assert len(list(make_pipeline(readers=0).run())) > 1


@pytest.mark.parametrize(
    ("devices", "threads"),
    [([DEVICE], 2), ([DEVICE, OTHER], 1), ([replace(DEVICE, torch_name="cuda:0")], 1)],
    ids=["two cores", "two devices", "one GPU"],
)
def test_two_networks_work_at_the_same_time_each_for_one_thread(
    monkeypatch: pytest.MonkeyPatch,
    make_pipeline: MakePipeline,
    devices: list[ComputeDevice],
    threads: int,
) -> None:
    meeting = threading.Barrier(2, timeout=LONG)
    used_by: list[ComputeDevice] = []

    class Classifier:
        def __init__(self, model: object, device: ComputeDevice, threads: int) -> None:
            self.device, self.busy = device, threading.Lock()

        def clone(self) -> Classifier:
            return Classifier(None, self.device, 1)

        def __call__(self, tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            assert self.busy.acquire(blocking=False)
            used_by.append(self.device)
            # The first two only: who comes last comes alone.
            if len(used_by) <= 2:
                meeting.wait()
            self.busy.release()
            return np.zeros((len(tiles), 2), np.float32), np.zeros((len(tiles), 3), np.float32)

    monkeypatch.setattr(pipeline, "TileClassifier", Classifier)
    for _ in make_pipeline(*devices, threads=threads).run():
        pass
    assert set(used_by) == set(devices)


@pytest.mark.parametrize("readers", [0, 1, 3])
def test_an_error_while_reading_comes_out_and_ends_everything(
    monkeypatch: pytest.MonkeyPatch,
    make_pipeline: MakePipeline,
    many_blocks: TilePlan,
    still_running: Running,
    readers: int,
) -> None:
    error = DamagedSlideError("the slide is damaged here")
    begun: list[int] = []

    def breaks(slide: Slide, plan: TilePlan, block: ReadBlock) -> NDArray[np.uint8]:
        begun.append(1)
        if block is plan.blocks[4]:
            raise error
        return read_block(slide, plan, block)

    monkeypatch.setattr(pipeline, "read_block", breaks)
    with pytest.raises(DamagedSlideError) as told:
        list(make_pipeline(readers=readers).run())
    assert told.value is error
    assert not still_running()
    assert len(begun) < len(many_blocks.blocks)


@pytest.mark.parametrize("readers", [0, 1, 3])
def test_an_error_in_the_network_comes_out_and_ends_everything(
    make_pipeline: MakePipeline, still_running: Running, readers: int
) -> None:
    network = BreakingNetwork()
    with pytest.raises(RuntimeError) as told:
        list(make_pipeline(network=network, readers=readers).run())
    assert told.value is network.error
    assert not still_running()


@pytest.mark.parametrize("readers", [0, 2])
def test_the_time_of_both_stages_is_counted(make_pipeline: MakePipeline, readers: int) -> None:
    made = make_pipeline(readers=readers)
    list(made.run())
    assert made.times.seconds("reading") > 0
    assert made.times.seconds("network") > 0
