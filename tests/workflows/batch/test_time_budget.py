"""Slides that are given a time each, from a shell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from napari_smse.models import NetworkOutput
from napari_smse.results import RunRecord
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_section(tmp_path / "slide.tif", width=1400, height=1000)


@pytest.fixture
def short(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> str:
    """A time in which a slow network cannot score all of the slide, but its first look."""
    forward = shell.model.network.forward

    def slowly(images: object) -> NetworkOutput:
        time.sleep(0.1)
        return forward(images)

    monkeypatch.setattr(shell.model.network, "forward", slowly)
    # Many cores would have read and scored all of it by then.
    monkeypatch.setattr("napari_smse.workflows.batch.scorers.usable_cores", lambda: 2)
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 128)
    return "0.5s"


def scored(folder: Path) -> tuple[int, int]:
    """Tiles scored, and all."""
    record = RunRecord.model_validate_json((folder / "run.json").read_text())
    tiles = sum(scale.tiles for scale in record.scales)
    return sum(
        scale.tiles if scale.scored is None else scale.scored for scale in record.scales
    ), tiles


def test_what_there_was_time_for_is_reported_and_written(
    shell: Shell, slide: Path, tmp_path: Path, short: str
) -> None:
    answer = shell("score", slide, "--out", tmp_path / "out", "--time-limit", short)
    assert (answer.status, answer.err) == (0, "")
    done, total = scored(tmp_path / "out" / "slide")
    assert 0 < done < total
    assert f"slide.tif: {done} of {total} tiles in the time there was, results in" in answer.out


def test_its_time_is_not_spent_on_a_slide_again(
    shell: Shell, slide: Path, tmp_path: Path, short: str
) -> None:
    words = ("score", slide, "--out", tmp_path / "out", "--time-limit")
    shell(*words, short)
    before = sum(shell.model.network.batches)
    assert "already scored" in shell(*words, short).out
    assert sum(shell.model.network.batches) == before


def test_more_time_goes_on_from_there(
    shell: Shell, slide: Path, tmp_path: Path, short: str
) -> None:
    words = ("score", slide, "--out", tmp_path / "out", "--time-limit")
    shell(*words, short)
    first = sum(shell.model.network.batches)
    assert first == scored(tmp_path / "out" / "slide")[0]
    assert shell(*words, "10m").status == 0
    done, total = scored(tmp_path / "out" / "slide")
    assert done == total
    assert sum(shell.model.network.batches) == total  # none twice


def test_no_time_and_workers_are_refused_before_anything_is_done(
    shell: Shell, slide: Path, tmp_path: Path
) -> None:
    for words, message in (
        (("--time-limit", "0m"), "'0m' is no time limit"),
        (("--time-limit", "10"), "'10' is no time limit"),
        (("--time-limit", "nan"), "'nan' is no time limit"),
        (("--time-limit", "3m", "--local-workers", "2"), "leave out --time-limit"),
        (("--time-limit", "3m", "--scheduler", "tcp://127.0.0.1:9"), "leave out --time-limit"),
    ):
        answer = shell("score", slide, "--out", tmp_path / "out", *words)
        assert answer.status == 1
        assert message in " ".join(answer.err.split())
    assert not (tmp_path / "out").exists()
