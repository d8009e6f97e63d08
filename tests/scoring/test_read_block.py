"""Tiles cut the short way are those of the long way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.scoring.read_block import cut
from napari_smse.slides import Region, Window
from support.slides import noise_image

NOISE = noise_image(400, 400)

MOST = 2 * 0.02 * 255 + 1
"""Neighbours in noise differ by up to a whole grey scale; 0.02 px off along two axes, rounded."""


@given(
    x=st.integers(5, 60),
    y=st.integers(5, 60),
    reduction=st.sampled_from([0.99, 1.0, 1.004, 1.996, 2.0, 2.01, 3.99, 4.0]),
)
@settings(deadline=None, max_examples=60)
def test_a_tile_of_whole_pixels_is_what_the_window_crops(x: int, y: int, reduction: float) -> None:
    side = round(70 * reduction)
    window, region = Window(NOISE, 0.0, 0.0, 1.0), Region(x, y, side, side)
    assert window.framed(region, (70, 70)) is not None
    assert np.abs(cut(window, region, 70).astype(int) - window.crop(region, (70, 70))).max() <= MOST


@given(
    x=st.integers(0, 300),
    y=st.integers(0, 300),
    side=st.integers(20, 100),
    downsample=st.sampled_from([1.0, 2.0, 4.0, 3.97]),
)
@settings(deadline=None, max_examples=60)
def test_any_other_tile_is_cropped_as_ever(x: int, y: int, side: int, downsample: float) -> None:
    window, region = Window(NOISE, 0.0, 0.0, downsample), Region(x, y, side, side)
    tile, cropped = cut(window, region, 17), window.crop(region, (17, 17))
    assert tile.shape == cropped.shape
    if window.framed(region, (17, 17)) is None:
        assert (tile == cropped).all()
    else:
        assert np.abs(tile.astype(int) - cropped).max() <= MOST


@pytest.mark.parametrize(
    "region",
    [Region(0, 50, 70, 70), Region(50, 0, 70, 70), Region(330, 50, 70, 70), Region(9, 9, 105, 105)],
    ids=["left edge", "top edge", "right edge", "one and a half"],
)
def test_there_is_no_frame_where_none_fits(region: Region) -> None:
    assert Window(NOISE, 0.0, 0.0, 1.0).framed(region, (70, 70)) is None


def test_pixels_that_cannot_be_written_to_are_taken_without_a_warning() -> None:
    pixels = NOISE.copy()
    pixels.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut(Window(pixels, 0.0, 0.0, 1.0), Region(10, 10, 71, 71), 70)
