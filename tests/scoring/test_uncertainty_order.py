"""A first look at everything, then closer where the call can be doubted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_smse.scoring import (
    HeatMap,
    ScoreRequest,
    ScoreStore,
    ScoringProgress,
    TileScores,
    Viewport,
    choose_device,
    open_run,
    score,
)
from napari_smse.scoring.uncertainty_order import UncertaintyMap, UncertaintyOrder
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.tiles import TilePlan
from support.models import redness_model
from support.slides import write_pyramid_tiff

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (230, 90, 150)
TISSUE_PX = 1024
MODEL = redness_model()
DEVICE = choose_device("cpu")
TWO_SCALES = ScoreRequest((0.25, 0.5), coarse_first=True)
ONE_SCALE = ScoreRequest((0.25,), coarse_first=True)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small slide below be read in many blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 512)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[Slide]:
    """1280 x 1024 px at 0.25 um/px: tissue with a red square, and glass on the right."""
    rgb = np.full((1024, 1280, 3), GLASS, np.uint8)
    rgb[:, :TISSUE_PX] = PINK
    rgb[256:512, 512:768] = RED
    write_pyramid_tiff(tmp_path / "slide.tif", rgb, mpp=0.25)
    with open_slide(tmp_path / "slide.tif") as opened:
        yield opened


def planned(slide: Slide, request: ScoreRequest) -> TilePlan:
    return request.plan(slide, MODEL.card)


def every(plan: TilePlan) -> range:
    return range(len(plan.blocks))


def handed_out(order: UncertaintyOrder) -> list[int]:
    return list(iter(order.next, None))


def said(plan: TilePlan, scale: int, malignant: float | np.ndarray) -> TileScores:
    """Every tile of a scale gets this answer."""
    count = len(plan.scales[scale])
    p = np.broadcast_to(np.asarray(malignant, dtype=np.float32), count)
    return TileScores(scale, np.arange(count), np.stack([1 - p, p], axis=1))


class TestDoubt:
    def test_nothing_said_is_doubtful(self, slide: Slide) -> None:
        assert (UncertaintyMap(planned(slide, TWO_SCALES)).per_cell() == 1).all()

    @pytest.mark.parametrize(("malignant", "doubt"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
    def test_a_close_call_is_doubtful(self, slide: Slide, malignant: float, doubt: float) -> None:
        plan = planned(slide, TWO_SCALES)
        doubts = UncertaintyMap(plan)
        doubts.update([said(plan, 1, malignant)])
        assert doubts.per_block() == pytest.approx(doubt)

    def test_scales_that_disagree_are_doubtful(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        doubts = UncertaintyMap(plan)
        doubts.update([said(plan, 0, 1.0), said(plan, 1, 0.2)])
        # Their mean is .6 to .4, a margin of .2; they are .8 apart.
        assert doubts.per_block() == pytest.approx(0.8 + 0.8)

    def test_doubt_lies_where_the_tile_lies(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        doubts = UncertaintyMap(plan)
        unsure = np.arange(len(plan.scales[1])) == 5
        doubts.update([said(plan, 1, np.where(unsure, 0.75, 0.0))])
        tile, cell = plan.scales[1].region(5), plan.scales[0].grid.spec.stride_level0
        rows, columns = np.nonzero(doubts.per_cell() == 0.5)
        assert len(rows) == (tile.width / cell) ** 2
        assert (columns.min() * cell, columns.max() * cell + cell) == (tile.x, tile.right)
        assert (rows.min() * cell, rows.max() * cell + cell) == (tile.y, tile.bottom)


class TestOrder:
    def test_the_first_look_comes_first_and_nothing_twice(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        numbers = handed_out(UncertaintyOrder(plan, every(plan)))
        assert sorted(numbers) == list(every(plan))
        firsts = [plan.blocks[number].coarse_first for number in numbers]
        assert firsts == sorted(firsts, reverse=True)
        assert 0 < sum(firsts) < len(firsts)

    def test_then_comes_what_is_most_doubtful(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        order = UncertaintyOrder(plan, every(plan))
        doubted = next(n for n in reversed(every(plan)) if not plan.blocks[n].coarse_first)
        region = plan.blocks[doubted].region
        coarse = plan.scales[1]
        near = np.hypot(
            coarse.x + coarse.width / 2 - region.x - region.width / 2,
            coarse.y + coarse.height / 2 - region.y - region.height / 2,
        )
        order.update([said(plan, 1, np.where(near <= near.min() + 1, 0.5, 0.0))])
        later = [n for n in handed_out(order) if not plan.blocks[n].coarse_first]
        assert later[0] == doubted

    def test_what_is_looked_at_comes_before_what_is_doubtful(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        last = next(n for n in reversed(every(plan)) if not plan.blocks[n].coarse_first)
        region = plan.blocks[last].region
        view = Region(region.x + 40, region.y + 40, 20, 20)
        order = UncertaintyOrder(plan, every(plan), Viewport(view))
        later = [n for n in handed_out(order) if not plan.blocks[n].coarse_first]
        assert later[0] == last

    def test_time_ends_the_closer_look_only(self, slide: Slide) -> None:
        plan = planned(slide, TWO_SCALES)
        order = UncertaintyOrder(plan, every(plan), deadline=time.monotonic() - 1)
        numbers = handed_out(order)
        assert numbers
        assert all(plan.blocks[number].coarse_first for number in numbers)
        assert len(order) == len(plan.blocks) - len(numbers)


def run(
    slide: Slide, path: Path, request: ScoreRequest, seconds: float | None
) -> tuple[TilePlan, ScoreStore, list[ScoringProgress]]:
    plan = planned(slide, request)
    store = open_run(path, slide, MODEL.card, request, plan, DEVICE)
    told = list(score(slide, MODEL, plan, store, DEVICE, seconds=seconds))
    return plan, ScoreStore.open(path), told


def scored(store: ScoreStore, scale: int) -> np.ndarray:
    return np.isfinite(store.scale(scale).probability[:, 0])


def shows_all_tissue(heat_map: HeatMap) -> bool:
    columns = round(TISSUE_PX / heat_map.cell)
    return bool(np.isfinite(heat_map.values[:, :columns]).all())


class TestRuns:
    def test_without_time_left_all_tissue_was_seen_once(self, slide: Slide, tmp_path: Path) -> None:
        plan, store, told = run(slide, tmp_path / "s.zarr", TWO_SCALES, 0.0)
        assert scored(store, 1).all()
        assert not scored(store, 0).any()
        assert (store.finished, store.complete) == (True, False)
        assert told[-1].done == len(plan.scales[1])
        assert shows_all_tissue(store.fused(1))

    def test_with_one_scale_tiles_beside_each_other_come_first(
        self, slide: Slide, tmp_path: Path
    ) -> None:
        plan, store, _ = run(slide, tmp_path / "s.zarr", ONE_SCALE, 0.0)
        tiles, done = plan.scales[0], scored(store, 0)
        assert tiles.grid.spec.overlap == 0.5
        assert (done == ((tiles.columns % 2 == 0) & (tiles.rows % 2 == 0))).all()
        assert shows_all_tissue(store.scale(0).heat_map(1))

    @pytest.mark.parametrize("request_", [TWO_SCALES, ONE_SCALE], ids=["two scales", "one"])
    def test_a_later_run_goes_on_to_the_same_end(
        self, slide: Slide, tmp_path: Path, request_: ScoreRequest
    ) -> None:
        _, whole, _ = run(slide, tmp_path / "whole.zarr", request_, None)
        assert whole.complete
        _, _, first = run(slide, tmp_path / "parts.zarr", request_, 0.0)
        _, parts, told = run(slide, tmp_path / "parts.zarr", request_, None)
        assert parts.complete
        assert told[0].done == first[-1].done
        for scale in range(whole.scale_count):
            one, other = whole.scale(scale), parts.scale(scale)
            assert (one.probability == other.probability).all()
            assert (one.embedding == other.embedding).all()

    def test_the_same_tiles_get_the_same_answers_as_without_a_first_look(
        self, slide: Slide, tmp_path: Path
    ) -> None:
        _, looked, _ = run(slide, tmp_path / "looked.zarr", TWO_SCALES, None)
        _, plain, _ = run(slide, tmp_path / "plain.zarr", ScoreRequest((0.25, 0.5)), None)
        for scale in (0, 1):
            one, other = looked.scale(scale), plain.scale(scale)
            maps = [scores.heat_map(1).values for scores in (one, other)]
            assert len(one.tiles) == len(other.tiles)
            assert np.array_equal(maps[0], maps[1], equal_nan=True)
