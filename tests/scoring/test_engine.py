import threading
from concurrent import futures
from concurrent.futures import Future

import numpy as np
import pytest

from napari_smse.errors import DamagedSlideError, OutputError
from napari_smse.scoring import (
    ScoreRequest,
    ScoreStore,
    choose_device,
    open_run,
    read_block,
    score,
)
from napari_smse.slides import Slide, open_slide
from support.models import redness_model
from support.slides import write_pyramid_tiff

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (230, 90, 150)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let the small slide below be read in several blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 400)


@pytest.fixture
def slide(tmp_path):
    """1280 x 1100 px at 0.25 um/px: pink tissue with one red square, glass on the right."""
    rgb = np.full((1100, 1280, 3), GLASS, np.uint8)
    rgb[:, :1024] = PINK
    rgb[256:384, 512:640] = RED
    path = tmp_path / "slide.tif"
    write_pyramid_tiff(path, rgb, mpp=0.25)
    with open_slide(path) as opened:
        yield opened


REQUEST = ScoreRequest((0.25, 0.5))
MODEL = redness_model()
DEVICE = choose_device("cpu")


def start(slide, path, request=REQUEST, model=MODEL, **options):
    plan = request.plan(slide, model.card)
    store = open_run(path, slide, model.card, request, plan, DEVICE, **options)
    return plan, store


def run(slide, path, request=REQUEST, model=MODEL):
    plan, store = start(slide, path, request, model)
    told = list(score(slide, model, plan, store, DEVICE))
    return plan, store, told


def test_every_tile_gets_its_own_answer(slide, tmp_path):
    plan, store, told = run(slide, tmp_path / "scores.zarr")
    assert store.complete
    assert told[-1].done == told[-1].total == plan.tile_count
    for number, tiles in enumerate(plan.scales):
        scores = store.scale(number)
        np.testing.assert_array_equal(scores.tiles.x, tiles.x)
        for index in range(len(tiles)):
            pixels = slide.read(tiles.region(index), tiles.grid.spec.mpp).astype(float)
            redness = (pixels[..., 0].mean() - pixels[..., 1].mean()) / 16
            expected = 1 / (1 + np.exp(-redness))
            assert scores.probability[index, 1] == pytest.approx(expected, abs=0.02)
        np.testing.assert_allclose(scores.probability.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(scores.embedding, axis=1), 1, atol=1e-2)


def test_the_reddest_cell_of_each_map_is_where_the_red_square_is(slide, tmp_path):
    _, store, _ = run(slide, tmp_path / "scores.zarr")
    for heat_map in (store.scale(0).heat_map(1), store.scale(1).heat_map(1), store.fused(1)):
        row, column = np.unravel_index(np.nanargmax(heat_map.values), heat_map.values.shape)
        x, y = heat_map.centres()
        assert 512 <= x[column] < 640
        assert 256 <= y[row] < 384
        assert np.isnan(heat_map.at(np.array([1200.0]), np.array([500.0])))[0]


def test_progress_tells_each_tile_once_and_never_goes_back(slide, tmp_path):
    plan, _, told = run(slide, tmp_path / "scores.zarr")
    seen = [set() for _ in plan.scales]
    for progress in told:
        for scores in progress.scores:
            new = set(scores.index.tolist())
            assert not new & seen[scores.scale]
            seen[scores.scale] |= new
    assert [len(s) for s in seen] == [len(tiles) for tiles in plan.scales]
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert told[-1].rate > 0
    assert told[-1].seconds_left == 0


def test_batches_are_never_larger_than_the_device_takes(slide, tmp_path):
    model = redness_model()
    run(slide, tmp_path / "scores.zarr", model=model)
    assert max(model.network.batches) <= DEVICE.batch_size


def test_a_block_gives_the_same_pixels_as_single_reads(slide):
    plan = REQUEST.plan(slide, MODEL.card)
    for block in plan.blocks:
        tiles = iter(read_block(slide, plan, block))
        for number, start_, stop in block.members:
            for index in range(start_, stop):
                scale = plan.scales[number]
                alone = slide.read(scale.region(index), scale.grid.spec.mpp)
                difference = np.abs(next(tiles).astype(int) - alone)
                assert np.median(difference) <= 1
                assert difference.mean() < 2


def test_a_cancelled_run_goes_on_where_it_stopped(slide, tmp_path):
    request = ScoreRequest((0.25,), overlap=0.5)
    whole = run(slide, tmp_path / "whole.zarr", request)[1]
    path = tmp_path / "halves.zarr"
    plan, store = start(slide, path, request)
    running = score(slide, MODEL, plan, store, DEVICE)
    while not store.blocks_done().any():
        next(running)
    running.close()
    assert 0 < store.blocks_done().sum() < len(plan.blocks)
    assert not ScoreStore.open(path).complete

    plan, store = start(slide, path, request)
    told = list(score(slide, MODEL, plan, store, DEVICE))
    assert told[0].done == np.isfinite(told[0].scores[0].probability[:, 0]).sum() > 0
    assert told[0].rate == 0  # what was scored before says nothing of the pace
    assert store.complete
    np.testing.assert_array_equal(store.scale(0).probability, whole.scale(0).probability)
    np.testing.assert_array_equal(store.scale(0).embedding, whole.scale(0).embedding)


def test_a_finished_run_is_not_scored_again(slide, tmp_path):
    path = tmp_path / "scores.zarr"
    run(slide, path)
    model = redness_model()
    plan, store, told = run(slide, path, model=model)
    assert model.network.batches == []
    assert told[0].done == plan.tile_count
    assert store.complete


def test_another_runs_scores_are_kept_unless_asked(slide, tmp_path):
    path = tmp_path / "scores.zarr"
    run(slide, path)
    other = ScoreRequest((0.5,))
    with pytest.raises(OutputError, match=r"\(different scales\)"):
        start(slide, path, other)
    assert ScoreStore.open(path).complete
    _, store = start(slide, path, other, overwrite=True)
    assert not store.complete


@pytest.mark.parametrize("blocks", [250, 800])
def test_a_run_does_not_go_on_among_the_blocks_of_another_plan(
    slide, tmp_path, monkeypatch, blocks
):
    path = tmp_path / "scores.zarr"
    plan, store = start(slide, path)
    running = score(slide, MODEL, plan, store, DEVICE)
    while not store.blocks_done().any():
        next(running)
    running.close()
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", blocks)
    with pytest.raises(OutputError, match=r"\(different tiles\)"):
        start(slide, path)


def test_a_slide_that_breaks_half_way_says_so_and_keeps_what_was_scored(
    slide, tmp_path, monkeypatch
):
    request = ScoreRequest((0.25,), overlap=0.5)
    path = tmp_path / "scores.zarr"
    plan, store = start(slide, path, request)
    read, last = Slide.window, plan.blocks[-1].region

    def breaking(self, region, mpp):
        if region == last:
            raise DamagedSlideError("slide.tif cannot be read there")
        return read(self, region, mpp)

    monkeypatch.setattr(Slide, "window", breaking)
    with pytest.raises(DamagedSlideError):
        list(score(slide, MODEL, plan, store, DEVICE))
    assert not store.complete


def test_a_read_that_ends_just_after_the_wait_is_no_failure(slide, tmp_path, monkeypatch):
    plan, store = start(slide, tmp_path / "scores.zarr")
    begun, ended = threading.Event(), threading.Event()
    done, read = Future.done, Slide.window

    def slow(self, region, mpp):
        begun.set()
        assert ended.wait(30)
        return read(self, region, mpp)

    def done_late(self):
        if begun.is_set():  # zarr has futures of its own
            ended.set()
            futures.wait([self])
        return done(self)

    monkeypatch.setattr(Slide, "window", slow)
    monkeypatch.setattr(Future, "done", done_late)
    for _ in score(slide, MODEL, plan, store, DEVICE):
        if begun.is_set():
            ended.set()
    assert store.complete


def test_a_time_out_of_the_drive_is_told(slide, tmp_path, monkeypatch):
    plan, store = start(slide, tmp_path / "scores.zarr")

    def timed_out(self, region, mpp):
        raise TimeoutError("drive gone")

    monkeypatch.setattr(Slide, "window", timed_out)
    with pytest.raises(TimeoutError, match="drive gone"):
        list(score(slide, MODEL, plan, store, DEVICE))


def test_a_folder_that_cannot_be_written_is_said_so(slide, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        start(slide, tmp_path / "file" / "scores.zarr")


def test_the_slide_says_nothing_when_scored_twice_at_one_scale(slide, tmp_path):
    plan, _, _ = run(slide, tmp_path / "scores.zarr", ScoreRequest((0.5, 0.5)))
    assert len(plan.scales) == 1
