"""Logs that go on after a stop without a gap and without a row twice."""

from __future__ import annotations

import csv
import logging
import sys
from pathlib import Path

import pytest

from napari_smse.training.training_log import TrainingLog


@pytest.fixture
def no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def steps(folder: Path, name: str = "training.csv") -> list[int]:
    with (folder / name).open(newline="") as stream:
        return [int(row["step"]) for row in csv.DictReader(stream)]


def write(folder: Path, last: int, first: int = 0, checked: int = 0) -> None:
    log = TrainingLog(folder, first, checked)
    for step in range(first + 1, last + 1):
        log.write_step(step, {"loss": 1 / step, "rate": 0.1})
        if step % 2 == 0:
            log.write_held_out(step, {"auc": 0.5})
    log.close()


@pytest.mark.usefixtures("no_board")
def test_figures_are_written_under_their_names(tmp_path: Path) -> None:
    write(tmp_path, 4)
    assert (tmp_path / "training.csv").read_text().splitlines()[:3] == [
        "step,loss,rate",
        "1,1,0.1",
        "2,0.5,0.1",
    ]
    assert (tmp_path / "held_out.csv").read_text().split() == ["step,auc", "2,0.5", "4,0.5"]


@pytest.mark.usefixtures("no_board")
def test_rows_beyond_the_checkpoint_are_dropped_and_written_anew(tmp_path: Path) -> None:
    write(tmp_path, 9)
    write(tmp_path, 8, first=5, checked=4)
    assert steps(tmp_path) == list(range(1, 9))
    assert steps(tmp_path, "held_out.csv") == [2, 4, 6, 8]


@pytest.mark.usefixtures("no_board")
def test_a_row_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 3)
    with (tmp_path / "training.csv").open("a") as stream:
        stream.write("4,0.2")
    write(tmp_path, 5, first=4)
    assert steps(tmp_path) == [1, 2, 3, 5]


@pytest.mark.usefixtures("no_board")
def test_another_trainings_rows_are_gone(tmp_path: Path) -> None:
    write(tmp_path, 9)
    write(tmp_path, 2)
    assert steps(tmp_path) == [1, 2]


@pytest.mark.usefixtures("no_board")
def test_rows_are_there_before_the_log_is_closed(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.write_step(1, {"loss": 2.0})
    assert steps(tmp_path) == [1]
    log.close()


@pytest.mark.usefixtures("no_board")
def test_without_tensorboard_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, 3)
    assert caplog.text.count("TensorBoard is not installed") == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_board_holds_the_same_figures(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write(tmp_path, 6)
    write(tmp_path, 6, first=4, checked=4)
    board = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    found = board.Scalars("training/loss")
    assert [event.step for event in found] == [1, 2, 3, 4, 5, 6]
    assert found[3].value == pytest.approx(0.25)
    assert {event.step for event in board.Scalars("held out/auc")} == {2, 4, 6}
