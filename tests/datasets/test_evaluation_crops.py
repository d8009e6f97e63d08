from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_smse.datasets.crops import (
    crop_grid,
    evaluation_crops,
    evaluation_scales,
    evaluation_tiles,
)
from napari_smse.datasets.labelled_set import LabelledImage


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


def test_views_name_the_scale_of_each_tile() -> None:
    picture = Image.new("RGB", (256, 128))
    views = evaluation_crops(picture, image(0.25, 0.2, 0.6), 64)
    assert [view.mpp for view in views] == [0.25] * 8 + [0.5] * 2
    assert len(evaluation_tiles(picture, image(0.25, 0.2, 0.6), 64)) == 10
