"""A batch divided among processes that know nothing of each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import RequestError
from napari_smse.scoring import ScoreStore
from napari_smse.workflows.batch.sharding import BatchShard
from support import TESTS
from support.shell import Shell, assert_one_error, shell, write_section

__all__ = ["shell"]  # the fixture

NAMES = st.lists(st.text("abc/", min_size=1, max_size=5), min_size=1, max_size=20, unique=True)

SCORER = """
import sys, time
from pathlib import Path
import pytest
from support.models import hide_bundled_reference, redness_model
from napari_smse import models
from napari_smse.cli import app, score
from napari_smse.scoring.runtimes import selection
from napari_smse.tiles import plan

hide_bundled_reference(pytest.MonkeyPatch())
model = redness_model()
models.load_model = lambda _name: model
score.read_card = lambda _name: model.card
selection.selected_speed = lambda device, *_: selection.Speed("torch", device.precision, 1.0, 0.0)
plan.BLOCK_EDGE = 128
forward, seconds, words = model.network.forward, float(sys.argv[1]), sys.argv[2:]

def slowly(images):
    time.sleep(seconds)
    return forward(images)

model.network.forward = slowly
sys.argv = ["napari-smse", "score", *words]
app.main()
"""


class TestParts:
    @given(NAMES, st.integers(1, 9), st.randoms(use_true_random=False))
    def test_every_slide_is_in_one_part_whatever_the_order(
        self, names: list[str], count: int, random: object
    ) -> None:
        paths = list(dict.fromkeys(Path("/slides", name.lstrip("/") or "x") for name in names))
        parts = [BatchShard(number, count).part(paths) for number in range(1, count + 1)]
        assert sorted(path for part in parts for path in part) == sorted(paths)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        random.shuffle(paths)
        assert [BatchShard(number, count).part(paths) for number in range(1, count + 1)] == parts

    def test_a_part_is_read_from_text(self) -> None:
        assert BatchShard.parse(" 2/8 ") == BatchShard(2, 8)
        assert BatchShard.parse("1/1").describe(3, 3) == "Part 1 of 1: 3 of 3 slides."

    @pytest.mark.parametrize(
        "text", ["0/4", "5/4", "a/b", "1", "1/", "/4", "-1/4", "1/0", "1/4/2", "", "1.0/4", "²/4"]
    )
    def test_what_is_no_part_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError, match="is no part of a batch: give --shard"):
            BatchShard.parse(text)

    @pytest.mark.parametrize("command", ["score", "index", "estimate"])
    def test_what_is_no_part_is_one_line(self, shell: Shell, tmp_path: Path, command: str) -> None:
        out = [] if command == "estimate" else ["--out", tmp_path / "out"]
        answer = shell(command, tmp_path, *out, "--shard", "5/4")
        assert_one_error(answer, "'5/4' is no part", "1/8 to 8/8")
        assert not (tmp_path / "out").exists()


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Five slides, two of them of one name."""
    for number, name in enumerate(("a.tif", "b.tif", "x/same.tif", "y/same.tif", "z.tif")):
        write_section(tmp_path / "in" / name, width=640 + 64 * number, height=448)
    return tmp_path / "in"


class TestCommands:
    def test_slides_of_one_name_in_different_parts_do_not_collide(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        for number in ("1/2", "2/2"):
            assert shell("score", slides, "--out", tmp_path / "out", "--shard", number).status == 0
        scored = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert scored == ["a", "b", "x_same.tif", "y_same.tif", "z"]

    def test_more_parts_than_slides_leave_some_with_nothing_to_do(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slides, "--out", tmp_path / "out", "--shard", "6/8")
        assert (answer.status, answer.err) == (0, "")
        assert "Part 6 of 8: 0 of 5 slides." in answer.out
        assert not (tmp_path / "out").exists()

    def test_parts_go_into_one_index(
        self, shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("napari_smse.cli.index.read_card", lambda _name: shell.model.card)
        command = ("index", slides, "--out", tmp_path / "index")
        first = shell(*command, "--shard", "1/2")
        assert "Part 1 of 2: 3 of 5 slides." in first.out
        assert f"Index {tmp_path / 'index'}: 3 slides" in first.out
        second = shell(*command, "--shard", "2/2")
        assert f"Index {tmp_path / 'index'}: 5 slides" in second.out
        refused = shell(*command, "--shard", "2/2", "--approximate")
        assert_one_error(refused, "is made of all slides", "without --shard")

    def test_a_part_is_estimated(self, shell: Shell, slides: Path, tmp_path: Path) -> None:
        answer = shell("estimate", slides, "--shard", "5/5", "--model", "bundled")
        assert answer.status == 0
        assert "Part 5 of 5: 1 of 5 slides." in answer.out
        assert "z.tif: " in answer.out
        assert "a.tif" not in answer.out


def start(slides: Path, out: Path, shard: str, seconds: float = 0.0) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    words = [str(slides), "--out", str(out), "--mpp", "0.5", "--mpp", "1.0", "--float32"]
    return subprocess.Popen(
        [sys.executable, "-c", SCORER, str(seconds), *words, "--shard", shard],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_some_blocks(store: Path, process: subprocess.Popen[str]) -> int:
    """Wait until some blocks of a slide are written and return how many, of more."""
    while process.poll() is None:
        time.sleep(0.1)
        if (store / "zarr.json").exists() and (done := ScoreStore.open(store).blocks_done()).any():
            return int(done.sum())
    raise AssertionError(process.communicate()[0])


def contents(out: Path) -> dict[str, object]:
    """What lies in results: bytes of files that hold no time, and all arrays of the stores."""
    found: dict[str, object] = {}
    for store in out.glob("*/scores.zarr"):
        for name, array in zarr.open_group(store, mode="r").members(max_depth=None):
            if isinstance(array, zarr.Array):
                found[f"{store.parent.name} {name}"] = np.asarray(array[...])
    for table in out.glob("*/tiles.*"):
        found[str(table.relative_to(out))] = table.read_bytes()
    for table in out.glob("*/tiles.parquet"):
        found[f"{table.parent.name} rows"] = parquet.read_table(table).to_pylist()
    return found


@pytest.mark.slow
def test_four_processes_one_of_them_killed_give_what_one_gives(
    shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    slow = start(slides, out, "1/4", seconds=0.2)
    others = [start(slides, out, f"{number}/4") for number in (2, 3, 4)]
    wait_for_some_blocks(out / "a" / "scores.zarr", slow)
    slow.kill()
    slow.communicate()
    printed = [process.communicate()[0] for process in others]
    assert [process.returncode for process in others] == [0, 0, 0], printed
    assert not (out / "a" / "run.json").exists()
    assert not ScoreStore.open(out / "a" / "scores.zarr").complete

    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 128)
    words = ("--mpp", "0.5", "--mpp", "1.0", "--float32")
    before = sum(shell.model.network.batches)
    assert shell("score", slides, "--out", out, *words, "--shard", "1/4").status == 0
    resumed = sum(shell.model.network.batches) - before
    assert shell("score", slides, "--out", alone, *words).status == 0
    together, single = contents(out), contents(alone)
    assert together.keys() == single.keys()
    assert len(single) > 5 * 6
    for name, value in single.items():
        np.testing.assert_array_equal(together[name], value, err_msg=name)
    of_part = sum(
        ScoreStore.open(alone / name / "scores.zarr").scale(number).probability.shape[0]
        for name in ("a", "z")
        for number in (0, 1)
    )
    assert 0 < resumed < of_part
