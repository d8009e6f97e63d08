"""Results that are exported: opened, dispatched to a target, and refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
