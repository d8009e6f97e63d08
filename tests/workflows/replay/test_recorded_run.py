"""A recorded run is done again: the same scores, or one line that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, box
from shapely.geometry import shape

from napari_smse.errors import (
    ChangedSlideError,
    ModelNotFoundError,
    OutputError,
    RequestError,
    SlideNotFoundError,
)
from napari_smse.models import read_card
from napari_smse.progress import run_task
from napari_smse.results import STORE_NAME, RunContext, save_results
from napari_smse.results.run_record import read_record
from napari_smse.scoring import LOCK_NAME, ScoreRequest
from napari_smse.slides import open_slide
from napari_smse.workflows.replay.recorded_run import (
    RepeatedRun,
    recorded_region,
    recorded_settings,
    rerun,
)
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from support import TESTS
from support.icc_profiles import wide_profile
from support.shell import section
from support.slides import write_pyramid_tiff

ROUNDING = 1e-5
"""Of float32: tiles come in other batches each time, for which a matrix is multiplied otherwise."""

REGION = MultiPolygon([box(10.1, 20.3, 300.7, 200), box(320, 250.25, 500, 480)])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide and a model, in a new place."""
    source = TESTS / "written_by_0_1"
    return Path(shutil.copytree(source, tmp_path_factory.mktemp("there") / "written"))


@pytest.fixture(scope="module")
def model(written: Path) -> str:
    return str(written / "models" / "mini")


@pytest.fixture(scope="module")
def results(written: Path, model: str) -> Path:
    """What is recorded of a region at two scales."""
    folder, settings = written / "region", ScoreSettings((0.5, 1.0), 0.25, 0.1, None, "cpu")
    with open_slide(written / "slide.tif") as slide:
        run = run_task(ScoreJob(slide, model, settings, REGION, out=folder / "scores.zarr").run())
        save_results(folder, slide, run.store, RunContext(read_card(model), "CPU"))
    return folder


def repeated(results: Path, out: Path, *models: str, slides: Path | None = None) -> RepeatedRun:
    return run_task(rerun(results, out, models=models, slides=slides, device="cpu"))


def test_a_region_is_scored_again_as_it_was(results: Path, model: str, tmp_path: Path) -> None:
    again = repeated(results / "run.json", tmp_path / "again", model)
    assert again.tiles > 4
    assert again.same_tiles
    assert again.largest_difference < ROUNDING
    before, now = read_record(results), read_record(tmp_path / "again")
    assert now.settings == before.settings
    assert now.scales == before.scales


def test_a_profile_is_applied_again(model: str, tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", section(), iccprofile=wide_profile())
    folder = tmp_path / "results"
    with open_slide(path) as slide:
        job = ScoreJob(slide, model, ScoreSettings(device="cpu", icc=True), out=folder / STORE_NAME)
        run = run_task(job.run())
        save_results(folder, slide, run.store, RunContext(read_card(model), "CPU"))
    assert recorded_settings(read_record(folder)).icc
    again = repeated(folder, tmp_path / "again", model)
    assert again.tiles > 4
    assert again.same_tiles
    assert again.largest_difference < ROUNDING
    assert read_record(tmp_path / "again").settings["icc"] is True


def test_what_an_earlier_version_scored_is_scored_again(
    written: Path, model: str, tmp_path: Path
) -> None:
    again = repeated(written / "results" / "slide", tmp_path / "again", model, slides=written)
    assert again.tiles > 0
    assert again.largest_difference < 0.01


def test_another_slide_of_the_name_is_refused(results: Path, model: str, tmp_path: Path) -> None:
    moved = tmp_path / "slides"
    moved.mkdir()
    shutil.copy(TESTS.parent / "sample_data" / "sample_slide.tif", moved / "slide.tif")
    with pytest.raises(ChangedSlideError, match="as it was then"):
        repeated(results, tmp_path / "again", model, slides=moved)
    assert not (tmp_path / "again" / "run.json").exists()


def test_without_its_model_or_its_slide_it_is_refused(
    results: Path, written: Path, model: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotFoundError, match="--model"):
        repeated(results, tmp_path / "again")
    with pytest.raises(SlideNotFoundError, match="--slides"):
        repeated(written / "results" / "slide", tmp_path / "again", model)


def test_a_folder_that_holds_something_is_left_alone(
    results: Path, model: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="empty folder"):
        repeated(results, tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_was_stopped_goes_on(results: Path, model: str, tmp_path: Path) -> None:
    running = rerun(results, tmp_path, models=(model,), device="cpu")
    while not (tmp_path / STORE_NAME).exists():
        next(running)
    running.close()
    (tmp_path / LOCK_NAME).touch()  # as a kill leaves it
    part = tmp_path / ".tiles.csv.0123abcd.part"
    part.touch()
    assert repeated(results, tmp_path, model).same_tiles
    assert not part.exists()
    with pytest.raises(OutputError, match="empty folder"):  # now it is finished
        repeated(results, tmp_path, model)


def test_a_record_without_the_outline_of_its_region_is_refused(
    results: Path, model: str, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    record = json.loads((copy / "run.json").read_text())
    del record["settings"]["region"]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(RequestError, match="did not write its outline"):
        repeated(copy, tmp_path / "again", model)


def test_scores_by_exemplars_are_not_repeated_by_the_record_alone(results: Path) -> None:
    record = read_record(results).model_copy(update={"classifier": "12 exemplars"})
    with pytest.raises(RequestError, match="by 12 exemplars"):
        recorded_settings(record)


corners = st.floats(-1e5, 1e5, allow_nan=False, width=64)


@given(st.lists(st.tuples(corners, corners), min_size=3, max_size=8, unique=True))
def test_the_outline_of_a_region_is_recorded_exactly(points: list[tuple[float, float]]) -> None:
    outline = shapely.MultiPoint(points).convex_hull
    request = ScoreRequest((0.5,), roi=outline)
    assert request.region is not None
    again = ScoreRequest((0.5,), roi=shape(json.loads(json.dumps(request.region))))
    assert again.facts() == request.facts()


def test_of_a_whole_slide_no_region_is_recorded(written: Path) -> None:
    assert recorded_region(read_record(written / "results" / "slide")) is None
