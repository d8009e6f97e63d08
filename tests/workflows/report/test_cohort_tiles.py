"""One table of many slides' tiles: all of them, and never of two models unnoticed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.errors import OutputError
from napari_smse.progress import run_task
from napari_smse.results import (
    ModelRecord,
    RunRecord,
    SlideRecord,
    TileRows,
    tile_table,
    write_parquet,
    write_run_json,
)
from napari_smse.workflows.report.cohort_tiles import CohortTiles, write_cohort_tiles
from napari_smse.workflows.report.saved_results import find_results
from support import TESTS
from support.shell import Shell, assert_one_error, shell

__all__ = ["shell"]  # the fixture

TWO = ("benign", "malignant")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
SLIDE = {"quick_hash": "0", "backend": "x", "width": 9, "height": 9, "mpp": 0.5, "mpp_source": "x"}


def rows(count: int, classes: tuple[str, ...] = TWO, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    probability = draw.dirichlet(np.ones(len(classes)), count).astype(np.float32)
    regions = draw.integers(0, 99_999, (count, 4))
    calls = [classes[0]] * count
    tissue = draw.random(count).astype(np.float32)
    return tile_table([TileRows(0.5, regions, tissue, probability, None, calls, "m 1")], classes)


def write_results(
    folder: Path,
    table: pa.Table,
    slide: str = "",
    weights: str = "a" * 64,
    classifier: str = "class head",
) -> pa.Table:
    folder.mkdir(parents=True)
    write_parquet(table, folder / "tiles.parquet")
    classes = tuple(name[2:] for name in table.column_names if name.startswith("p_"))
    record = RunRecord(
        slide=SlideRecord(path=f"/slides/{slide or folder.name}.svs", **SLIDE),
        model=ModelRecord(name="m", version="1", weights_sha256=weights, classes=classes),
        classifier=classifier,
        scales=(),
        device="CPU",
        precision="float32",
        started=NOW,
        finished=NOW,
        seconds=1,
    )
    write_run_json(folder / "run.json", record)
    return table


def written(out: Path, folder: Path, labels: Path | None = None) -> CohortTiles:
    return run_task(write_cohort_tiles(find_results([folder]), out, labels))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_it_is_the_sum_of_the_tables(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cohort")
    tables = [
        write_results(folder / f"slide{number}", rows(count, seed=number))
        for number, count in enumerate(counts)
    ]
    told = written(folder / "all.parquet", folder)
    table = parquet.read_table(folder / "all.parquet")
    assert table.select(tables[0].column_names).equals(pa.concat_tables(tables))
    assert (told.tiles, told.slides) == (sum(counts), len(counts))
    slides = [f"slide{number}" for number, count in enumerate(counts) for _ in range(count)]
    assert table["slide"].to_pylist() == slides
    assert set(table["weights_sha256"].to_pylist()) <= {"a" * 64}
    assert told.warnings == ()


def test_a_row_names_slide_case_label_and_where_its_results_are(tmp_path: Path) -> None:
    write_results(tmp_path / "in" / "x", rows(1), slide="TCGA-AA-1234-01Z-00-DX1")
    labels = tmp_path / "labels.csv"
    labels.write_text("case,label\nTCGA-AA-1234,malignant\n")
    written(tmp_path / "all.parquet", tmp_path, labels)
    (row,) = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert list(row)[:5] == ["slide", "case", "label", "results", "x"]
    assert (row["slide"], row["case"]) == ("TCGA-AA-1234-01Z-00-DX1", "TCGA-AA-1234")
    assert (row["label"], row["results"]) == ("malignant", str(tmp_path / "in" / "x"))
    written(tmp_path / "all.parquet", tmp_path)
    assert parquet.read_table(tmp_path / "all.parquet")["label"].null_count == 1


def test_models_are_told_apart_and_named(tmp_path: Path) -> None:
    write_results(tmp_path / "a", rows(3))
    write_results(tmp_path / "b", rows(2, ("Other", "Tumor")), weights="b" * 64)
    write_results(tmp_path / "c", rows(4), classifier="nearest exemplar")
    told = written(tmp_path / "all.parquet", tmp_path)
    assert told.models == (
        "m 1 (aaaaaaaa)",
        "m 1 (bbbbbbbb)",
        "m 1, by nearest exemplar (aaaaaaaa)",
    )
    assert "tiles by 3 models (m 1 (aaaaaaaa), m 1 (bbbbbbbb), m 1, by " in told.warnings[0]
    table = parquet.read_table(tmp_path / "all.parquet")
    names = ["p_benign", "p_malignant", "p_Other", "p_Tumor"]
    assert [name for name in table.column_names if name.startswith("p_")] == names
    assert table["p_benign"].is_null().to_pylist() == [False] * 3 + [True] * 2 + [False] * 4
    assert table["p_Tumor"].null_count == 7
    keys = table.group_by(["weights_sha256", "classifier"]).aggregate([([], "count_all")])
    assert sorted(keys["count_all"].to_pylist()) == [2, 3, 4]


def test_one_slide_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write_results(tmp_path / f"{number:02}", rows(5000, seed=number))
    before, most = pa.total_allocated_bytes(), 0
    task = write_cohort_tiles(find_results([tmp_path]), tmp_path / "all.parquet")
    for _ in task:
        most = max(most, pa.total_allocated_bytes() - before)
    whole = parquet.read_table(tmp_path / "all.parquet")
    assert len(whole) == 20 * 5000
    assert most < whole.nbytes / 4


def test_what_version_0_1_wrote_goes_in_with_the_name_of_its_model(tmp_path: Path) -> None:
    old = TESTS / "written_by_0_1" / "results"
    told = written(tmp_path / "all.parquet", old)
    table = parquet.read_table(tmp_path / "all.parquet")
    own = parquet.read_table(old / "slide" / "tiles.parquet")
    assert "model" not in own.column_names
    assert table.select(own.column_names).equals(own)
    assert set(table["model"].to_pylist()) == {"mini 1"}
    assert [name[:8] for name in told.models] == ["mini 1 ("]


@pytest.mark.parametrize("damage", ["gone", "cut", "record", "unfinished", "column"])
def test_a_damaged_slide_is_named_and_stops_no_other(tmp_path: Path, damage: str) -> None:
    write_results(tmp_path / "bad", rows(50))
    good = write_results(tmp_path / "good", rows(3))
    table, record = tmp_path / "bad" / "tiles.parquet", tmp_path / "bad" / "run.json"
    if damage == "gone":
        table.unlink()
    elif damage == "cut":
        table.write_bytes(table.read_bytes()[:-100])
    elif damage == "record":
        record.write_text("{}")
    elif damage == "unfinished":
        record.unlink()
        (tmp_path / "bad" / "scores.zarr").mkdir()
    else:
        content = bytearray(table.read_bytes())
        content[100:300] = b"\xff" * 200
        table.write_bytes(content)
    told = written(tmp_path / "all.parquet", tmp_path)
    assert list(told.problems) == [tmp_path / "bad"]
    assert str(tmp_path / "bad") in str(told.problems[tmp_path / "bad"])
    assert parquet.read_table(tmp_path / "all.parquet").select(good.column_names).equals(good)


def test_of_nothing_that_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    write_results(tmp_path / "bad", rows(3))
    (tmp_path / "bad" / "tiles.parquet").write_bytes(b"PAR1")
    with pytest.raises(OutputError, match=r"no tiles of 1 slide to write.*damaged: score"):
        written(tmp_path / "all.parquet", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_a_stop_leaves_the_old_table(tmp_path: Path) -> None:
    write_results(tmp_path / "a", rows(3))
    out = tmp_path / "all.parquet"
    out.write_text("old")
    task = write_cohort_tiles([tmp_path / "a"], out)
    next(task)
    task.close()
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "all.parquet"]


def test_a_shell_says_what_was_written(shell: Shell, tmp_path: Path) -> None:
    write_results(tmp_path / "in" / "a", rows(3))
    write_results(tmp_path / "in" / "b", rows(2), weights="b" * 64)
    out = tmp_path / "all.parquet"
    answer = shell("cohort", tmp_path / "in", "--parquet", out)
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith("warning: all.parquet has tiles by 2 models")
    assert lines[-1] == f"{out}: 5 tiles of 2 slides"
    (tmp_path / "in" / "b" / "run.json").write_text(json.dumps({}))
    answer = shell("cohort", tmp_path / "in", "--parquet", out)
    assert answer.status == 1
    assert answer.err.splitlines()[-1] == "1 of 2 slides are not in all.parquet."


def test_a_shell_writes_page_and_table(shell: Shell, tmp_path: Path) -> None:
    written_before = Path(shutil.copytree(TESTS / "written_by_0_1", tmp_path / "written"))
    page, table = tmp_path / "page.html", tmp_path / "tiles.parquet"
    models = ("--slides", written_before, "--model", written_before / "models" / "mini")
    answer = shell("cohort", written_before, "--out", page, "--parquet", table, *models)
    assert answer.status == 0, answer.err
    assert page.exists()
    assert parquet.read_table(table)["slide"].unique().to_pylist() == ["slide"]


def test_a_shell_asks_what_to_write(shell: Shell, tmp_path: Path) -> None:
    assert_one_error(shell("cohort", tmp_path), "--out PAGE.html, --parquet TILES.parquet")
