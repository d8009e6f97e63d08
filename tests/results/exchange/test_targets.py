"""Results that are exported: opened, dispatched to a target, and refused by name."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import _local

from napari_smse.errors import OutputError, RequestError
from napari_smse.results.exchange import TARGETS, ExportTarget, ResultFolder, export_results
from support import TESTS

WRITTEN = TESTS / "written_by_0_1" / "results" / "slide"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results as version 0.1 wrote them."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "results"))


def test_results_are_opened_without_model_or_slide(folder: Path) -> None:
    results = ResultFolder.open(folder)
    assert results.stem == "slide"
    assert [len(scale.tiles) for scale in results.scales] == [64, 16]
    assert results.table.num_rows == 80
    assert results.table["x"].to_pylist()[:64] == results.scales[0].tiles.x.tolist()


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (("run.json", "scores.zarr"), "holds no results of a slide: give the folder"),
        (("run.json",), "has no run.json"),
        (("scores.zarr",), "scores.zarr"),
        (("scores.zarr/scale_0/zarr.json",), "scores.zarr"),
    ],
)
def test_results_that_are_not_whole_are_refused(
    folder: Path, lost: tuple[str, ...], words: str
) -> None:
    for name in lost:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(OutputError, match=words):
        _ = ResultFolder.open(folder).scales


def test_a_damaged_record_or_table_is_refused(folder: Path) -> None:
    (folder / "tiles.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(OutputError, match=r"tiles\.parquet is not there, cannot be read"):
        _ = ResultFolder.open(folder).table
    (folder / "run.json").write_text('{"format": 1}')
    with pytest.raises(OutputError, match="no readable record"):
        ResultFolder.open(folder)


def test_every_target_has_a_module_that_writes_it() -> None:
    for target in TARGETS.values():
        assert callable(target.load())
        assert target.opens_in


def test_an_unknown_target_is_refused_with_those_there_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="not exported to 'word'"):
        export_results(folder, "word", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_target_gets_the_results_and_a_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(run: ResultFolder, out: Path, *, overwrite: bool) -> list[Path]:
        assert out.is_dir()
        return [out / f"{run.stem}.{overwrite}"]

    monkeypatch.setattr(ExportTarget, "load", lambda _self: export)
    monkeypatch.setitem(TARGETS, "other", ExportTarget("other", "others"))
    out = tmp_path / "deep" / "out"
    assert export_results(folder, "other", out, overwrite=True) == (out / "slide.True",)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        export_results(folder, "other", tmp_path / "file")


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let writes fail as on a full disk: no file may have more bytes."""
    resource = pytest.importorskip("resource")  # which Windows has not
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 2_500, 20_000])
@pytest.mark.parametrize("target", TARGETS)
def test_what_cannot_be_written_is_told_in_one_line_and_leaves_nothing_half_written(
    saved: Path, tmp_path: Path, target: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    TARGETS[target].load()  # imports write what Python compiles
    told = ""
    with no_file_above(size):
        try:
            export_results(saved, target, tmp_path)
        except OutputError as error:
            told = str(error)
    assert told or size > 100
    if told:
        assert str(tmp_path) in told
        assert told.endswith(
            ": no file may be so large there; raise ulimit -f or choose another output folder"
        )
    assert not list(tmp_path.rglob(".*.part*"))
    assert ".part" not in told
    assert not caplog.records


@pytest.mark.parametrize("failing", ["a group", "a chunk"])
@pytest.mark.parametrize("target", ["ome-zarr", "ome-zarr-0.5", "spatialdata"])
def test_nothing_is_still_being_written_when_an_export_has_failed(
    saved: Path,
    tmp_path: Path,
    target: str,
    failing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, begun, ended, chunks = _local._put, [], [], []

    def slow(path: Path, *args: Any, **kwargs: Any) -> Any:
        begun.append(path)
        if path.name != "zarr.json" and not path.name.startswith(".z"):
            chunks.append(path)
        try:
            if chunks == [path] if failing == "a chunk" else len(begun) == 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            time.sleep(0.1)  # which others than the failed one still take
            return put(path, *args, **kwargs)
        finally:
            ended.append(path)

    monkeypatch.setattr(_local, "_put", slow)
    with pytest.raises(OutputError, match="the disk is full"):
        export_results(saved, target, tmp_path / "out")
    time.sleep(0.1)  # for what was about to begin
    assert sorted(begun) == sorted(ended)
    assert not list((tmp_path / "out").iterdir())


def test_hdf5_on_a_full_disk_ends_neither_in_a_traceback_nor_in_a_crash(
    saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for target in ("anndata", "trident", "clam"):
        with pytest.raises(OutputError), no_file_above(5_000):
            export_results(saved, target, tmp_path / target)
    assert "Traceback" not in capfd.readouterr().err  # of objects that are removed
