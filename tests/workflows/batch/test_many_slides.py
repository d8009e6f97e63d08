"""Folders of slides scored by one command, again and again, to a disk or elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as parquet
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from napari_smse.results import RunRecord
from support.dicom_slides import write_dicom_level
from support.shell import Shell, section, shell, write_section

__all__ = ["shell"]  # the fixture

PROMISED = ["heatmap.png", "run.json", "scores.zarr", "tiles.csv", "tiles.parquet"]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder with two slides and a bad one below."""
    write_section(tmp_path / "in" / "a.tif")
    write_section(tmp_path / "in" / "deeper" / "b.tif", width=900)
    return tmp_path / "in"


@pytest.fixture
def no_network(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if the network is loaded from now on."""

    def refuse(_name: str) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr("napari_smse.models.load_model", refuse)


def lines(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines() if words in line]


class TestFolders:
    def test_every_slide_gets_a_folder_and_a_line(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slides, "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert files(tmp_path / "out") == ["a", "b"]
        assert files(tmp_path / "out" / "b") == PROMISED
        assert len(lines(answer.out, "results in")) == 2
        assert lines(answer.out, "slides")[-1].split()[-1] == "2/2"

    def test_two_dicom_series_in_one_folder_are_two_slides(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        for name, series in (("a", "1"), ("b", "2")):
            write_dicom_level(tmp_path / "in" / f"{name}.dcm", section(600, 500), series, tile=128)
        answer = shell("score", tmp_path / "in", "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert files(tmp_path / "out") == ["a", "b"]
        for name in ("a", "b"):
            record = (tmp_path / "out" / name / "run.json").read_text()
            path = Path(RunRecord.model_validate_json(record).slide.path)
            assert path == tmp_path / "in" / f"{name}.dcm"

    def test_a_quoted_pattern_works_as_in_a_shell(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slides / "**" / "b*.tif", "--out", tmp_path / "out")
        assert answer.status == 0
        assert files(tmp_path / "out") == ["b"]

    def test_results_among_the_slides_are_no_slides(self, shell: Shell, slides: Path) -> None:
        for _ in range(2):
            assert shell("score", slides, "--out", slides / "scored").status == 0
        assert files(slides / "scored") == ["a", "b"]

    def test_a_pattern_without_slides_is_reported_before_anything_is_done(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slides, slides / "*.ndpi", "--out", tmp_path / "out")
        assert answer.status == 1
        assert answer.err.startswith(f"error: no slide matches {slides / '*.ndpi'}; check")
        assert not (tmp_path / "out").exists()

    def test_a_bad_slide_stops_no_other(self, shell: Shell, slides: Path, tmp_path: Path) -> None:
        (slides / "aa.svs").touch()
        answer = shell("score", slides, "--out", tmp_path / "out")
        assert answer.status == 1
        assert answer.err.splitlines() == [
            "error: aa.svs is empty (0 bytes); copy it again",
            "1 of 3 slides could not be scored.",
        ]
        assert files(tmp_path / "out") == ["a", "b"]


class TestScoredBefore:
    @pytest.fixture(autouse=True)
    def scored(self, shell: Shell, slides: Path, tmp_path: Path) -> None:
        assert shell("score", slides, "--out", tmp_path / "out", "--quiet").status == 0

    @pytest.mark.usefixtures("no_network")
    def test_what_is_finished_costs_a_line_and_no_network(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slides, "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert lines(answer.out, "already scored") == [
            f"{name}.tif: already scored, results in {tmp_path / 'out' / name}" for name in "ab"
        ]

    @pytest.mark.parametrize("lost", ["run.json", "tiles.csv", "heatmap.png", "scores.zarr"])
    def test_what_lacks_a_file_is_made_whole(
        self, shell: Shell, slides: Path, tmp_path: Path, lost: str
    ) -> None:
        path = tmp_path / "out" / "a" / lost
        path.rename(path.with_name("elsewhere"))
        answer = shell("score", slides, "--out", tmp_path / "out")
        assert answer.status == 0
        assert len(lines(answer.out, "already scored")) == 1
        assert set(files(tmp_path / "out" / "a")) >= set(PROMISED)

    def test_tiles_for_qupath_can_be_added(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        before = sum(shell.model.network.batches)
        assert shell("score", slides, "--out", tmp_path / "out", "--geojson").status == 0
        assert (tmp_path / "out" / "a" / "tiles.geojson").exists()
        assert sum(shell.model.network.batches) == before

    @pytest.mark.parametrize(
        ("setting", "difference"),
        [
            (("--overlap", "0.5"), "overlap"),
            (("--mpp", "1.0"), "scales"),
            (("--source-mpp", "0.4"), "µm/px of the slide"),
        ],
    )
    def test_other_settings_are_refused_slide_by_slide(
        self, shell: Shell, slides: Path, tmp_path: Path, setting: tuple[str, str], difference: str
    ) -> None:
        answer = shell("score", slides, "--out", tmp_path / "out", *setting)
        assert answer.status == 1
        assert len(lines(answer.err, f"another run (different {difference}")) == 2
        assert "2 of 2 slides could not be scored." in answer.err

    def test_a_slide_that_changed_is_refused(
        self, shell: Shell, slides: Path, tmp_path: Path
    ) -> None:
        write_section(slides / "a.tif", width=800)
        answer = shell("score", slides, "--out", tmp_path / "out")
        assert "another run (different " in answer.err
        assert "file of the slide" in answer.err
        assert len(lines(answer.out, "already scored")) == 1

    def test_exact_results_serve_whoever_asks_for_less(
        self, shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell("score", slides, "--out", tmp_path / "exact", "--float32")
        monkeypatch.setattr("napari_smse.models.load_model", None)
        for float32 in ([], ["--float32"]):
            answer = shell("score", slides, "--out", tmp_path / "exact", *float32)
            assert len(lines(answer.out, "already scored")) == 2


class TestElsewhere:
    @pytest.fixture(autouse=True)
    def empty_memory(self) -> Iterator[None]:
        yield
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]

    @pytest.fixture(params=["memory://bucket/x", "file://{}/bucket/x"])
    def url(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        return str(request.param).format(tmp_path.as_posix())

    def test_results_lie_there_as_on_a_disk(
        self, shell: Shell, slides: Path, tmp_path: Path, url: str
    ) -> None:
        answer = shell("score", slides, "--out", url)
        assert (answer.status, answer.err) == (0, "")
        assert f"results in {url}/a" in answer.out
        shell("score", slides, "--out", tmp_path / "disk", "--quiet")
        for name in "ab":
            there = fsspec.open(f"{url}/{name}/tiles.parquet").open().read()
            here = tmp_path / "disk" / name / "tiles.parquet"
            assert parquet.read_table(io.BytesIO(there)).equals(parquet.read_table(here))
            RunRecord.model_validate_json(fsspec.open(f"{url}/{name}/run.json").open().read())

    def test_what_is_finished_there_is_not_scored_again(
        self, shell: Shell, slides: Path, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell("score", slides, "--out", url)
        monkeypatch.setattr("napari_smse.models.load_model", None)
        answer = shell("score", slides, "--out", url)
        assert (answer.status, answer.err) == (0, "")
        assert len(lines(answer.out, f"already scored, results in {url}/")) == 2

    def test_other_settings_are_refused_unless_overwritten(
        self, shell: Shell, slides: Path, url: str
    ) -> None:
        shell("score", slides, "--out", url, "--geojson")
        answer = shell("score", slides, "--out", url, "--overlap", "0.5")
        assert answer.status == 1
        assert len(lines(answer.err, "another run (different overlap)")) == 2
        assert shell("score", slides, "--out", url, "--overlap", "0.5", "--overwrite").status == 0
        record = fsspec.open(f"{url}/a/run.json").open().read()
        assert RunRecord.model_validate_json(record).settings["overlap"] == 0.5
        assert not fsspec.core.url_to_fs(url)[0].exists(f"{url}/a/tiles.geojson")

    def test_what_could_not_be_copied_is_copied_later_and_not_scored_again(
        self, shell: Shell, slides: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lose_connection(*_: Any, **__: Any) -> None:
            raise OSError("connection lost")

        with monkeypatch.context() as broken:
            broken.setattr(MemoryFileSystem, "put_file", lose_connection)
            answer = shell("score", slides, "--out", "memory://x")
        assert answer.status == 1
        assert len(lines(answer.err, "cannot write memory://x: connection lost")) == 2
        before = sum(shell.model.network.batches)
        assert shell("score", slides, "--out", "memory://x").status == 0
        assert sum(shell.model.network.batches) == before
        assert fsspec.filesystem("memory").exists("/x/a/run.json")

    def test_a_missing_backend_is_reported_first(
        self, shell: Shell, slides: Path, no_network: None
    ) -> None:
        answer = shell("score", slides, "--out", "oci://bucket/x")
        assert answer.status == 1
        assert answer.err.splitlines() == [
            "error: oci://bucket/x cannot be reached: its backend is not installed; run pip "
            "install ocifs."
        ]
