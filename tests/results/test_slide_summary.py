"""What a summary says of a slide: areas that no overlap changes, shares of one whole, hot spots."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.results.slide_summary import (
    BINS,
    MAX_SPOTS,
    SlideSummary,
    summarise_slide,
    tile_areas,
)
from napari_smse.scoring import MULTI_SCALE_MEAN, ScaleScores
from napari_smse.scoring.calls import INDETERMINATE, OUT_OF_DISTRIBUTION, CallRule
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec, TissueMask
from support.models import redness_model

CARD = redness_model().card
CLASSES = ("benign", "malignant")
AREA = Region(0, 0, 4096, 3072)
SLIDE_MPP = 0.25


def disc() -> TissueMask:
    """A disc of tissue, 1200 level-0 px in radius, in the middle of the slide."""
    y, x = np.mgrid[0 : AREA.height : 16, 0 : AREA.width : 16] + 8
    inside = (x - 2048) ** 2 + (y - 1536) ** 2 < 1200**2
    return TissueMask(inside.astype(np.uint8), AREA)


MASK = disc()
DISC_MM2 = np.pi * (1200 * SLIDE_MPP / 1000) ** 2


def tiles_of(mask: TissueMask, mpp: float, overlap: float, least: float = 1e-6) -> ScaleTiles:
    grid = TileGrid(TileSpec(64, mpp, SLIDE_MPP, overlap), mask.region)
    rows, columns = (
        part.ravel() for part in np.mgrid[0 : grid.rows, 0 : grid.columns].astype(np.int32)
    )
    tissue = mask.fraction(grid.left(columns), grid.top(rows), grid.edge)
    kept = tissue >= least
    return ScaleTiles(grid, columns[kept], rows[kept], tissue[kept])


def scores_of(tiles: ScaleTiles, malignant: np.ndarray) -> ScaleScores:
    probability = np.stack([1 - malignant, malignant], axis=1).astype(np.float32)
    return ScaleScores(tiles, probability, np.empty((0, 0), np.float16))


def summarised(
    *scales: ScaleScores, ood: list[np.ndarray] | None = None, band: tuple | None = None
) -> SlideSummary:
    known = ood or [np.full(len(one.tiles), np.nan) for one in scales]
    return summarise_slide(scales, known, CARD, CallRule(CLASSES, band), "malignant")


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_area_is_that_of_the_tissue_whatever_the_overlap(mpp, overlap):
    area = tile_areas(tiles_of(MASK, mpp, overlap)).sum()
    assert area == pytest.approx(DISC_MM2, rel=0.03)


@given(
    width=st.integers(140, 900),
    height=st.integers(140, 900),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_no_edge_of_a_slide_counts_twice(width, height, overlap):
    """Tissue up to the edges, where the last tiles are moved back."""
    area = Region(0, 0, width, height)
    mask = TissueMask(np.ones((height, width), np.uint8), area)
    tiles = [tiles_of(mask, mpp, overlap) for mpp in (0.25, 0.5)]
    summary = summarised(*(scores_of(one, np.full(len(one), 0.9)) for one in tiles))
    want = width * height * (SLIDE_MPP / 1000) ** 2
    # Edges a pixel apart are taken for one, which is 1 / 140 here at most.
    assert [scale.mm2 for scale in summary.scales] == pytest.approx([want] * 3, rel=0.015)
    for spot in summary.leading.spots:
        assert area.intersection(spot.region) == spot.region


@given(overlap=st.floats(0, 0.8), seed=st.integers(0, 999))
def test_the_share_of_a_call_does_not_depend_on_the_overlap(overlap, seed):
    """Tissue left of a line is benign, right of it malignant."""
    line = np.random.default_rng(seed).uniform(1400, 2700)

    def share(tiles: ScaleTiles) -> float:
        right = (tiles.x + tiles.width / 2 > line).astype(np.float64)
        leading = summarised(scores_of(tiles, right)).leading
        assert leading is not None
        return leading.area_of("malignant").share

    apart, overlapping = tiles_of(MASK, 0.25, 0.0), tiles_of(MASK, 0.25, overlap)
    assert share(overlapping) == pytest.approx(share(apart), abs=0.03)


@given(
    seed=st.integers(0, 9999),
    overlap=st.sampled_from([0.0, 0.3, 0.5]),
    ood=st.sampled_from([0.0, 0.2, 1.0]),
    scored=st.sampled_from([0.0, 0.5, 1.0]),
    band=st.sampled_from([None, (0.2, 0.7)]),
)
def test_shares_are_of_one_whole_and_the_histogram_is_the_same_tissue(
    seed, overlap, ood, scored, band
):
    rng = np.random.default_rng(seed)
    scales, unlike = [], []
    for mpp in (0.25, 0.5):
        tiles = tiles_of(MASK, mpp, overlap, least=0.25)
        malignant = rng.uniform(size=len(tiles))
        malignant[rng.uniform(size=len(tiles)) >= scored] = np.nan
        scales.append(scores_of(tiles, malignant))
        unlike.append(np.where(rng.uniform(size=len(tiles)) < ood, 2.0, 0.5))
    summary = summarised(*scales, ood=unlike, band=band)
    assert bool(summary.scales) is (scored > 0)
    for scale in summary.scales:
        assert sum(call.share for call in scale.calls) == pytest.approx(1)
        assert scale.histogram.shape == (4, BINS)
        areas = [call.mm2 for call in scale.calls]
        np.testing.assert_allclose(scale.histogram.sum(axis=1), areas)
        assert scale.mm2 == pytest.approx(sum(areas))
        if ood == 1.0:
            assert scale.area_of(OUT_OF_DISTRIBUTION).share == pytest.approx(1)
            assert scale.spots == ()
            assert scale.mean_probability is None


@given(seed=st.integers(0, 9999), overlap=st.sampled_from([0.0, 0.3, 0.5, 0.8]))
def test_spots_are_called_so_the_hottest_first_and_a_tile_apart(seed, overlap):
    rng = np.random.default_rng(seed)
    tiles = tiles_of(MASK, 0.25, overlap)
    malignant = rng.uniform(size=len(tiles))
    ood = np.where(rng.uniform(size=len(tiles)) < 0.3, 2.0, 0.0)
    (scale,) = summarised(scores_of(tiles, malignant), ood=[ood], band=(0.2, 0.7)).scales
    assert len(scale.spots) == MAX_SPOTS
    found = [spot.probability for spot in scale.spots]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(malignant[ood < 1].max())
    assert min(found) >= 0.7
    unlike = set(zip(tiles.x[ood > 1].tolist(), tiles.y[ood > 1].tolist(), strict=True))
    for spot in scale.spots:
        assert (spot.region.x, spot.region.y) not in unlike
    for one, other in itertools.combinations(scale.spots, 2):
        a, b = one.region, other.region
        assert max(abs(a.x - b.x), abs(a.y - b.y)) >= 2 * a.width


def test_nothing_is_hot_where_nothing_is_called_malignant():
    tiles = tiles_of(MASK, 0.5, 0.0)
    (undecided,) = summarised(scores_of(tiles, np.full(len(tiles), 0.6)), band=(0.2, 0.7)).scales
    assert undecided.spots == ()
    assert undecided.area_of(INDETERMINATE).share == pytest.approx(1)
    (benign,) = summarised(scores_of(tiles, np.full(len(tiles), 0.1))).scales
    assert benign.spots == ()
    assert benign.mean_probability == pytest.approx(0.1)


def test_the_mean_is_the_last_of_several_and_is_of_the_trained_scales():
    tiles = [tiles_of(MASK, mpp, 0.0, least=0.25) for mpp in (0.25, 0.5, 2.0)]
    values = (0.9, 0.7, 0.0)  # the model was trained from 0.2 to 0.6 um/px
    scales = [scores_of(t, np.full(len(t), p)) for t, p in zip(tiles, values, strict=True)]
    summary = summarised(*scales)
    assert [scale.name for scale in summary.scales] == ["40x", "20x", "5x", MULTI_SCALE_MEAN]
    mean = summary.leading
    assert mean is summary.of_map(MULTI_SCALE_MEAN)
    assert mean.title == "multi-scale mean of 40x and 20x"
    assert mean.mean_probability == pytest.approx(0.8, abs=0.01)
    # Where the tiles of one scale hold too little tissue, the other counts alone.
    assert mean.spots[0].probability == pytest.approx(0.9)
    assert (mean.spots[0].region.width, mean.spots[0].mpp) == (64, 0.25)
    assert mean.mm2 == pytest.approx(DISC_MM2, rel=0.05)
    outside = summary.of_map("5x")
    assert not outside.in_range
    assert outside.area_of(OUT_OF_DISTRIBUTION).share == pytest.approx(1)


def test_the_mean_over_one_trained_scale_says_so():
    tiles = [tiles_of(MASK, mpp, 0.0) for mpp in (0.5, 2.0)]  # 5x is out of the model's range
    mean = summarised(*(scores_of(one, np.full(len(one), 0.9)) for one in tiles)).leading
    assert mean.title == "multi-scale mean, here 20x alone, for which the model was trained"


def test_a_place_of_the_mean_is_out_of_distribution_if_one_of_two_scales_is():
    tiles = [tiles_of(MASK, mpp, 0.0) for mpp in (0.25, 0.5)]
    scales = [scores_of(one, np.full(len(one), 0.9)) for one in tiles]
    summary = summarised(*scales, ood=[np.zeros(len(tiles[0])), np.full(len(tiles[1]), 3.0)])
    assert summary.ood_known
    assert summary.scales[0].area_of("malignant").share == pytest.approx(1)
    assert summary.leading.area_of(OUT_OF_DISTRIBUTION).share == pytest.approx(1)


def test_tiles_that_were_not_scored_are_in_no_area():
    tiles = tiles_of(MASK, 0.5, 0.5)
    left = tiles.x + tiles.width / 2 < 2048
    summary = summarised(scores_of(tiles, np.where(left, 0.9, np.nan)))
    assert not summary.ood_known
    (scale,) = summary.scales
    assert scale.count == left.sum()
    assert scale.unit == "tiles"
    assert scale.mm2 == pytest.approx(DISC_MM2 / 2, rel=0.05)


def test_of_nothing_there_is_no_summary():
    tiles = tiles_of(MASK, 0.5, 0.0)
    summary = summarised(scores_of(tiles, np.full(len(tiles), np.nan)))
    assert summary.leading is None
    assert summary.of_map("20x") is None
