"""Threads that make the batches of a training ahead of time, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.pixels import ImageCache
from napari_smse.training.augmentation import augmented_tile, colour_jittered, flipped, whole_frame
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import Crop
from napari_smse.training.seeding import generator_of

_BATCHES_AHEAD: Final = 2


class Sampler(Protocol):
    """Decides which crops are in a step's joint batch."""

    def draw(self, step: int) -> list[Crop]:
        """Return the crops, in order; the same whenever asked."""


MakeTile = Callable[[Crop, torch.Generator], Tensor]


class Batch(NamedTuple):
    """The share of a step's joint batch that one process computes.

    Attributes
    ----------
    step
        Counted from 0.
    images
        ``(share, 3, h, w)``, uint8 RGB.
    """

    step: int
    images: Tensor


def tile_maker(
    images: Sequence[LabelledImage],
    recipe: Recipe,
    cache: ImageCache,
    frame: tuple[int, int] | None = None,
) -> MakeTile:
    """Return what makes the augmented tile of a drawn crop.

    Parameters
    ----------
    images
        That crops refer to.
    recipe
        Size and augmentation.
    cache
        To read through.
    frame
        Height and width, for a network that takes whole images of one size instead.
    """

    def make_tile(crop: Crop, generator: torch.Generator) -> Tensor:
        image = images[crop.image]
        return augmented_tile(cache.read(image), image.mpp, crop, recipe, generator)

    def make_frame(crop: Crop, generator: torch.Generator) -> Tensor:
        assert frame is not None
        whole = flipped(whole_frame(cache.read(images[crop.image]), frame), generator)
        return colour_jittered(whole, recipe.colour, generator)

    return make_tile if frame is None else make_frame


def load_batches(
    draws: Sampler,
    make_tile: MakeTile,
    *,
    seed: int,
    steps: range,
    share: slice = slice(None),
    threads: int = 2,
) -> Generator[Batch, None, None]:
    """Yield the batches of some steps in order, made ahead by threads.

    Each crop has a generator of its own, seeded by seed, step and its position in the joint
    batch, so it does not matter how many threads or processes there are.

    Parameters
    ----------
    draws
        What is in the batches.
    make_tile
        What makes a crop's tile.
    seed
        Of the augmentation.
    steps
        Whose batches to make.
    share
        The part of each joint batch that this process makes.
    threads
        How many.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    stopped = threading.Event()

    def make(crop: Crop, step: int, position: int) -> Tensor:
        # Without this, closing would wait for all that was ordered.
        if stopped.is_set():
            return torch.empty(0)
        return make_tile(crop, generator_of(seed, step, position))

    with ThreadPoolExecutor(threads, thread_name_prefix="crops") as pool:

        def order(step: int) -> list[Future[Tensor]]:
            crops = list(enumerate(draws.draw(step)))[share]
            return [pool.submit(make, crop, step, position) for position, crop in crops]

        waiting: deque[list[Future[Tensor]]] = deque()
        ahead = iter(steps)
        try:
            for step in steps:
                while len(waiting) <= _BATCHES_AHEAD and (later := next(ahead, None)) is not None:
                    waiting.append(order(later))
                yield Batch(step, torch.stack([tile.result() for tile in waiting.popleft()]))
        finally:
            stopped.set()
