"""What a tile looks like, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_smse.tiles.appearance import MEASURES, appearance_features
from support.slides import noise_image


def measure(tile: np.ndarray, name: str) -> float:
    return float(appearance_features(tile[None])[0, MEASURES.index(name)])


def pink(seed: int = 0) -> np.ndarray:
    """A tile like eosin with dark spots."""
    noise = noise_image(224, 224, seed)[..., :1].astype(float) / 255
    return (np.array([215, 150, 190]) - noise * np.array([60, 90, 40])).astype(np.uint8)


@settings(max_examples=30)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), *(st.integers(1, 70),) * 2, st.just(3))))
def test_whatever_the_pixels_the_numbers_are_numbers(tiles):
    found = appearance_features(tiles)
    assert found.shape == (len(tiles), len(MEASURES))
    assert np.isfinite(found).all()


def test_each_tile_is_measured_for_itself():
    tiles = np.stack([pink(seed) for seed in range(3)])
    together = appearance_features(tiles)
    alone = np.concatenate([appearance_features(tile[None]) for tile in tiles])
    np.testing.assert_array_equal(together, alone)


def test_no_tiles_have_no_looks():
    assert appearance_features(np.empty((0, 224, 224, 3), np.uint8)).shape == (0, len(MEASURES))


def test_density_rises_as_a_channel_darkens():
    dark = pink() // np.array([2, 1, 1], dtype=np.uint8)
    assert measure(dark, "optical density of red") > measure(pink(), "optical density of red")
    assert measure(dark, "optical density of green") == pytest.approx(
        measure(pink(), "optical density of green")
    )
    assert measure(dark, "share of red in the stain") > measure(pink(), "share of red in the stain")


def test_blur_takes_fine_detail_before_coarse():
    from PIL import Image, ImageFilter

    sharp = pink()
    soft = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(2)))
    for name in ("fine detail", "fine over coarse detail"):
        assert measure(soft, name) < measure(sharp, name) - 0.3


def test_glass_is_not_stained():
    glass = np.full((224, 224, 3), 243, np.uint8)
    assert measure(glass, "stained share") == 0
    assert measure(pink(), "stained share") > 0.9


def test_channels_that_go_together_correlate():
    grey = np.repeat(noise_image(224, 224)[..., :1], 3, axis=2)
    assert measure(grey, "red with blue") == pytest.approx(1, abs=1e-3)
    assert abs(measure(noise_image(224, 224), "red with blue")) < 0.1
