"""What a worker does, called in this process."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from napari_smse.cluster import ClusterJob
from napari_smse.cluster.worker_task import score_blocks
from napari_smse.errors import SmseError, WorkerError
from napari_smse.models import Model
from napari_smse.progress import run_task
from napari_smse.segmentation.mask_file import choose_mask
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground
from napari_smse.workflows.chosen_tissue import chosen_tissue
from support.cluster import REQUEST, job_on, scored_here, write_model, write_slide
from support.icc_profiles import wide_profile
from support.tissue_masks import write_mask


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "slide.tif")


@pytest.fixture
def job(slide: Path, model: Model, tmp_path: Path) -> ClusterJob:
    with open_slide(slide) as opened:
        return job_on(opened, model, tmp_path / "job.zarr")


def error(job: ClusterJob, **changes: object) -> SmseError:
    """What a worker answers when it is told something else."""
    answer = score_blocks(replace(job.work, **changes), [0])
    assert isinstance(answer, WorkerError)
    assert "the worker on " in str(answer)
    assert "cannot score slide.tif: " in str(answer)
    return answer


def test_blocks_are_scored_as_in_one_process(
    job: ClusterJob, slide: Path, model: Model, tmp_path: Path
) -> None:
    assert len(job.plan.blocks) > 3
    whole = scored_here(slide, model, tmp_path / "here.zarr")
    # Work as it arrives elsewhere; blocks in any company and order.
    work = pickle.loads(pickle.dumps(job.work))
    for numbers in ([2], [3, 0]):
        answer = score_blocks(work, numbers)
        assert isinstance(answer, list)
        assert [block.number for block in answer] == numbers
        for block in answer:
            row = 0
            for scale, start, stop in job.plan.blocks[block.number].members:
                there = whole.scale(scale).probability[start:stop]
                assert np.array_equal(block.probability[row : row + stop - start], there)
                row += stop - start


def test_colours_are_converted_as_in_one_process(model: Model, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.tif", iccprofile=wide_profile())
    whole = scored_here(path, model, tmp_path / "here.zarr", replace(REQUEST, icc=True))
    plain = scored_here(path, model, tmp_path / "plain.zarr")
    with open_slide(path) as opened:
        job = job_on(opened, model, tmp_path / "job.zarr", replace(REQUEST, icc=True))
    answer = score_blocks(pickle.loads(pickle.dumps(job.work)), [0])
    assert isinstance(answer, list)
    scale, start, stop = job.plan.blocks[0].members[0]
    found = answer[0].probability[: stop - start]
    assert np.array_equal(found, whole.scale(scale).probability[start:stop])
    assert not np.array_equal(found, plain.scale(scale).probability[start:stop])


def test_a_worker_takes_the_tissue_that_was_found_here(
    model: Model, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    path = write_mask(tmp_path / "mask.geojson", [("", (0, 0, 700, 260))])
    with open_slide(slide) as opened:
        choice = choose_mask(path, opened, frozenset({Ground.FOLD}))
        request = replace(REQUEST, mask=choice)
        run_task(chosen_tissue(opened, request))
        job = job_on(opened, model, tmp_path / "job.zarr", request)
    shutil.rmtree(tmp_path / "cache")  # as on another machine, which has no mask either
    path.unlink()
    answer = score_blocks(pickle.loads(pickle.dumps(job.work)), [0])
    assert isinstance(answer, list), answer
    assert max(tiles.y.max() for tiles in job.plan.scales) < 260


def test_a_slide_is_opened_and_planned_once(
    job: ClusterJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = score_blocks(job.work, [0])
    monkeypatch.setattr("napari_smse.cluster.worker_task.open_slide", None)
    second = score_blocks(job.work, [0])
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert np.array_equal(first[0].embedding, second[0].embedding)


def test_another_file_under_the_same_name_is_noticed(job: ClusterJob) -> None:
    assert "is another file there" in str(error(job, quick_hash="other"))


def test_another_plan_is_noticed(job: ClusterJob) -> None:
    told = str(error(job, plan="other"))
    assert "finds other tiles than this machine" in told
    assert "same versions of napari-smse" in told


def test_another_model_is_noticed(job: ClusterJob) -> None:
    assert "is another one" in str(error(job, weights_sha256="other"))


def test_a_slide_that_it_does_not_see_is_told(job: ClusterJob, tmp_path: Path) -> None:
    answer = score_blocks(replace(job.work, path=tmp_path / "missing.tif"), [0])
    assert isinstance(answer, WorkerError)
    assert "there is no file" in str(answer)


def test_a_device_that_it_has_not_is_told(job: ClusterJob) -> None:
    device = replace(job.work.device, torch_name="cuda:9")
    assert "no device 'cuda:9'" in str(error(job, device=device))


def test_a_cpu_without_bfloat16_is_told(job: ClusterJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_smse.cluster.worker_task.computes_bfloat16", lambda: False)
    device = replace(job.work.device, precision="bfloat16")
    assert "add --float32" in str(error(job, device=device))
