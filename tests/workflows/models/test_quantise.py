"""What is scored in int8 says so, goes on with the same network, and is not taken for other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_smse as smse
from napari_smse.errors import (
    IndexFilesError,
    ModelError,
    OutputError,
    RequestError,
)
from napari_smse.models import Model
from napari_smse.progress import run_task
from napari_smse.results import RECORD_NAME, RunRecord
from napari_smse.scoring import ScoreRequest
from napari_smse.scoring.device import PrecisionChoice, Quantisation
from napari_smse.similarity.index.shard import shard_of
from napari_smse.slides import open_slide
from napari_smse.workflows.batch.destination import destination_from
from napari_smse.workflows.batch.resume import ExistingResults
from napari_smse.workflows.models.quantise import quantise_model
from napari_smse.workflows.replay.recorded_run import recorded_settings
from support.cluster import write_model, write_slide
from support.int8 import use_folder, write_stand_in
from support.shell import Shell, assert_one_error, shell

__all__ = ["shell"]  # a fixture

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_folder(monkeypatch, tmp_path / "int8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "one.tif")


def score(
    path: Path, model: Model, out: Path, precision: PrecisionChoice = "int8"
) -> smse.api.scores.Scores:
    return smse.score(
        smse.open_slide(path), smse.load_model(model.path), 0.5, precision=precision, out=out
    )


def test_it_is_part_of_what_scores_depend_on(model: Model, path: Path, tmp_path: Path) -> None:
    first = write_stand_in(model)
    scores = score(path, model, tmp_path / "scores.zarr")
    facts = scores.store.facts
    assert (facts["precision"], facts["runtime"]) == ("int8", "openvino")
    assert Quantisation(**facts["quantisation"]) == first
    assert score(path, model, tmp_path / "scores.zarr").store.complete  # goes on, as it is the same
    write_stand_in(model, 0.06)
    with pytest.raises(OutputError, match="quantisation"):
        score(path, model, tmp_path / "scores.zarr")
    with pytest.raises(OutputError, match="precision"):
        score(path, model, tmp_path / "scores.zarr", "float32")


def test_its_deviation_is_recorded(model: Model, path: Path, tmp_path: Path) -> None:
    quantisation = write_stand_in(model)
    score(path, model, tmp_path / "scores.zarr").save(tmp_path / "one")
    record = RunRecord.model_validate_json((tmp_path / "one" / RECORD_NAME).read_text())
    assert record.quantisation == quantisation
    assert quantisation.note in record.warnings
    assert recorded_settings(record).precision == "int8"
    with open_slide(path) as slide:
        found = ExistingResults.find(destination_from(str(tmp_path)), "one")
        assert found is not None

        def differs(precision: PrecisionChoice) -> list[str]:
            return found.differences(slide, model.card, ScoreRequest((0.5,)), precision=precision)

        assert differs("int8") == []
        assert differs("auto") == differs("float32") == ["precision"]
        write_stand_in(model, 0.06)
        assert differs("int8") == ["precision"]
    with pytest.raises(RequestError, match="not on this machine"):
        recorded_settings(record)


def test_records_of_other_precisions_have_no_such_field_filled(
    model: Model, path: Path, tmp_path: Path
) -> None:
    score(path, model, tmp_path / "scores.zarr", "float32").save(tmp_path / "one")
    assert json.loads((tmp_path / "one" / RECORD_NAME).read_text())["quantisation"] is None


def test_an_index_refuses_it(model: Model, path: Path, tmp_path: Path) -> None:
    write_stand_in(model)
    scores = score(path, model, tmp_path / "scores.zarr")
    with open_slide(path) as slide, pytest.raises(IndexFilesError, match="in int8"):
        shard_of(slide, scores.store)


def test_without_a_network_it_is_told_how_to_get_one(
    model: Model, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="models quantise"):
        score(path, model, tmp_path / "scores.zarr")


def test_two_precisions_are_refused(model: Model, path: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="not both"):
        smse.score(
            smse.open_slide(path), smse.load_model(model.path), precision="int8", float32=True
        )


def test_contradictions_are_one_line(shell: Shell, path: Path, tmp_path: Path) -> None:
    words = ("score", path, "--out", tmp_path / "out", "--precision", "int8")
    assert_one_error(shell(*words, "--float32"), "not both")
    assert_one_error(shell(*words, "--index", tmp_path / "index"), "leave out --index")


def test_it_is_calibrated_on_tiles_from_all_over_the_slides(
    model: Model, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def note(model: Model, tiles: np.ndarray, slides: int) -> str:
        taken.append((tiles, slides))
        return "made"

    monkeypatch.setattr("napari_smse.scoring.runtimes.quantising.quantise", note)
    for _ in range(2):
        with open_slide(path) as slide:
            assert run_task(quantise_model(model, [slide, slide], (0.5, 0.25))) == "made"
    (tiles, slides), (again, _) = taken
    assert slides == 2
    assert tiles.shape[1:] == (64, 64, 3)
    assert 16 <= len(tiles) <= 128
    np.testing.assert_array_equal(tiles, again)
