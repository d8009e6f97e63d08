from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.errors import RegionError
from napari_smse.slides import Region, Window
from support.slides import noise_image, ramp_image

NOISE = noise_image(300, 200)


def test_crop_at_its_own_scale_is_the_pixels() -> None:
    window = Window(NOISE, 0.0, 0.0, 1.0)
    assert (window.crop(Region(17, 33, 60, 50), (60, 50)) == NOISE[33:83, 17:77]).all()


def test_crop_knows_where_the_window_lies() -> None:
    window = Window(NOISE[40:160, 80:280], 320.0, 160.0, 4.0)
    assert (window.crop(Region(400, 240, 80, 40), (20, 10)) == NOISE[60:70, 100:120]).all()


@given(
    x=st.integers(0, 60), y=st.integers(0, 40), side=st.integers(20, 100), out=st.integers(5, 120)
)
@settings(deadline=None)
def test_crop_centres_lie_where_they_should(x: int, y: int, side: int, out: int) -> None:
    """On a ramp a resampled value says the position of its centre."""
    window = Window(ramp_image(256, 256), 0.0, 0.0, 1.0)
    pixels = window.crop(Region(20 + x, 20 + y, side, side), (out, out))
    centres = (np.arange(out) + 0.5) * side / out - 0.5
    assert np.abs(pixels[out // 2, :, 0] - (20 + x + centres)).max() <= 1.0
    assert np.abs(pixels[:, out // 2, 1] - (20 + y + centres)).max() <= 1.0


def test_crop_is_anti_aliased() -> None:
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
    window = Window(np.stack([checks.astype(np.uint8)] * 3, axis=-1), 0.0, 0.0, 1.0)
    small = window.crop(Region(32, 32, 192, 192), (48, 48))
    assert np.abs(small.astype(int) - 127).max() <= 2


@given(data=st.data(), reduction=st.floats(1.0, 6.0))
@settings(deadline=None, max_examples=50)
def test_crop_is_the_same_from_a_smaller_window(data: st.DataObject, reduction: float) -> None:
    left, top = data.draw(st.integers(20, 100)), data.draw(st.integers(20, 60))
    out = data.draw(st.integers(2, 10))
    side = max(1, int(out * reduction))
    region = Region(left, top, side, side)
    whole = Window(NOISE, 0.0, 0.0, 1.0).crop(region, (out, out))
    margin = 10
    part = NOISE[top - margin : top + side + margin, left - margin : left + side + margin]
    cut = Window(part, left - margin, top - margin, 1.0).crop(region, (out, out))
    assert np.abs(whole.astype(int) - cut).max() <= 1


@pytest.mark.parametrize(
    "region", [Region(-1, 0, 10, 10), Region(295, 0, 10, 10), Region(0, 195, 10, 10)]
)
def test_crop_outside_the_window_is_refused(region: Region) -> None:
    with pytest.raises(RegionError, match="outside the window"):
        Window(NOISE, 0.0, 0.0, 1.0).crop(region, (10, 10))


def test_empty_crop_is_refused() -> None:
    with pytest.raises(RegionError, match="empty"):
        Window(NOISE, 0.0, 0.0, 1.0).crop(Region(5, 5, 0, 10), (10, 10))
