"""Stains are told from H&E by their colours, and scored only if that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import color

from napari_smse.errors import OtherStainError
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground, find_tissue, plan_tiles
from support.slides import write_pyramid_tiff

SIDE, GAP = 300, 100
MPP = 4.0


def stained(first: float, second: float, matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Uneven tissue on glass, dyed by so much of the first two dyes of a matrix of skimage."""
    rng = np.random.default_rng(0)
    dyes = np.zeros((SIDE + 2 * GAP, SIDE + 2 * GAP, 3))
    for dye, strength in enumerate((first, second)):
        uneven = np.clip(1 + 4 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2), 0, 3)
        dyes[GAP:-GAP, GAP:-GAP, dye] = strength * uneven
    light = color.combine_stains(dyes, matrix) * 248
    return np.clip(light + rng.normal(0, 1.5, light.shape), 0, 255).astype(np.uint8)


H_AND_E = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical densities after Ruifrok and Johnston (2001)."""

OTHERS = {
    "DAB": (stained(0.03, 0.08, color.rgb_from_hdx), "DAB"),
    "Alcian blue": (stained(0.08, 0.03, color.rgb_from_ahx), "other colours"),
    "green": (stained(0.0, 0.08, color.rgb_from_fgx), "other colours"),
    "silver": (
        np.repeat(stained(0.05, 0.06, H_AND_E).min(axis=2, keepdims=True), 3, axis=2),
        "a grey stain",
    ),
}


@pytest.mark.parametrize(
    "strengths", [(0.05, 0.06), (0.09, 0.02), (0.02, 0.08), (0.02, 0.02), (0.08, 0)]
)
def test_h_and_e_of_any_strength_is_h_and_e(tmp_path: Path, strengths: tuple[float, float]) -> None:
    path = write_pyramid_tiff(tmp_path / "a.tif", stained(*strengths, H_AND_E), mpp=MPP, levels=1)
    with open_slide(path) as slide:
        assert find_tissue(slide).stain == "H&E"


@pytest.mark.parametrize(("image", "named"), OTHERS.values(), ids=OTHERS)
def test_another_stain_is_named_and_scored_only_when_asked_for(
    tmp_path: Path, image: NDArray[np.uint8], named: str
) -> None:
    path = write_pyramid_tiff(tmp_path / "a.tif", image, mpp=MPP, levels=1)
    with open_slide(path) as slide:
        with pytest.raises(OtherStainError, match=f"a.tif looks like .*{named}.*--any-stain"):
            plan_tiles(slide, [MPP], tile_px=64)
        mask = find_tissue(slide)
        plan = plan_tiles(slide, [MPP], tile_px=64, mask=mask, any_stain=True)
        assert plan.tile_count > 10
        height, width = mask.ground.shape
        rim = round(GAP / (SIDE + 2 * GAP) * height) + 3
        inside = mask.ground[rim : height - rim, rim : width - rim] == Ground.TISSUE
        assert inside.mean() > 0.7


def test_a_green_pen_beside_tissue_is_no_stain(tmp_path: Path) -> None:
    image = stained(0.05, 0.06, H_AND_E)
    image[10:90, 20:480] = (60, 160, 90)
    path = write_pyramid_tiff(tmp_path / "a.tif", image, mpp=MPP, levels=1)
    with open_slide(path) as slide:
        mask = find_tissue(slide)
    assert mask.stain == "H&E"
    assert (mask.ground == Ground.PEN).mean() > 0.1


def test_real_slides_are_h_and_e(shared_data, sample_slide) -> None:
    for path in (shared_data / "slides" / "CMU-1-Small-Region.svs", sample_slide):
        with open_slide(path) as slide:
            assert find_tissue(slide).stain == "H&E"
