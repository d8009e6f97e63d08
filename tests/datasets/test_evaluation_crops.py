from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_smse.datasets.crops import (
    crop_grid,
    evaluation_crops,
    evaluation_scales,
    evaluation_tiles,
    picture_tiles,
)
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.scoring.read_block import read_block
from napari_smse.slides import open_slide
from napari_smse.tiles import plan_tiles


def image(mpp: float, low: float, high: float) -> LabelledImage:
    return LabelledImage(Path("a.png"), 0, "case", mpp, (low, high), "here", "here")


@given(st.floats(0.05, 5), st.floats(1, 4))
def test_an_image_is_judged_at_scales_it_supports(low: float, wider: float) -> None:
    high = low * wider
    scales = evaluation_scales((low, high))
    assert scales
    assert all(low <= mpp <= high for mpp in scales)
    assert all((mpp in scales) == (low <= mpp <= high) for mpp in (0.25, 0.5) if mpp in scales)


@pytest.mark.parametrize(
    ("mpp_range", "expected"),
    [
        ((0.2, 0.6), (0.25, 0.5)),
        ((0.2, 0.4), (0.25,)),
        ((0.3, 0.4), (0.4,)),
        ((0.45, 0.6), (0.5,)),
        ((0.8, 2.0), (0.8,)),
    ],
)
def test_the_usual_scales_are_taken_where_they_are_supported(
    mpp_range: tuple[float, float], expected: tuple[float, ...]
) -> None:
    assert evaluation_scales(mpp_range) == expected


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([0.25, 0.5, 1.0]))
def test_a_grid_covers_what_is_whole_and_mirrors_what_is_not(
    width: int, height: int, mpp: float
) -> None:
    tiles = crop_grid(Image.new("RGB", (width, height), (1, 2, 3)), mpp, 0.5, 64)
    side = 64 * 0.5 / mpp
    assert len(tiles) == max(1, int(width // side)) * max(1, int(height // side))
    assert all(tile.shape == (64, 64, 3) for tile in tiles)
    assert all((tile == (1, 2, 3)).all() for tile in tiles)


def test_a_grid_reaches_from_edge_to_edge() -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (64, 200, 3))
    first, *_, last = crop_grid(Image.fromarray(np.ascontiguousarray(ramp)), 0.5, 0.5, 64)
    assert first[0, 0, 0] == 0
    assert last[0, -1, 0] == 199


def tissue_picture(width: int, height: int, glass: float) -> Image.Image:
    """Blotches of H&E; to the right, a fraction of bare glass."""
    rng = np.random.default_rng(width * 1000 + height)
    coarse = rng.integers((120, 40, 110), (220, 150, 210), (height // 4 + 1, width // 4 + 1, 3))
    pixels = np.kron(coarse, np.ones((4, 4, 1)))[:height, :width]
    pixels[:, round(width * (1 - glass)) :] = 242
    return Image.fromarray(pixels.astype(np.uint8))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(40, 420),
    st.integers(40, 420),
    st.sampled_from([0.2, 0.25, 0.48]),
    st.sampled_from([0.0, 0.3, 0.6]),
)
def test_an_image_is_judged_by_the_tiles_that_scoring_takes(
    width: int, height: int, mpp: float, glass: float
) -> None:
    picture = tissue_picture(width, height, glass)
    views = picture_tiles(picture, mpp, [0.25, 0.5], 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        picture.save(path)
        with open_slide(path, mpp=mpp) as slide:
            plan = plan_tiles(slide, [0.25, 0.5], tile_px=64)
            found = [
                (plan.scales[scale].grid.spec.mpp, tile)
                for block in plan.blocks
                for row, tile in enumerate(read_block(slide, plan, block))
                for scale, _ in [block.tile(row)]
            ]
    assert sorted(view.mpp for view in views) == sorted(scale for scale, _ in found)
    for target in (0.25, 0.5):
        by_evaluation = [view.tile for view in views if view.mpp == target]
        by_scoring = [tile for scale, tile in found if scale == target]
        for tile in by_scoring:
            nearest = min(np.abs(tile.astype(int) - other).mean() for other in by_evaluation)
            assert nearest < 4


def test_a_picture_without_tissue_is_judged_by_all_of_it() -> None:
    glass = Image.new("RGB", (256, 128), (243, 242, 244))
    assert len(picture_tiles(glass, 0.5, [0.5], 64)) == 8


def test_views_name_the_scale_of_each_tile() -> None:
    picture = tissue_picture(256, 128, 0)
    views = evaluation_crops(picture, image(0.25, 0.2, 0.6), 64)
    assert [view.mpp for view in views] == [0.25] * 8 + [0.5] * 2
    assert len(evaluation_tiles(picture, image(0.25, 0.2, 0.6), 64)) == 10
