"""Commands under a limit of their address space end with one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.shell import Shell, assert_one_error, shell, write_section

__all__ = ["shell"]  # the fixture
resource = pytest.importorskip("resource", reason="limits are set as on Unix")
_MAIN = "from napari_smse.cli import main; main()"


def run_limited(megabytes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)"
    return subprocess.run(
        [sys.executable, "-c", f"{limit}; {_MAIN}", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )


def assert_named(answer: subprocess.CompletedProcess[str]) -> None:
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, answer.stderr
    assert "needs more memory than there is" in lines[0]
    assert lines[0].startswith("error: ")
    assert answer.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="macOS sets no such limit")
def test_what_does_not_even_load_is_told(sample_slide: Path) -> None:
    assert_named(run_limited(200, "info", sample_slide))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="macOS sets no such limit")
def test_a_run_without_memory_for_torch_is_told(sample_slide: Path, tmp_path: Path) -> None:
    assert_named(run_limited(1000, "score", sample_slide, "--out", tmp_path))
    assert not list(tmp_path.rglob("run.json"))


def test_one_slide_without_memory_stops_no_other(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_smse.workflows.batch import slide_job

    for name in ("a", "b"):
        write_section(tmp_path / f"{name}.tif")
    open_slide = slide_job.open_slide

    def opened(path: Path, **more: float | None) -> object:
        if path.name == "a.tif":
            raise MemoryError
        return open_slide(path, **more)

    monkeypatch.setattr(slide_job, "open_slide", opened)
    answer = shell("score", tmp_path, "--out", tmp_path / "out")
    assert answer.err.startswith("error: a.tif needs more memory than there is")
    assert answer.err.endswith("1 of 2 slides could not be scored.\n")
    assert answer.status == 1
    assert (tmp_path / "out" / "b" / "run.json").exists()


def test_a_command_that_finds_no_memory_is_told(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_path: Path) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("napari_smse.cli.app.slides_in_file", no_memory)
    assert_one_error(shell("info", tmp_path), "needs more memory than there is")
