import os

import pytest

from napari_smse.progress import run_task
from napari_smse.slides import open_slide
from napari_smse.workflows.score_slide import ScoreJob, forget_old_runs, spare_threads
from napari_smse.workflows.settings.score import ScoreSettings


def test_only_the_newest_runs_are_kept(tmp_path):
    for number in range(5):
        run = tmp_path / f"run-{number}.zarr"
        run.mkdir()
        (run / "zarr.json").write_text("{}")
        os.utime(run / "zarr.json", (number, number))
    (tmp_path / "not a run").mkdir()
    forget_old_runs(tmp_path, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"run-3.zarr", "run-4.zarr", "not a run"}
    forget_old_runs(tmp_path / "missing", keep=2)


def test_one_core_is_left_to_the_viewer(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert spare_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert spare_threads() == 1


@pytest.fixture
def run(slide_path, redness):
    """Score the slide at some scales; return the run and how many tiles the network was given."""

    def score(*mpps, **options):
        before = sum(redness.network.batches)
        with open_slide(slide_path) as slide:
            done = run_task(ScoreJob(slide, "bundled", ScoreSettings(mpp=mpps), **options).run())
        return done, sum(redness.network.batches) - before

    return score


def test_scales_of_earlier_runs_in_the_cache_are_not_scored_again(run):
    run(0.5, 1.0)
    third, given = run(0.25, 0.5, 1.0)
    assert given == len(third.plan.scales[0])
    again, given = run(0.25, 0.5, 1.0, again=True)
    assert given == again.plan.tile_count


def test_a_run_at_a_place_of_its_own_takes_nothing_from_the_cache(run, tmp_path):
    run(0.5)
    alone, given = run(0.5, 1.0, out=tmp_path / "own.zarr")
    assert given == alone.plan.tile_count
