"""Two processes that score into one folder at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from napari_smse.scoring import ScoreStore, folder_lock
from napari_smse.workflows.batch.destination import RemoteDestination
from support import TESTS
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture

ROUNDS = 6

SCORER = """
import contextlib, io, json, sys, time
from pathlib import Path
import pytest
from support.models import hide_bundled_reference, redness_model
from napari_smse import models
from napari_smse.cli import app, score
hide_bundled_reference(pytest.MonkeyPatch())

me, other, folder, rounds = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
model = redness_model()
models.load_model = lambda _name: model
score.read_card = lambda _name: model.card
for number in range(rounds):
    words = ["score", str(folder / "slide.tif"), "--out", str(folder / f"out{number}")]
    sys.argv = ["napari-smse", *words, "--float32", "--quiet", "--geojson"]
    (folder / f"{me}{number}").touch()
    while not (folder / f"{other}{number}").exists():
        time.sleep(0.0005)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            app.main()
    except SystemExit as end:
        status = int(end.code or 0)
    print(json.dumps([status, errors.getvalue()]), flush=True)
"""


@pytest.fixture
def answers(tmp_path: Path) -> list[list[tuple[int, str]]]:
    """What both printed in each round: status, and errors."""
    write_section(tmp_path / "slide.tif", width=1400, height=1000)
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SCORER, *names, str(tmp_path), str(ROUNDS)],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for names in (("a", "b"), ("b", "a"))
    ]
    printed = [process.communicate(timeout=300)[0].splitlines() for process in both]
    assert [len(lines) for lines in printed] == [ROUNDS, ROUNDS]
    return [[tuple(json.loads(line)) for line in lines] for lines in zip(*printed, strict=True)]


@pytest.mark.slow
def test_one_scores_and_the_other_is_reported(
    answers: list[list[tuple[int, str]]], shell: Shell, tmp_path: Path
) -> None:
    slide = tmp_path / "slide.tif"
    shell("score", slide, "--out", tmp_path / "alone", "--float32", "--geojson")
    alone = parquet.read_table(tmp_path / "alone" / "slide" / "tiles.parquet")
    for number, both in enumerate(answers):
        assert 0 in {status for status, _ in both}
        for status, printed in both:
            assert (status == 0) == (printed == "")
            assert printed == "" or "is being written by" in printed
        folder = tmp_path / f"out{number}" / "slide"
        assert parquet.read_table(folder / "tiles.parquet").equals(alone)
        assert ScoreStore.open(folder / "scores.zarr").complete
        assert not list(folder.glob(".*"))


@pytest.mark.parametrize("words", [(), ("--overwrite",), ("--geojson",)])
def test_a_folder_that_another_writes_to_stays_as_it_is(
    shell: Shell, tmp_path: Path, words: tuple[str, ...]
) -> None:
    slide, other = write_section(tmp_path / "slide.tif"), write_section(tmp_path / "other.tif")
    shell("score", slide, "--out", tmp_path / "out")
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    with folder_lock(tmp_path / "out" / "slide"):
        answer = shell("score", slide, other, "--out", tmp_path / "out", *words)
    assert before == {file: file.read_bytes() for file in before}
    assert (tmp_path / "out" / "other" / "run.json").exists()
    if words:
        assert answer.status == 1
        assert f"{tmp_path / 'out' / 'slide'} is being written by process" in answer.err
    else:
        assert "already scored" in answer.out


def test_a_place_at_a_url_is_staged_by_one_process_at_a_time(shell: Shell, tmp_path: Path) -> None:
    slide, url = write_section(tmp_path / "slide.tif"), f"file://{tmp_path.as_posix()}/there"
    with RemoteDestination(url).lock("slide"):
        answer = shell("score", slide, "--out", url)
        assert answer.status == 1
        assert "is being written by process" in answer.err
    assert shell("score", slide, "--out", url).status == 0


def test_what_a_killed_process_began_to_write_is_gone_after_the_next(
    shell: Shell, tmp_path: Path
) -> None:
    slide, folder = write_section(tmp_path / "slide.tif"), tmp_path / "out" / "slide"
    folder.mkdir(parents=True)
    (folder / ".heatmap.png.0123abcd.part").write_bytes(b"half")
    assert shell("score", slide, "--out", tmp_path / "out").status == 0
    assert not list(folder.glob(".*"))
