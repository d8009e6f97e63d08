"""A slide in many small blocks, and pipelines on it whose threads are watched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from napari_smse.scoring import ScoreRequest, choose_device
from napari_smse.scoring.block_order import BlockOrder
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.pipeline import Pipeline
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan
from support.cluster import write_slide
from support.models import RednessNetwork, redness_model

LONG = 20.0
"""Seconds until a test gives up on a thread."""

MakePipeline = Callable[..., Pipeline]


@pytest.fixture(scope="session")
def varied_slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """Tissue that looks different everywhere."""
    with open_slide(write_slide(tmp_path_factory.mktemp("slide") / "slide.tif")) as opened:
        yield opened


@pytest.fixture(scope="session")
def many_blocks(varied_slide: Slide) -> TilePlan:
    """Many small blocks, of a number of tiles that fills no batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 128)
        made = ScoreRequest((0.5, 1.0), overlap=0.5).plan(varied_slide, redness_model().card)
    assert len(made.blocks) > 15
    return made


@pytest.fixture
def eight_at_once() -> ComputeDevice:
    """The CPU, with batches that several blocks fill."""
    return replace(choose_device("cpu", exact=True), batch_size=8)


@pytest.fixture
def make_pipeline(
    monkeypatch: pytest.MonkeyPatch,
    varied_slide: Slide,
    many_blocks: TilePlan,
    eight_at_once: ComputeDevice,
) -> MakePipeline:
    """Make a pipeline over all blocks, which says every moment that it has nothing to say."""
    monkeypatch.setattr("napari_smse.scoring.pipeline.MAX_SILENCE_S", 0.02)

    def make(
        *devices: ComputeDevice,
        network: RednessNetwork | None = None,
        threads: int = 1,
        readers: int = 2,
    ) -> Pipeline:
        return Pipeline(
            varied_slide,
            replace(redness_model(), network=network or RednessNetwork()),
            many_blocks,
            BlockOrder(many_blocks, range(len(many_blocks.blocks))),
            devices or [eight_at_once],
            threads=threads,
            readers=readers,
        )

    return make


@pytest.fixture
def running() -> Callable[[], list[str]]:
    """Names of the pipeline's threads that are alive now."""

    def names() -> list[str]:
        every = [one.name for one in threading.enumerate()]
        return [name for name in every if name.startswith(("read-slide", "classify"))]

    return names


@pytest.fixture
def still_running(running: Callable[[], list[str]]) -> Callable[[], list[str]]:
    """Names of the pipeline's threads that do not end by themselves."""

    def names() -> list[str]:
        for one in threading.enumerate():
            if one.name in running():
                one.join(LONG)
        return running()

    return names


@pytest.fixture
def gate(still_running: Callable[[], list[str]]) -> Iterator[threading.Event]:
    """What something waits for; opened at the end, so that no test leaves a thread behind."""
    event = threading.Event()
    yield event
    event.set()
    assert not still_running()
