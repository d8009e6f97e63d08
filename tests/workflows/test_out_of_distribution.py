"""How unlike everything known the tiles of slides are, without Qt."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_smse.progress import run_task
from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.annotated_exemplars import AnnotatedRows, exemplars_of
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance
from napari_smse.slides import open_slide
from napari_smse.tiles.appearance import MEASURES
from napari_smse.workflows import out_of_distribution
from napari_smse.workflows.out_of_distribution import OodScores, appearance_of_tiles, measure_ood
from support.models import redness_model
from support.slides import noise_image, write_pyramid_tiff
from support.stores import forget_appearance


@pytest.fixture
def scored(tmp_path):
    rgb = (200 - noise_image(600, 500) // 4 * np.array([1, 2, 1])).astype(np.uint8)
    path = write_pyramid_tiff(tmp_path / "slide.tif", rgb, mpp=0.5)
    model, device = redness_model(), choose_device("cpu", exact=True)
    with open_slide(path) as slide:
        request = ScoreRequest((0.5,))
        plan = request.plan(slide, model.card)
        store = open_run(tmp_path / "s.zarr", slide, model.card, request, plan, device)
        for _ in score(slide, model, plan, store, device):
            pass
        forget_appearance(store)  # as in a store of an earlier version
        started = SimpleNamespace(plan=plan, store=store, card=model.card, model="redness")
        yield slide, started, store.tile_table()


@pytest.fixture
def looks(monkeypatch):
    rng = np.random.default_rng(0)
    known = OodReference(
        model="m",
        appearances=(fitted_appearance("far", 0.5, rng.normal(50, 1, (200, len(MEASURES))), 5.0),),
    )
    monkeypatch.setattr(out_of_distribution, "load_ood_reference", lambda _model, _sha: known)
    monkeypatch.setattr(out_of_distribution, "_appearances", {})


@pytest.mark.usefixtures("looks")
def test_a_slide_is_looked_at_once(scored):
    slide, started, tiles = scored
    steps = []
    last = run_task(measure_ood(slide, started, tiles), steps.append)
    assert (steps[-1].done, steps[-1].total) == (len(tiles), len(tiles))
    assert isinstance(last, OodScores)
    assert last.known
    assert (last.values > 1).all()
    again = run_task(measure_ood(slide, started, tiles), lambda _: pytest.fail("read again"))
    np.testing.assert_array_equal(again.values, last.values)


@pytest.mark.usefixtures("looks")
def test_exemplars_that_were_added_make_their_like_known(scored):
    slide, started, tiles = scored
    rows = np.arange(0, len(tiles), 2)
    started.card = started.card.model_copy(update={"classes": ("benign", "malignant")})
    bank = exemplars_of(
        tiles,
        AnnotatedRows(rows, np.zeros(len(rows), np.int64), ("benign 0",) * len(rows)),
        ("benign",),
        model="m",
        slide="s",
        name="slide",
        appearances=appearance_of_tiles(slide, started, tiles, rows),
    )
    alone = run_task(measure_ood(slide, started, tiles))
    said = run_task(measure_ood(slide, started, tiles, bank))
    assert (alone.values > 1).all()
    assert not alone.added
    assert (said.values <= 1).all()
    assert said.added


@pytest.mark.usefixtures("looks")
def test_looks_of_tiles_are_the_same_read_one_by_one_or_with_the_slide(scored):
    slide, started, tiles = scored
    rows = np.array([3, 0, 5])
    one_by_one = appearance_of_tiles(slide, started, tiles, rows)
    list(measure_ood(slide, started, tiles))
    with_slide = appearance_of_tiles(slide, started, tiles, rows)
    np.testing.assert_allclose(one_by_one, with_slide, atol=0.02)
    assert not np.allclose(with_slide[0], with_slide[1], atol=1e-4)


@pytest.mark.usefixtures("looks")
def test_what_was_read_of_another_plan_is_forgotten(scored):
    slide, started, tiles = scored
    wrong = [np.zeros((len(one) + 1, len(MEASURES)), np.float32) for one in started.plan.scales]
    out_of_distribution._appearances[started.store.path] = wrong
    steps = []
    last = run_task(measure_ood(slide, started, tiles), steps.append)
    assert steps
    assert len(last.values) == len(tiles)


def test_only_some_runs_are_kept(scored, looks):
    slide, started, tiles = scored
    for number in range(20):
        out_of_distribution._appearances[started.store.path / str(number)] = []
    list(measure_ood(slide, started, tiles))
    assert len(out_of_distribution._appearances) == 8
    assert started.store.path in out_of_distribution._appearances


def test_a_model_that_does_not_say_what_it_knows_tells_nothing(scored, monkeypatch):
    slide, started, tiles = scored
    monkeypatch.setattr(out_of_distribution, "load_ood_reference", lambda _model, _sha: None)
    said = run_task(measure_ood(slide, started, tiles))
    assert not said.known
    assert np.isnan(said.values).all()
