"""Reports of results that lie in folders: found, written, and refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from napari_smse.errors import (
    ChangedSlideError,
    ModelNotFoundError,
    OutputError,
    SlideNotFoundError,
)
from napari_smse.progress import run_task
from napari_smse.workflows.report.saved_results import (
    find_results,
    open_results,
    write_report,
    write_reports,
)
from support import TESTS

WRITTEN = TESTS / "written_by_0_1"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What version 0.1 wrote: the slide, its results and the model, in a new place."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "written"))


@pytest.fixture
def folder(written: Path) -> Path:
    return written / "results" / "slide"


@pytest.fixture
def models(written: Path) -> tuple[str]:
    return (str(written / "models" / "mini"),)


def test_results_of_0_1_get_a_report(folder: Path, models: tuple[str], written: Path) -> None:
    page = write_report(folder, models, slides=written)
    html = page.read_text(encoding="utf-8")
    assert page == folder / "report.html"
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "64 tiles" in html
    assert "16 tiles" in html
    # Neither the model nor that version's store says what is out of distribution.
    assert "What is out of distribution is not known" in html


def test_results_are_found_in_folders_and_below(folder: Path, tmp_path: Path) -> None:
    assert find_results([folder]) == [folder]
    assert find_results([tmp_path, folder]) == [folder]
    with pytest.raises(OutputError, match="holds no results of a slide"):
        find_results([folder / "scores.zarr" / "scale_0"])
    with pytest.raises(OutputError, match="none holds no results of a slide"):
        find_results([tmp_path / "none"])


def test_a_slide_that_was_moved_is_asked_for(folder: Path, models: tuple[str]) -> None:
    with pytest.raises(SlideNotFoundError, match="--slides"):
        write_report(folder, models)
    assert not (folder / "report.html").exists()


def test_another_slide_of_that_name_is_refused(
    folder: Path, models: tuple[str], tmp_path: Path, sample_slide: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(sample_slide, other / "slide.tif")
    with pytest.raises(ChangedSlideError, match="holds the scores of slide"):
        write_report(folder, models, slides=other)


def test_an_unknown_model_is_asked_for(folder: Path, written: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"was scored by mini .*--model"):
        write_report(folder, slides=written)


def test_missing_and_damaged_parts_are_named(folder: Path, models: tuple[str]) -> None:
    record = folder / "run.json"
    kept = record.read_bytes()
    record.write_text("{}")
    with pytest.raises(OutputError, match=r"run\.json is no readable record"):
        open_results(folder, models)
    record.unlink()
    with pytest.raises(OutputError, match=r"has no run\.json"):
        open_results(folder, models)
    record.write_bytes(kept)
    shutil.rmtree(folder / "scores.zarr")
    with pytest.raises(OutputError, match="holds no readable scores"):
        open_results(folder, models)


def test_unfinished_scores_are_not_reported(folder: Path, models: tuple[str]) -> None:
    facts = folder / "scores.zarr" / "zarr.json"
    values = json.loads(facts.read_text())
    del values["attributes"]["finished"]
    facts.write_text(json.dumps(values))
    with pytest.raises(OutputError, match="are not complete"):
        open_results(folder, models)


def test_one_that_fails_stops_no_other(
    folder: Path, models: tuple[str], written: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "written" / "results" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{}")
    outcomes = run_task(write_reports(find_results([written]), models, written))
    assert [one.folder.name for one in outcomes] == ["broken", "slide"]
    assert isinstance(outcomes[0].problem, OutputError)
    assert outcomes[1].problem is None
    assert (folder / "report.html").exists()
