import os

import pytest

from napari_smse.progress import run_task
from napari_smse.scoring.runtimes import selection, speed_memory
from napari_smse.scoring.runtimes.speed_memory import Speed
from napari_smse.slides import open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.score_slide import (
    ScoreJob,
    forget_old_runs,
    settle_runtime,
    spare_threads,
)
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
    monkeypatch.setattr(score_slide, "usable_cores", lambda: 8)
    assert spare_threads() == 7
    monkeypatch.setattr(score_slide, "usable_cores", lambda: 1)
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


@pytest.fixture
def new_machine(monkeypatch, tmp_path):
    """Nothing was measured; return what says that this way is the fastest from now on."""

    def fastest(runtime, precision):
        speed = Speed(runtime, precision, 1.0, 0.0)
        for name in ("remembered_speed", "selected_speed"):
            monkeypatch.setattr(selection, name, lambda *_args: speed)

    def measured(*_args):
        raise AssertionError("the ways to run the model were measured")

    monkeypatch.setattr(speed_memory, "_memory", lambda: tmp_path / "fastest.json")
    monkeypatch.setattr(speed_memory, "_unwritten", {})
    monkeypatch.setattr(selection, "remembered_speed", lambda *_args: None)
    monkeypatch.setattr(selection, "selected_speed", measured)
    return fastest


def test_a_first_run_waits_for_no_measurement_and_goes_on_as_it_was_begun(run, new_machine):
    first, given = run(0.5, at_once=True)
    # A CPU that multiplies bfloat16 first compares its answers with float32's, twice a batch each.
    assert given - first.plan.tile_count in (0, 4 * first.device.batch_size)
    begun = first.device.runtime, first.device.precision
    other = "float32" if first.device.precision == "bfloat16" else "bfloat16"
    new_machine("torch", other)
    for at_once in (True, False):
        again, given = run(0.5, at_once=at_once)
        assert given == 0
        assert again.store.path == first.store.path
        assert (again.device.runtime, again.device.precision) == begun
    next_one, _ = run(1.0, at_once=True)
    assert next_one.device.precision == next_one.store.facts["precision"] == other


def test_a_store_of_its_own_goes_on_as_it_was_begun(run, new_machine, tmp_path):
    first, _ = run(0.5, at_once=True, out=tmp_path / "own.zarr")
    new_machine("torch", "float32" if first.device.precision == "bfloat16" else "bfloat16")
    again, given = run(0.5, out=tmp_path / "own.zarr")
    assert given == 0
    assert again.device == first.device


def test_a_long_first_run_is_measured_for_if_there_is_a_choice(run, new_machine, monkeypatch):
    monkeypatch.setattr(score_slide, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(score_slide, "has_other_runtimes", lambda: True)
    with pytest.raises(AssertionError, match="were measured"):
        run(0.5, at_once=True)
    monkeypatch.setattr(score_slide, "has_other_runtimes", lambda: False)
    run(0.5, at_once=True)


def test_after_a_first_run_it_is_measured_once(run, new_machine, monkeypatch):
    measured = []
    monkeypatch.setattr(score_slide, "select_runtime", lambda *args: measured.append(args))
    first, _ = run(0.5, at_once=True)
    settle_runtime(first)
    assert len(measured) == 1
    new_machine("torch", "float32")
    settle_runtime(first)
    assert len(measured) == 1
