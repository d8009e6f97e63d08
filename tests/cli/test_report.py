"""`napari-smse report` and `cohort`: one line a fact, and exit statuses a script can rely on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_smse.cli.app import app
from napari_smse.errors import DataError, OutputError
from support import TESTS

runner = CliRunner()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TESTS / "written_by_0_1", tmp_path / "written"))


@pytest.fixture
def where(written: Path) -> list[str]:
    """How to find slide and model of these results."""
    return ["--slides", str(written), "--model", str(written / "models" / "mini")]


def test_reports_are_written_and_named(written: Path, where: list[str]) -> None:
    result = runner.invoke(app, ["report", str(written), *where])
    assert result.exit_code == 0, result.output
    page = written / "results" / "slide" / "report.html"
    assert page.exists()
    assert page.with_suffix(".pdf").exists()
    assert "".join(result.output.split()) == str(page)


def test_what_cannot_be_reported_is_one_line_and_the_status_is_1(written: Path) -> None:
    result = runner.invoke(app, ["report", str(written / "results" / "slide")])
    assert result.exit_code == 1
    assert "was scored by mini" in result.output
    assert "--model" in result.output


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["report", str(tmp_path)])
    assert isinstance(result.exception, OutputError)


def test_a_cohort_with_labels_says_what_is_missing_for_an_auc(
    written: Path, where: list[str], tmp_path: Path
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "cohort.html"
    labels.write_text("slide,label\nslide.tif,malignant\nelsewhere,benign\n")
    command = ["cohort", str(written), "--out", str(out), "--labels", str(labels), *where]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "mini 1: 1 slide" in result.output
    assert "There is no AUC of 1 case labelled malignant" in result.output
    assert "labels.csv has 1 case without a slide here: elsewhere." in result.output
    assert "<html" in out.read_text(encoding="utf-8")


def test_an_unknown_label_is_refused_and_no_page_written(
    written: Path, where: list[str], tmp_path: Path
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "cohort.html"
    labels.write_text("slide,label\nslide.tif,tumour\n")
    command = ["cohort", str(written), "--out", str(out), "--labels", str(labels), *where]
    result = runner.invoke(app, command)
    assert isinstance(result.exception, DataError)
    assert "labels slide as 'tumour'" in str(result.exception)
    assert not out.exists()


def test_a_cohort_of_nothing_that_can_be_read_has_status_1(written: Path, tmp_path: Path) -> None:
    shutil.rmtree(written / "results" / "slide" / "scores.zarr")
    out = tmp_path / "cohort.html"
    result = runner.invoke(app, ["cohort", str(written), "--out", str(out)])
    assert result.exit_code == 1
    assert "holds no readable scores" in " ".join(result.output.split())
    assert "Without a result" in out.read_text(encoding="utf-8")


def test_another_class_is_looked_for(written: Path, where: list[str], tmp_path: Path) -> None:
    result = runner.invoke(app, ["report", str(written), *where, "--positive", "benign"])
    assert result.exit_code == 0, result.output
    page = (written / "results" / "slide" / "report.html").read_text()
    assert "The places called benign" in page or "no place is called benign" in page
    out = tmp_path / "cohort.html"
    labels = tmp_path / "labels.csv"
    labels.write_text("slide,label\nslide.tif,malignant\n")
    command = ["cohort", str(written), "--out", str(out), "--labels", str(labels), *where]
    result = runner.invoke(app, [*command, "--positive", "benign"])
    assert result.exit_code == 0, result.output
    assert "P(benign)" in out.read_text()


def test_a_class_that_the_model_does_not_know_is_one_line(written: Path, where: list[str]) -> None:
    result = runner.invoke(app, ["report", str(written), *where, "--positive", "Tumor"])
    assert result.exit_code == 1
    assert "mini 1 knows no class 'Tumor': choose one of benign, malignant." in result.output
