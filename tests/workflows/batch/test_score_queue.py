"""A queue of slides, scored into the cache of the viewer."""

from __future__ import annotations

import pytest

from napari_smse.errors import ScaleError
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreStore
from napari_smse.slides import open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.batch.score_queue import (
    ScoreChoice,
    ScoreSlidesJob,
    SlideOutcome,
    SlideStep,
    SlideToScore,
)
from napari_smse.workflows.runs.stored_runs import find_stored_run, maps_of_run, run_of_store
from napari_smse.workflows.settings.score import ScoreSettings
from support.annotated_slides import write_red_slide

CHOICE = ScoreChoice("redness", "redness", ScoreSettings((0.5,)))


@pytest.fixture
def runs(redness, monkeypatch, tmp_path):
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def slides(tmp_path):
    return [write_red_slide(tmp_path, name, seed) for seed, name in enumerate("abc")]


def queue(paths, **options):
    steps = []
    job = ScoreSlidesJob([SlideToScore(path) for path in paths], CHOICE, **options)
    return run_task(job.run(), steps.append), steps


def test_one_bad_slide_stops_no_others_and_says_why(runs, slides):
    slides[1].write_bytes(slides[1].read_bytes()[:3000])
    outcomes, steps = queue(slides)
    assert [bool(one.run) for one in outcomes] == [True, False, True]
    assert "b.tif" in outcomes[1].problem
    assert not outcomes[0].problem
    assert all(one.run.store.complete for one in (outcomes[0], outcomes[2]))
    told = [step.detail for step in steps if isinstance(step.detail, SlideOutcome)]
    assert told == outcomes


def test_progress_is_of_each_slide_and_of_all(runs, slides):
    _, steps = queue(slides[:2])
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total
    shares = [one.detail for one in steps if isinstance(one.detail, SlideStep)]
    assert {one.number for one in shares} == {0, 1}
    assert max(one.share for one in shares if one.number == 0) == 1
    assert any("Slide 2 of 2, b.tif" in one.message for one in steps)


def test_what_was_scored_is_not_scored_again(runs, slides, redness):
    queue(slides[:1])
    before = len(redness.network.batches)
    outcomes, _ = queue(slides[:2])
    assert all(one.run.store.complete for one in outcomes)
    batches = len(redness.network.batches) - before
    queue(slides[:2])
    assert len(redness.network.batches) - before == batches


def test_a_queue_longer_than_the_cache_keeps_all_of_its_runs(runs, slides, monkeypatch):
    monkeypatch.setattr("napari_smse.workflows.batch.score_queue.RUNS_KEPT", 0)
    queue(slides)
    assert len(list(runs.glob("*.zarr"))) == 3


def test_cancelling_closes_the_slide_and_what_was_done_stays(runs, slides):
    job = ScoreSlidesJob([SlideToScore(path) for path in slides], CHOICE).run()
    for progress in job:
        if isinstance(progress.detail, SlideOutcome):
            break
    job.close()
    with open_slide(slides[0]) as slide:
        assert find_stored_run(slide, score_slide.load_cached_model("redness").card) is not None
    outcomes, _ = queue(slides)
    assert all(one.run is not None for one in outcomes)


def test_an_open_slide_comes_with_its_maps(runs, slides):
    with open_slide(slides[0]) as slide:
        job = ScoreSlidesJob([SlideToScore(slides[0], slide)], CHOICE)
        (outcome,) = run_task(job.run())
        assert slide.thumbnail(8).any()  # it was not closed
    assert outcome.maps is not None
    assert [str(name) for name in outcome.maps] == ["P(malignant) 20x"]


def test_impossible_settings_end_the_queue_before_it_begins(runs, slides):
    choice = ScoreChoice("redness", "redness", ScoreSettings((0.5,), overlap=2.0))
    with pytest.raises(ScaleError):
        run_task(ScoreSlidesJob([SlideToScore(slides[0])], choice).run())


def test_a_stored_run_is_found_by_slide_and_model_and_opened_as_it_was(runs, slides, redness):
    (outcome,), _ = queue(slides[:1])
    with open_slide(slides[0]) as slide, open_slide(slides[1]) as other:
        found = find_stored_run(slide, redness.card)
        assert found is not None
        assert found.path == outcome.run.store.path
        assert found.mpps == (0.5,)
        assert found.model == "redness 1"
        assert find_stored_run(other, redness.card) is None
        assert find_stored_run(slide.with_mpp(0.4), redness.card) is None
        stranger = redness.card.model_copy(update={"weights_sha256": "0" * 64})
        assert find_stored_run(slide, stranger) is None
        run = run_of_store(slide, ScoreStore.open(found.path), redness.card, "redness")
    assert run.plan.tile_count == outcome.run.plan.tile_count
    again, before = (maps_of_run(one).scores()[0].probability for one in (run, outcome.run))
    assert (again == before).all()


def test_scores_of_a_part_of_a_slide_are_not_taken_for_all_of_it(runs, slides, redness):
    queue(slides[:1])
    (path,) = runs.glob("*.zarr")
    (path / "blocks_done").rename(path / "gone")
    with open_slide(slides[0]) as slide:
        assert find_stored_run(slide, redness.card) is None
