"""Where crops lie and what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_smse.datasets.crops import centre_around, crop_at

unit = st.floats(0, 1)
side = st.integers(1, 250)


def ramp(width: int, height: int) -> Image.Image:
    """Red grows by one a px to the right, green by one a px downwards."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x, y, 0 * x + 9], axis=-1).astype(np.uint8))


@given(side, side, st.floats(0.1, 1.0), st.floats(0.2, 0.6), unit, unit)
def test_every_crop_has_the_asked_size(
    width: int, height: int, mpp: float, target: float, x: float, y: float
) -> None:
    crop = crop_at(ramp(width, height), mpp, target, (x, y), 64)
    assert crop.shape == (64, 64, 3)
    assert crop.dtype == np.uint8
    assert (crop[..., 2] == 9).all()


@given(unit, unit)
def test_a_crop_lies_where_asked(x: float, y: float) -> None:
    crop = crop_at(ramp(200, 150), 0.5, 0.5, (x, y), 64)
    assert crop[0, 0, 0] == pytest.approx(x * (200 - 64), abs=1)
    assert crop[0, 0, 1] == pytest.approx(y * (150 - 64), abs=1)
    np.testing.assert_allclose(np.diff(crop[0, :, 0].astype(int)), 1, atol=1)


@pytest.mark.parametrize("target", [0.25, 0.5, 0.75, 1.0])
def test_a_crop_spans_its_physical_side(target: float) -> None:
    crop = crop_at(ramp(250, 250), 0.5, target, (0.5, 0.5), 64)
    span = float(crop[32, -1, 0]) - float(crop[32, 0, 0])
    assert span * 0.5 == pytest.approx(63 * target, rel=0.05)


def test_what_is_missing_is_mirrored() -> None:
    crop = crop_at(ramp(40, 100), 0.5, 0.5, (0, 0), 64)
    left = (64 - 40) // 2
    assert (crop[0, left : left + 40, 0] == np.arange(40)).all()
    assert (crop[0, :left, 0] == np.arange(left, 0, -1)).all()
    assert (crop[0, left + 40 :, 0] == np.arange(38, 38 - 12, -1)).all()


@given(unit, unit, st.floats(0.25, 0.6))
def test_a_crop_around_a_place_has_it_in_the_middle_or_ends_at_the_edge(
    x: float, y: float, target: float
) -> None:
    picture = ramp(250, 200)
    crop = crop_at(picture, 0.5, target, centre_around(picture, 0.5, target, (x, y), 64), 64)
    half = 32 * target / 0.5
    for channel, place, length in ((0, x, 250), (1, y, 200)):
        middle = min(max(place * length, half), length - half)
        assert crop[32, 32, channel] == pytest.approx(middle, abs=1.5)


def test_a_crop_larger_than_the_image_is_around_its_middle() -> None:
    assert centre_around(ramp(40, 100), 0.5, 0.5, (0, 0), 64) == (0.5, 0)
