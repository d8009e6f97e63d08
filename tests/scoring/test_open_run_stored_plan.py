"""A plan made anew from a store is the one that was scored."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import box

from napari_smse.errors import ChangedSlideError, OutputError, ScaleError
from napari_smse.scoring import (
    ScoreRequest,
    ScoreStore,
    as_scored,
    choose_device,
    open_run,
    read_block,
    stored_plan,
)
from napari_smse.slides import open_slide
from support.icc_profiles import wide_profile
from support.models import redness_model
from support.shell import section
from support.slides import write_pyramid_tiff


def stored(path, slide, **request):
    card = redness_model().card
    asked = ScoreRequest(**request)
    plan = asked.plan(slide, card)
    store = open_run(path, slide, card, asked, plan, choose_device("cpu"))
    return plan, ScoreStore.open(store.path)


@pytest.mark.parametrize(
    "request_of",
    [
        {"mpps": (0.5,)},
        {"mpps": (1.0, 0.25, 0.5), "overlap": 0.5},
        {"mpps": (0.5,), "roi": box(100, 100, 700, 600)},
        {"mpps": (0.5, 1.0), "coarse_first": True},
        {"mpps": (0.5,), "coarse_first": True, "min_tissue": 0.9},
    ],
)
def test_it_has_the_same_tiles_in_the_same_blocks(slide_path, tmp_path, request_of):
    slide = open_slide(slide_path)
    plan, store = stored(tmp_path / "a.zarr", slide, **request_of)
    again = stored_plan(slide, store)
    assert again.blocks == plan.blocks
    assert again.tile_count == plan.tile_count > 0
    assert np.array_equal(again.mask.ground, plan.mask.ground)
    for one, other in zip(again.scales, plan.scales, strict=True):
        assert one.grid == other.grid
        assert np.array_equal(one.columns, other.columns)
        assert np.array_equal(one.tissue, other.tissue)


def test_pixels_are_read_again_in_the_colours_they_were_scored_in(tmp_path):
    path = write_pyramid_tiff(tmp_path / "slide.tif", section(), 0.5, iccprofile=wide_profile())
    slide = open_slide(path)
    plain, _ = stored(tmp_path / "plain.zarr", slide, mpps=(0.5,))
    plan, store = stored(tmp_path / "icc.zarr", slide, mpps=(0.5,), icc=True)
    again = stored_plan(slide, store)
    assert plan.icc
    assert again.icc
    assert not plain.icc
    tiles = read_block(slide, plan, plan.blocks[0])
    assert np.array_equal(read_block(slide, again, again.blocks[0]), tiles)
    assert np.array_equal(read_block(as_scored(slide, store), plain, plan.blocks[0]), tiles)
    assert not np.array_equal(read_block(slide, plain, plan.blocks[0]), tiles)


def test_another_slide_has_no_plan(slide_path, tmp_path):
    slide = open_slide(slide_path)
    _, store = stored(tmp_path / "a.zarr", slide, mpps=(0.5,))
    other = write_pyramid_tiff(
        tmp_path / "other.tif", np.full((1100, 1300, 3), 200, np.uint8), 0.25
    )
    with pytest.raises(ChangedSlideError, match="not of other"):
        stored_plan(open_slide(other), store)
    with pytest.raises(ScaleError, match=r"scored at 0\.25 µm/px"):
        stored_plan(slide.with_mpp(0.3), store)


def test_tiles_of_another_plan_are_refused(slide_path, tmp_path):
    slide = open_slide(slide_path)
    _, store = stored(tmp_path / "a.zarr", slide, mpps=(0.5,))
    store._group.attrs.update({"tiles": "0" * 16})
    with pytest.raises(OutputError, match="score the slide again"):
        stored_plan(slide, store)
