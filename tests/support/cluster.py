"""Slides and a model that worker processes can open: files, and small ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from napari_smse.cluster import ClusterJob, SlideWork
from napari_smse.cluster.worker_task import score_blocks
from napari_smse.errors import SmseError
from napari_smse.models import (
    Model,
    ModelCard,
    SmseNetwork,
    load_model,
    save_model,
)
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.scoring.pipeline import BlockScores
from napari_smse.slides import Slide, open_slide
from support.shell import section
from support.slides import noise_image, write_pyramid_tiff

TRUNK, TILE_PX = "test_efficientnet", 64
REQUEST = ScoreRequest((0.5, 1.0), overlap=0.75)
DEVICE = choose_device("cpu", exact=True)


def write_model(folder: Path) -> Model:
    """A network whose answers depend on every pixel."""
    torch.manual_seed(0)
    network = SmseNetwork(TRUNK, embedding_dim=8).eval()
    card = ModelCard(
        name="tiny",
        version="1",
        classes=("benign", "malignant"),
        tile_px=TILE_PX,
        mpp_range=(0.2, 0.6),
        trunk=TRUNK,
        embedding_dim=8,
    )
    return load_model(save_model(network, card, folder / "tiny"))


def write_slide(
    path: Path, seed: int = 0, width: int = 700, height: int = 520, **options: Any
) -> Path:
    """Tissue that looks different everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = section(width, height).astype(np.int16)
    noise = noise_image(width, height, seed).astype(np.int16) // 8
    tissue = (pixels != section(width, height)[0, -1]).any(axis=2, keepdims=True)
    return write_pyramid_tiff(path, (pixels - noise * tissue).astype(np.uint8), mpp=0.5, **options)


def job_on(slide: Slide, model: Model, store: Path, request: ScoreRequest = REQUEST) -> ClusterJob:
    """What the command line makes of a slide."""
    plan = request.plan(slide, model.card)
    work = SlideWork.from_slide(slide, model, str(model.path), request, plan, DEVICE)
    return ClusterJob(work, plan, open_run(store, slide, model.card, request, plan, DEVICE))


def scored_here(
    path: Path, model: Model, store: Path, request: ScoreRequest = REQUEST
) -> ScoreStore:
    """The scores that one process gives."""
    with open_slide(path) as slide:
        job = job_on(slide, model, store, request)
        for _ in score(slide, model, job.plan, job.store, DEVICE):
            pass
    return job.store


def assert_equal(one: ScoreStore, other: ScoreStore) -> None:
    """The same numbers, bit for bit."""
    assert one.scale_count == other.scale_count
    for number in range(one.scale_count):
        for part in ("probability", "embedding"):
            left, right = (getattr(store.scale(number), part) for store in (one, other))
            assert left.tobytes() == right.tobytes(), part


DYING = "a_worker_dies_here"
FLAKY = "its_drive_is_lost_once_here"


def die_once(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Score blocks; the first worker to do so is killed half-way."""
    answer = score_blocks(work, numbers)
    if _is_first(work, DYING):
        psutil.Process().kill()
    return answer


def always_die(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Kill every worker that scores a slide named so."""
    if DYING in work.path.name:
        psutil.Process().kill()
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
