"""Where crops lie and what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_smse.learning.crops import augmented_crop, crop_at, draw_scale, plain_crops
from napari_smse.learning.stain import jitter_stain

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


@given(st.integers(0, 10_000))
def test_scales_stay_in_range(seed: int) -> None:
    assert 0.2 <= draw_scale((0.2, 0.6), np.random.default_rng(seed)) <= 0.6


def test_scales_are_log_uniform() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log([draw_scale((0.1, 1.0), rng) for _ in range(4000)])
    assert np.median(drawn) == pytest.approx(np.log(0.1**0.5), abs=0.06)


def test_plain_crops_are_at_the_products_scales() -> None:
    image = ramp(250, 250)
    both = plain_crops(image, 0.2, (0.2, 0.6), 64)
    # 250 px at 0.2 are 200 px at 0.25: two crops; 100 px at 0.5: two.
    assert len(both) == 4
    assert len(plain_crops(image, 0.2, (0.2, 0.4), 64)) == 2
    (only,) = plain_crops(ramp(90, 90), 0.35, (0.3, 0.4), 64)
    span = float(only[32, -1, 0]) - float(only[32, 0, 0])
    assert span == pytest.approx(63 * 0.4 / 0.35, rel=0.05)


def test_augmentation_repeats_with_its_seed_and_varies_without() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8))
    crops = [
        augmented_crop(image, 0.5, (0.4, 0.6), np.random.default_rng(seed), 64)
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(crops[0], crops[1])
    assert not np.array_equal(crops[0], crops[2])
    assert crops[0].shape == (64, 64, 3)


def test_stain_jitter_of_no_strength_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    same = jitter_stain(image, np.random.default_rng(1), 0.0)
    assert np.abs(same.astype(int) - image).max() <= 1


def test_stain_jitter_changes_colour_and_keeps_structure() -> None:
    rng = np.random.default_rng(0)
    image = np.full((32, 32, 3), (220, 170, 200), dtype=np.uint8)
    image[8:24, 8:24] = (90, 60, 140)
    for _ in range(20):
        changed = jitter_stain(image, rng).astype(int)
        assert changed[0, 0].sum() > changed[16, 16].sum()
    assert np.abs(changed - image).max() > 3
