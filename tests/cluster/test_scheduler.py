"""Slides scored by real worker processes, as one process would score them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_smse.cluster import ClusterJob, ClusterProgress, ClusterScoring
from napari_smse.errors import OutputError, WorkerError
from napari_smse.models import Model
from napari_smse.scoring import ScoreStore
from napari_smse.slides import open_slide
from support import cluster
from support.cluster import assert_equal, job_on, scored_here, write_model, write_slide

if TYPE_CHECKING:
    from distributed import Client


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("slides")
    return [write_slide(folder / f"{seed}.tif", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def expected(paths: list[Path], model: Model, tmp_path_factory: pytest.TempPathFactory) -> list:
    """What one process finds."""
    folder = tmp_path_factory.mktemp("expected")
    return [scored_here(path, model, folder / f"{path.stem}.zarr") for path in paths]


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even a small slide be shared."""
    monkeypatch.setattr("napari_smse.cluster.scheduler._MIN_TILES", 8)
    monkeypatch.setattr("napari_smse.cluster.scheduler._MAX_TILES", 16)


class Jobs:
    """Makes jobs of slides, and closes the slides at the end."""

    def __init__(self, model: Model, folder: Path) -> None:
        self._model, self._folder = model, folder
        self._open = ExitStack()

    def on(self, path: Path) -> ClusterJob:
        slide = self._open.enter_context(open_slide(path))
        return job_on(slide, self._model, self._folder / f"{path.stem}.zarr")

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def jobs(model: Model, tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(model, tmp_path / "stores")
    yield made
    made.close()


def run(workers: Client, jobs: Iterable[ClusterJob], **how: object) -> list[ClusterProgress]:
    return list(ClusterScoring(workers, **how).run(jobs))


def stores(jobs: Iterable[ClusterJob]) -> list[ScoreStore]:
    return [ScoreStore.open(job.store.path) for job in jobs]


def test_results_are_those_of_one_process(
    workers: Client, jobs: Jobs, paths: list[Path], expected: list[ScoreStore]
) -> None:
    wanted = [jobs.on(path) for path in paths]
    words = run(workers, wanted)
    ended = [word.ended for word in words if word.ended is not None]
    assert set(ended) == set(wanted)
    assert all(word.error is None for word in words)
    assert words[-1].progress.done == words[-1].progress.total
    assert words[-1].progress.total == sum(job.plan.tile_count for job in wanted)
    for there, here in zip(stores(wanted), expected, strict=True):
        assert there.complete
        assert_equal(there, here)


def test_a_slide_is_shared_by_workers(workers: Client, jobs: Jobs, paths: list[Path]) -> None:
    job = jobs.on(paths[0])
    shares = list(ClusterScoring(workers)._split_blocks(job, job.plan.tile_count))
    assert len(shares) > 4
    assert sorted(number for share in shares for number in share) == job.todo


def test_no_more_is_under_way_than_workers_need(
    workers: Client, jobs: Jobs, paths: list[Path]
) -> None:
    scoring = ClusterScoring(workers)
    most = max(len(scoring._running) for _ in scoring.run(jobs.on(path) for path in paths))
    assert 2 <= most <= 4  # two each


@pytest.mark.parametrize("task", [cluster.die_once, cluster.lose_drive_once])
def test_what_happens_to_a_worker_loses_nothing(
    workers: Client, model: Model, jobs: Jobs, tmp_path: Path, task: object
) -> None:
    path = write_slide(tmp_path / "slide.tif", seed=7)
    job = jobs.on(path)
    words = run(workers, [job], task=task)
    happened = {file.name for file in tmp_path.iterdir()} & {cluster.DYING, cluster.FLAKY}
    assert len(happened) == 1
    assert words[-1].error is None
    assert job.store.complete
    assert_equal(stores([job])[0], scored_here(path, model, tmp_path / "here.zarr"))
    # Who was killed was replaced.
    workers.wait_for_workers(2, timeout=60)


def test_a_slide_that_kills_workers_stops_no_other(
    workers: Client, jobs: Jobs, paths: list[Path], tmp_path: Path, expected: list[ScoreStore]
) -> None:
    deadly = write_slide(tmp_path / f"{cluster.DYING}.tif")
    wanted = [jobs.on(deadly), jobs.on(paths[1])]
    workers.run_on_scheduler(_allow_deaths, 1)  # fewer than usual, as starting workers takes long
    words = run(workers, wanted, task=cluster.always_die)
    workers.run_on_scheduler(_allow_deaths, 3)
    errors = {word.ended: word.error for word in words if word.ended is not None}
    assert isinstance(errors[wanted[0]], WorkerError)
    assert "died again and again" in str(errors[wanted[0]])
    assert errors[wanted[1]] is None
    assert_equal(stores(wanted)[1], expected[1])
    workers.wait_for_workers(2, timeout=60)


def _allow_deaths(count: int, dask_scheduler: object) -> None:
    dask_scheduler.allowed_failures = count


def test_an_error_that_stays_is_told_and_stops_no_other(
    workers: Client, jobs: Jobs, paths: list[Path]
) -> None:
    words = run(workers, [jobs.on(paths[0]), jobs.on(paths[1])], task=cluster.lose_drive)
    told = [str(word.error) for word in words if word.error is not None]
    assert len(told) == 2
    assert "cannot score 0.tif (ConnectionError: the drive of 0.tif is away)" in told[0]


def test_a_changed_slide_is_given_up_and_the_others_go_on(
    workers: Client, jobs: Jobs, paths: list[Path], tmp_path: Path
) -> None:
    path = write_slide(tmp_path / "changed.tif", seed=3)
    changed, other = jobs.on(path), jobs.on(paths[2])
    write_slide(path, seed=4)
    errors = {
        word.ended: word.error for word in run(workers, [changed, other]) if word.ended is not None
    }
    assert "is another file there" in str(errors[changed])
    assert errors[other] is None
    assert other.store.complete
    assert not changed.store.complete


def test_what_was_scored_before_a_stop_is_kept_and_not_scored_again(
    workers: Client, jobs: Jobs, model: Model, paths: list[Path], expected: list[ScoreStore]
) -> None:
    job = jobs.on(paths[0])
    running = ClusterScoring(workers, cluster.score_slowly).run([job])
    for word in running:
        if word.progress.done:
            break
    running.close()
    done = int(job.store.blocks_done().sum())
    assert 0 < done < len(job.plan.blocks)
    again = jobs.on(paths[0])
    assert len(again.todo) == len(job.plan.blocks) - done
    words = run(workers, [again])
    assert words[-1].progress.total == again.tiles_in(job.todo)
    assert_equal(stores([again])[0], expected[0])


def test_a_slide_that_is_whole_ends_without_workers(
    workers: Client, jobs: Jobs, paths: list[Path]
) -> None:
    run(workers, [jobs.on(paths[0])])
    again = jobs.on(paths[0])
    words = run(workers, [again], task=None)
    assert [word.ended for word in words] == [again]


@pytest.mark.parametrize("step", ["add", "finish"])
def test_a_slip_with_one_slide_stops_no_other(
    workers: Client, jobs: Jobs, paths: list[Path], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    wanted = [jobs.on(path) for path in paths]

    def slip(*_: object) -> None:
        raise TypeError("a slip")

    monkeypatch.setattr(wanted[1], step, slip)
    words = run(workers, wanted)
    errors = {word.ended: word.error for word in words if word.ended is not None}
    assert set(errors) == set(wanted)
    assert [type(errors[job]) for job in wanted] == [type(None), TypeError, type(None)]
    assert wanted[0].store.complete
    assert wanted[2].store.complete


def test_a_whole_slide_that_cannot_be_ended_stops_no_other(
    workers: Client, jobs: Jobs, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [jobs.on(path) for path in paths[:2]]
    run(workers, wanted[:1])

    def full() -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(wanted[0], "finish", full)
    errors = {word.ended: word.error for word in run(workers, wanted) if word.ended is not None}
    assert str(errors[wanted[0]]) == "the disk is full"
    assert errors[wanted[1]] is None
