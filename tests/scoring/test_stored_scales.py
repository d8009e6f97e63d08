"""Scales that an earlier run scored are not scored again, and the result is that of a run anew."""

import numpy as np
import pytest

from napari_smse.errors import ChangedSlideError, OutputError
from napari_smse.models import Model, ModelCard
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.slides import open_slide
from support.models import redness_model
from support.slides import write_pyramid_tiff
from support.stores import forget_appearance
from support.training import TRUNK, mini_network

DEVICE = choose_device("cpu", exact=True)
ARRAYS = ("probability", "embedding", "appearance")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let the small slide below be read in several blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 200)


@pytest.fixture(params=[1, 3], ids=["one level", "a level a scale"])
def slide(request, tmp_path):
    """Tissue that varies, 0.25 um/px; its scales share reads if it has one level."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(120, 230, (36, 40, 3), dtype=np.uint8)
    rgb = coarse.repeat(16, axis=0).repeat(16, axis=1)
    rgb = np.clip(rgb + rng.normal(0, 9, rgb.shape), 0, 255).astype(np.uint8)
    write_pyramid_tiff(tmp_path / "slide.tif", rgb, mpp=0.25, levels=request.param)
    with open_slide(tmp_path / "slide.tif") as opened:
        yield opened


@pytest.fixture
def model(tmp_path):
    """A real, tiny network."""
    card = ModelCard(
        name="mini",
        version="1",
        classes=("benign", "malignant"),
        tile_px=64,
        mpp_range=(0.2, 1.0),
        trunk=TRUNK,
        embedding_dim=4,
        weights_sha256="1" * 64,
    )
    return Model(mini_network().eval(), card, tmp_path / "mini.safetensors")


def opened(slide, path, model, *mpps, overlap=0.0, **options):
    request = ScoreRequest(mpps, overlap=overlap)
    plan = request.plan(slide, model.card)
    return plan, open_run(path, slide, model.card, request, plan, DEVICE, **options)


def scored(slide, path, model, *mpps, **options):
    """Score to the end; return plan, store, and how many tiles the network was given."""
    plan, store = opened(slide, path, model, *mpps, **options)
    told = list(score(slide, model, plan, store, DEVICE))
    assert told[-1].done == plan.tile_count
    assert store.complete
    return plan, store, told[-1].done - told[0].done


def require_equal(store, other):
    assert store.scale_count == other.scale_count
    for number in range(store.scale_count):
        mine, theirs = store.scale(number), other.scale(number)
        np.testing.assert_array_equal(mine.tiles.columns, theirs.tiles.columns)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)


@pytest.mark.parametrize("stored", [(0.5, 1.0), (0.25, 1.0), (0.25, 0.5)])
def test_only_the_third_scale_is_scored_and_all_equal_a_run_anew_to_the_bit(
    slide, model, tmp_path, stored
):
    scored(slide, tmp_path / "two.zarr", model, *stored)
    plan, store, given = scored(
        slide, tmp_path / "three.zarr", model, 0.25, 0.5, 1.0, earlier=[tmp_path / "two.zarr"]
    )
    (missing,) = {0.25, 0.5, 1.0} - set(stored)
    assert given == sum(len(t) for t in plan.scales if t.grid.spec.mpp == missing)
    require_equal(store, scored(slide, tmp_path / "anew.zarr", model, 0.25, 0.5, 1.0)[1])


def test_fewer_scales_need_no_network(slide, model, tmp_path):
    scored(slide, tmp_path / "two.zarr", model, 0.5, 1.0)
    earlier = [tmp_path / "two.zarr"]
    _, store, given = scored(slide, tmp_path / "one.zarr", model, 1.0, earlier=earlier)
    assert given == 0
    require_equal(store, scored(slide, tmp_path / "anew.zarr", model, 1.0)[1])


def test_scales_come_from_several_runs(slide, model, tmp_path):
    paths = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    for path, mpp in zip(paths, (0.5, 1.0), strict=True):
        scored(slide, path, model, mpp)
    _, _, given = scored(slide, tmp_path / "both.zarr", model, 0.5, 1.0, earlier=paths)
    assert given == 0


def test_what_was_taken_over_is_shown_at_once_and_told_once(slide, model, tmp_path):
    scored(slide, tmp_path / "two.zarr", model, 0.5, 1.0)
    plan, store = opened(
        slide, tmp_path / "three.zarr", model, 0.25, 0.5, 1.0, earlier=[tmp_path / "two.zarr"]
    )
    told = list(score(slide, model, plan, store, DEVICE))
    assert {part.scale for part in told[0].scores} == {1, 2}
    indices = [(part.scale, i) for one in told for part in one.scores for i in part.index.tolist()]
    assert len(indices) == len(set(indices)) == plan.tile_count


def test_a_run_that_was_stopped_goes_on_with_the_third_scale_alone(slide, model, tmp_path):
    scored(slide, tmp_path / "two.zarr", model, 0.5, 1.0)
    options = {"earlier": [tmp_path / "two.zarr"]}
    path = tmp_path / "three.zarr"
    plan, store = opened(slide, path, model, 0.25, 0.5, 1.0, **options)
    running = score(slide, model, plan, store, DEVICE)
    for _ in range(2):
        next(running)
    running.close()
    _, again, given = scored(slide, path, model, 0.25, 0.5, 1.0, **options)
    assert given <= len(plan.scales[0])
    require_equal(again, scored(slide, tmp_path / "anew.zarr", model, 0.25, 0.5, 1.0)[1])


@pytest.mark.parametrize("change", ["overlap", "model", "unfinished", "appearance", "tuned"])
def test_nothing_is_taken_from_a_run_of_anything_else(slide, model, tmp_path, change):
    path, other = tmp_path / "one.zarr", model
    if change == "model":
        other = redness_model()
    plan, store = opened(slide, path, other, 0.5, overlap=0.5 if change == "overlap" else 0.0)
    if change != "unfinished":
        list(score(slide, other, plan, store, DEVICE))
    if change == "appearance":
        forget_appearance(store)
    if change == "tuned":
        store.finish(tuned_from="another")
    _, new = opened(slide, tmp_path / "two.zarr", model, 0.5, 1.0, earlier=[path])
    assert not new.known_scales
    assert not new.blocks_done().any()


def test_a_damaged_earlier_run_is_passed_over(slide, model, tmp_path):
    (tmp_path / "broken.zarr").mkdir()
    _, store = opened(slide, tmp_path / "a.zarr", model, 0.5, earlier=[tmp_path / "broken.zarr"])
    assert not store.known_scales


def test_a_store_goes_on_with_one_more_scale_in_its_place(slide, model, tmp_path):
    path = tmp_path / "scores.zarr"
    scored(slide, path, model, 0.5, 1.0)
    plan, store, given = scored(slide, path, model, 0.25, 0.5, 1.0)
    assert given == len(plan.scales[0])
    require_equal(store, scored(slide, tmp_path / "anew.zarr", model, 0.25, 0.5, 1.0)[1])


def test_a_store_that_would_lose_a_scale_is_kept(slide, model, tmp_path):
    path = tmp_path / "scores.zarr"
    scored(slide, path, model, 0.5, 1.0)
    with pytest.raises(OutputError, match="different scales"):
        opened(slide, path, model, 0.25, 0.5)
    assert ScoreStore.open(path).facts["request"]["mpps"] == [0.5, 1.0]


def test_an_unfinished_store_is_not_replaced_by_one_of_more_scales(slide, model, tmp_path):
    path = tmp_path / "scores.zarr"
    opened(slide, path, model, 0.5)
    with pytest.raises(OutputError, match="different scales"):
        opened(slide, path, model, 0.5, 1.0)


def test_overwriting_takes_nothing_over(slide, model, tmp_path):
    path = tmp_path / "scores.zarr"
    scored(slide, path, model, 0.5)
    _, store = opened(slide, path, model, 0.5, 1.0, overwrite=True, earlier=[path])
    assert not store.known_scales


def test_nothing_taken_over_stays_of_a_slide_that_changed(slide, model, tmp_path, monkeypatch):
    scored(slide, tmp_path / "one.zarr", model, 0.5)
    plan, store = opened(
        slide, tmp_path / "two.zarr", model, 0.25, 0.5, earlier=[tmp_path / "one.zarr"]
    )
    running = score(slide, model, plan, store, DEVICE)
    next(running)

    def changed(*, content=False):
        raise ChangedSlideError("slide.tif was written to")

    monkeypatch.setattr(type(slide), "require_unchanged", lambda _slide, **how: changed(**how))
    with pytest.raises(ChangedSlideError):
        list(running)
    assert not store.known_scales
    assert not store.blocks_done().any()


def test_other_weights_of_the_same_name_are_another_model(slide, model, tmp_path):
    scored(slide, tmp_path / "one.zarr", model, 0.5)
    card = model.card.model_copy(update={"weights_sha256": "0" * 64})
    other = Model(model.network, card, model.path)
    _, store = opened(slide, tmp_path / "two.zarr", other, 0.5, earlier=[tmp_path / "one.zarr"])
    assert not store.known_scales
