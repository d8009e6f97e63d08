"""What a tile looks like, in numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_smse.slides import Region, open_slide
from napari_smse.tiles.appearance import MEASURES, appearance_features, focus
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


@pytest.mark.parametrize("mpp", [0.5, 1.0, 2.0])
def test_focus_falls_with_every_blur_of_real_tissue(shared_data: Path, mpp: float) -> None:
    def blurred(sigma: float) -> np.ndarray:
        return ndimage.gaussian_filter(tiles.astype(np.float32), (0, sigma, sigma, 0))

    rng, tiles = np.random.default_rng(0), []
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        side = int(224 * mpp / slide.mpp)
        while len(tiles) < 8:
            x, y = (int(rng.integers(0, size - side)) for size in (slide.width, slide.height))
            tile = slide.read(Region(x, y, side, side), mpp)
            if tile[..., 1].mean() < 205:
                tiles.append(tile)
    tiles = np.stack(tiles)
    found = np.stack(
        [
            focus(appearance_features(blurred(sigma).round().astype(np.uint8)))
            for sigma in (0, 0.5, 1, 1.5, 2, 3, 4)
        ]
    )
    assert (np.diff(found, axis=0) < 0).all()
    assert found[0].min() > found[3].max()  # sharp tiles are told from those blurred by 1.5 px


def test_focus_is_of_the_picture_and_not_of_its_stain() -> None:
    tile = pink()
    density = -np.log10((tile.astype(float) + 1) / 256)
    pale = np.clip(256 * 10 ** (-0.6 * density) - 1, 0, 255).round().astype(np.uint8)
    strong, weak = focus(appearance_features(np.stack([tile, pale])))
    assert weak == pytest.approx(strong, rel=0.15)
    assert np.isnan(focus(np.full((1, len(MEASURES)), np.nan, np.float32))).all()
