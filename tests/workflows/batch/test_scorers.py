"""Slides scored by workers from a shell, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_smse.models import Model
from napari_smse.results import RunRecord
from napari_smse.scoring import ScoreStore
from support.cluster import write_model, write_slide
from support.shell import Shell


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def words(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Score two slides with a small model, in float32 by torch."""
    folder = tmp_path_factory.mktemp("slides")
    for seed in range(2):
        write_slide(folder / "in" / f"{seed}.tif", seed, width=1000, height=720)
    scales = ["--mpp", "0.5", "--mpp", "1.0", "--overlap", "0.75"]
    return ["score", str(folder / "in"), "--model", str(model.path), *scales, "--float32"]


@pytest.fixture
def score_here(
    words: list[str],
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    maps_not_drawn: None,
) -> Callable[[Path], list[np.ndarray]]:
    """Score without workers, in this process; return the probabilities."""
    shell = Shell(monkeypatch, capsys, model)

    def score(out: Path) -> list[np.ndarray]:
        assert shell(*words, "--out", out).status == 0
        return probabilities(out)

    return score


def start(words: Sequence[str], out: Path) -> subprocess.Popen[str]:
    main = "from napari_smse.cli.app import main; main()"
    command = [sys.executable, "-c", main, *words, "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def run(words: Sequence[str], out: Path) -> tuple[str, str]:
    """What was printed on stdout and stderr by a command that did all."""
    process = start(words, out)
    printed = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    return printed


def probabilities(out: Path) -> list[np.ndarray]:
    stores = [ScoreStore.open(out / name / "scores.zarr") for name in "01"]
    return [store.scale(number).probability for store in stores for number in range(2)]


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives(
    words: list[str], score_here: Callable[[Path], list[np.ndarray]], tmp_path: Path
) -> None:
    out, err = run([*words, "--local-workers", "2"], tmp_path)
    assert err == ""
    assert out.count("results in") == 2
    for name in "01":
        record = RunRecord.model_validate_json((tmp_path / name / "run.json").read_text())
        assert record.scales[0].scored in (None, record.scales[0].tiles)
    one_process = score_here(tmp_path / "one")
    for there, here in zip(probabilities(tmp_path), one_process, strict=True):
        assert there.tobytes() == here.tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no such signal here")
def test_stopped_by_a_key_it_goes_on_later_with_equal_results(
    words: list[str], score_here: Callable[[Path], list[np.ndarray]], tmp_path: Path
) -> None:
    process = start([*words, "--local-workers", "2"], tmp_path)
    wait_for_scores(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)  # a shell sends it to the workers, too
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Stopped. What was scored is kept" in err
    assert "Traceback" not in err
    # Also without workers: what they did is a run like any other.
    for there, here in zip(score_here(tmp_path), score_here(tmp_path / "one"), strict=True):
        assert there.tobytes() == here.tobytes()


def wait_for_scores(out: Path, process: subprocess.Popen[str]) -> None:
    """Wait until some blocks of the first slide are on disk."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        store = out / "0" / "scores.zarr"
        if (store / "zarr.json").exists() and ScoreStore.open(store).blocks_done().any():
            return
        time.sleep(0.02)
    pytest.fail(f"nothing was scored: {process.communicate(timeout=10)}")
