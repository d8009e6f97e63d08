"""What a worker does: read some blocks of a slide and classify their tiles."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_smse import models
from napari_smse.cluster.slide_task import SlideWork
from napari_smse.errors import SmseError, WorkerError
from napari_smse.scoring import ComputeDevice, choose_device, read_block
from napari_smse.scoring.device import computes_bfloat16
from napari_smse.scoring.open_run import plan_hash
from napari_smse.scoring.pipeline import BlockScores
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan
from napari_smse.tiles.appearance import appearance_features
from napari_smse.tiles.mask_choice import unpack_mask

if TYPE_CHECKING:
    from napari_smse.models import Model

_SLIDES_OPEN = 4


def score_blocks(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores] | SmseError:
    """Score blocks of a slide.

    Parameters
    ----------
    work
        The slide, the model and how to run it.
    numbers
        Numbers of the blocks in its plan.

    Returns
    -------
    The blocks, whole; or, as trying again would not help, an error with a name.
    """
    try:
        return _scored(work, numbers)
    except SmseError as error:
        return error


def _scored(work: SlideWork, numbers: Sequence[int]) -> list[BlockScores]:
    with _naming_machine(work):
        slide, plan = _opened(work)
        classifiers = _classifiers(work.model, work.weights_sha256, work.device)
    tiles = [read_block(slide, plan, plan.blocks[number]) for number in numbers]
    with classifiers.borrow() as classify:
        # All at once: a batch that is not full costs as much as one that is.
        probability, embedding = classify(np.concatenate(tiles))
    ends = np.cumsum([len(part) for part in tiles])[:-1]
    scores = zip(np.split(probability, ends), np.split(embedding, ends), strict=True)
    return [
        BlockScores(number, *block, appearance_features(part))
        for number, block, part in zip(numbers, scores, tiles, strict=True)
    ]


@contextmanager
def _naming_machine(work: SlideWork) -> Iterator[None]:
    """Name the machine on which something is missing."""
    try:
        yield
    except SmseError as error:
        raise WorkerError(
            f"the worker on {socket.gethostname()} cannot score {work.path.name}: {error}"
        ) from error


# Opened once for all tasks of a process. What falls out of a cache is closed when nobody holds it.
@lru_cache(maxsize=_SLIDES_OPEN)
def _opened(work: SlideWork) -> tuple[Slide, TilePlan]:
    slide = open_slide(work.path, mpp=work.mpp)
    try:
        return slide, _same_plan(work, slide)
    except SmseError:
        slide.close()
        raise


def _same_plan(work: SlideWork, slide: Slide) -> TilePlan:
    """Plan as the machine that sent the task did.

    Raises
    ------
    WorkerError
        If the slide or the plan is another one here.
    """
    if slide.quick_hash != work.quick_hash:
        raise WorkerError(
            f"{work.path} is another file there; give workers the same folders under the same names"
        )
    mask = unpack_mask(work.mask) if work.mask else None
    plan = work.request.plan(slide, _model(work.model, work.weights_sha256).card, mask)
    if plan_hash(plan) != work.plan:
        raise WorkerError(
            "it finds other tiles than this machine; install the same versions of napari-smse, "
            "openslide-bin, scikit-image and tifffile on all of them"
        )
    return plan


@lru_cache(maxsize=1)
def _model(name: str, weights_sha256: str) -> Model:
    model = models.load_model(name)
    if model.card.weights_sha256 != weights_sha256:
        raise WorkerError(f"its model {name} is another one; give all machines the same")
    return model


@lru_cache(maxsize=1)
def _classifiers(model: str, weights_sha256: str, device: ComputeDevice) -> _Classifiers:
    import torch

    torch.set_num_threads(1)
    choose_device(device.torch_name)  # raises if there is none
    if device.torch_name == "cpu" and device.precision == "bfloat16" and not computes_bfloat16():
        raise WorkerError("its CPU has no bfloat16, in which the others compute; add --float32")
    return _Classifiers(TileClassifier(_model(model, weights_sha256), device, 1))


class _Classifiers:
    """A classifier for each thread of a worker that needs one at the same time.

    Parameters
    ----------
    first
        Others are its clones.
    """

    def __init__(self, first: TileClassifier) -> None:
        self._first = first
        self._free: queue.SimpleQueue[TileClassifier] = queue.SimpleQueue()
        self._free.put(first)

    @contextmanager
    def borrow(self) -> Iterator[TileClassifier]:
        """Hold one of them for as long as the context lasts."""
        try:
            classifier = self._free.get_nowait()
        except queue.Empty:
            classifier = self._first.clone()
        try:
            yield classifier
        finally:
            self._free.put(classifier)
