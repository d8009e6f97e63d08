"""Sections of one slide that are stained unlike each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_smse.slides import Region, Slide, open_slide
from napari_smse.tiles import Ground, classify_ground

MPP = 8.0
GLASS = np.array([248.0, 247.0, 248.0])
EOSIN = np.array([0.10, 0.42, 0.20])
"""Optical density of each channel."""
SIDE, GAP = 120, 50

Image = NDArray[np.uint8]


def density(seed: int) -> NDArray[np.float64]:
    """How much of the dye tissue takes up, place by place, around 1."""
    rng = np.random.default_rng(seed)
    return np.clip(1 + gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1.5) * 1.6, 0.3, 2)


def slide_of(*sections: NDArray[np.float64]) -> Image:
    """Squares of these densities beside each other, on glass, with a camera's noise."""
    width = GAP + len(sections) * (SIDE + GAP)
    dye = np.zeros((SIDE + 2 * GAP, width))
    for number, section in enumerate(sections):
        left = GAP + number * (SIDE + GAP)
        dye[GAP : GAP + SIDE, left : left + SIDE] = section
    light = GLASS * np.exp(-dye[..., np.newaxis] * EOSIN * 2.3)
    noise = np.random.default_rng(9).normal(0, 1.5, light.shape)
    return np.clip(light + noise, 0, 255).astype(np.uint8)


def found(image: Image, number: int) -> float:
    """Fraction of a square that is called tissue."""
    left = GAP + number * (SIDE + GAP)
    square = classify_ground(image, MPP)[GAP : GAP + SIDE, left : left + SIDE]
    return float((square == Ground.TISSUE).mean())


def test_a_pale_section_is_found_beside_a_dark_one_as_it_is_alone() -> None:
    strengths = (1.0, 0.5, 0.35, 0.25)
    sections = [density(seed) * strength for seed, strength in enumerate(strengths)]
    together = slide_of(*sections)
    for number, section in enumerate(sections):
        alone = found(slide_of(section), 0)
        assert alone > 0.9
        assert found(together, number) == pytest.approx(alone, abs=0.03)


def test_a_haze_beside_a_dark_section_is_glass() -> None:
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    haze = 0.38 * np.exp(-2 * (rows**2 + columns**2))
    assert found(slide_of(density(0), haze), 1) == 0
    # As dark as tissue that is found there.
    assert found(slide_of(density(0), haze.mean() * density(1)), 1) > 0.5


@pytest.fixture
def skin(shared_data) -> Slide:
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        yield slide


def test_real_tissue_at_a_quarter_of_its_stain(skin: Slide) -> None:
    overview = skin.read(Region(0, 0, skin.width, skin.height), MPP).astype(float)
    white = np.percentile(overview, 99, axis=(0, 1))
    absorbed = -np.log(np.clip(overview / white, 1 / 255, 1))
    height, width = overview.shape[:2]
    image = np.tile(white, (height, 2 * width + 60, 1))
    for left, strength in ((0, 1.0), (width + 60, 0.25)):
        image[:, left : left + width] = white * np.exp(-absorbed * strength)
    ground = classify_ground(np.clip(image, 0, 255).astype(np.uint8), MPP) == Ground.TISSUE
    dark, pale = ground[:, :width].mean(), ground[:, width + 60 :].mean()
    assert pale > 0.75 * dark
