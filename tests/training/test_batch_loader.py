"""Batches made ahead by threads, and the images they are made of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from napari_smse.datasets import pixels
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.pixels import ImageCache
from napari_smse.errors import DataError
from napari_smse.training.batch_loader import load_batches, tile_maker
from napari_smse.training.sampler import BalancedBatchSampler, Crop
from support.training import SMALL, mini_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return mini_set(tmp_path_factory.mktemp("pictures"))


def draws(data: LabelledSet) -> BalancedBatchSampler:
    return BalancedBatchSampler(
        data.images, range(len(data.images)), cases_per_class=2, crops_per_case=2
    )


def batches(data: LabelledSet, **options: object) -> list[Tensor]:
    make = tile_maker(data.images, SMALL, ImageCache())
    made = load_batches(draws(data), make, seed=3, steps=range(5), **options)
    return [batch.images for batch in made]


def test_batches_come_in_order_and_repeat(data: LabelledSet) -> None:
    make = tile_maker(data.images, SMALL, ImageCache())
    some = list(load_batches(draws(data), make, seed=3, steps=range(2, 5)))
    assert [batch.step for batch in some] == [2, 3, 4]
    assert some[0].images.shape == (8, 3, 32, 32)
    for one, other in zip(some, batches(data)[2:], strict=True):
        assert torch.equal(one.images, other)


def test_the_number_of_threads_changes_nothing(data: LabelledSet) -> None:
    for batch, other in zip(batches(data, threads=1), batches(data, threads=4), strict=True):
        assert torch.equal(batch, other)


def test_shares_put_together_are_the_joint_batch(data: LabelledSet) -> None:
    first, second = batches(data, share=slice(0, 3)), batches(data, share=slice(3, 8))
    for whole, *parts in zip(batches(data), first, second, strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_tiles_are_made_a_few_batches_ahead_and_no_more(data: LabelledSet) -> None:
    made: list[Crop] = []
    enough = threading.Event()

    def count(crop: Crop, _generator: torch.Generator) -> Tensor:
        made.append(crop)
        if len(made) == 3 * 8:
            enough.set()
        return torch.zeros(3, 4, 4)

    running = load_batches(draws(data), count, seed=0, steps=range(50))
    next(running)
    assert enough.wait(30)
    assert len(made) == 3 * 8
    running.close()
    assert len(made) == 3 * 8
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crops")]


def test_an_unreadable_image_stops_the_feed_by_name(tmp_path: Path) -> None:
    data = mini_set(tmp_path, cases=2, images=1)
    data.images[0].path.write_bytes(b"no picture")
    make = tile_maker(data.images, SMALL, ImageCache())
    with pytest.raises(DataError, match=data.images[0].path.name):
        list(load_batches(draws(data), make, seed=0, steps=range(10)))


def test_whole_frames_are_fed_to_networks_that_take_them(data: LabelledSet) -> None:
    make = tile_maker(data.images, SMALL, ImageCache(), frame=(40, 48))
    made = next(load_batches(draws(data), make, seed=0, steps=range(1)))
    assert made.images.shape == (8, 3, 40, 48)


def test_images_are_decoded_once_while_there_is_room(
    data: LabelledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(image):
        read.append(image.path.name)
        return real(image)

    real = pixels.read_pixels
    monkeypatch.setattr(pixels, "read_pixels", counted)
    size = 3 * 48 * 40
    cache = ImageCache(max_bytes=2 * size)
    first, second, third = data.images[:3]
    for image in (first, second, first, third, first, second):
        assert cache.read(image).size == (48, 40)
        assert cache.cached_bytes <= 2 * size
    # The second was used longest ago when the third came.
    assert read == [one.path.name for one in (first, second, third, second)]


def test_an_image_larger_than_the_cache_is_read_all_the_same(data: LabelledSet) -> None:
    cache = ImageCache(max_bytes=10)
    assert cache.read(data.images[0]).size == (48, 40)
    assert cache.cached_bytes == 0
