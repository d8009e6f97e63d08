"""Scoring from a shell: folders, tables, going on after a stop, and looking at slides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from napari_smse.models import Model
from napari_smse.results import RunRecord
from napari_smse.scoring import ScoreStore
from napari_smse.slides import Region, Slide
from support.cluster import write_model
from support.feature_files import write_features
from support.shell import Shell, shell, write_section
from support.slides import cut

__all__ = ["shell"]  # the fixture

PROMISED = ["heatmap.png", "run.json", "scores.zarr", "tiles.csv", "tiles.parquet"]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def table(folder: Path) -> pa.Table:
    return parquet.read_table(folder / "tiles.parquet")


def record(folder: Path) -> RunRecord:
    return RunRecord.model_validate_json((folder / "run.json").read_text())


def tiles_scored(model: Model) -> int:
    """How many tiles the network saw so far."""
    return sum(model.network.batches)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_section(tmp_path / "slide.tif")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small slide be read in several blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 128)


class TestScoring:
    def test_a_slide_gets_its_folder_with_all_that_is_promised(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slide, "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert files(tmp_path / "out") == ["slide"]
        assert files(tmp_path / "out" / "slide") == PROMISED
        assert "redness" in answer.out
        assert "Research use only" in answer.out
        assert str(tmp_path / "out" / "slide") in answer.out

    def test_the_red_square_is_found_in_level_0_px(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path)
        rows = table(tmp_path / "slide").to_pylist()
        worst = max(rows, key=lambda row: row["p_malignant"])
        assert (worst["x"], worst["y"], worst["width"], worst["height"]) == (256, 128, 64, 64)

    def test_scales_are_um_px_or_objective_powers_and_count_once(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path, "--mpp", "1.0", "--mpp", "20x", "--mpp", "0.5")
        assert sorted(set(table(tmp_path / "slide")["mpp"].to_pylist())) == [0.5, 1.0]
        assert [scale.mpp for scale in record(tmp_path / "slide").scales] == [0.5, 1.0]

    def test_an_untrained_scale_is_warned_of_and_recorded(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slide, "--out", tmp_path, "--mpp", "0.5", "--mpp", "1.0")
        warnings = [line for line in answer.out.splitlines() if line.startswith("warning: ")]
        assert len(warnings) == 1
        assert "1 µm/px lies outside the 0.2-0.6 µm/px" in warnings[0]
        assert record(tmp_path / "slide").warnings == (warnings[0].removeprefix("warning: "),)
        trained = [scale.in_trained_range for scale in record(tmp_path / "slide").scales]
        assert trained == [True, False]

    def test_a_scale_that_magnifies_is_warned_of_once(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slide, "--out", tmp_path, "--mpp", "0.25")
        assert answer.err == ""
        assert answer.out.count("magnified 2.0 times") == 1
        assert answer.out.count("warning: ") == 1

    def test_a_scale_without_tiles_is_warned_of(self, shell: Shell, tmp_path: Path) -> None:
        slide = write_section(tmp_path / "slide.tif", height=300)
        answer = shell("score", slide, "--out", tmp_path, "--mpp", "0.5", "--mpp", "10")
        assert answer.status == 0
        assert "no tile of slide at 1x, 10 µm/px holds enough tissue" in answer.out
        assert [scale.tiles > 0 for scale in record(tmp_path / "slide").scales] == [True, False]

    def test_quiet_means_that_success_says_nothing(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slide, "--out", tmp_path, "--mpp", "0.25", "--mpp", "2", "--quiet")
        assert (answer.status, answer.out, answer.err) == (0, "", "")
        assert len(record(tmp_path / "slide").warnings) == 2

    def test_overlap_makes_tiles_denser(self, shell: Shell, slide: Path, tmp_path: Path) -> None:
        shell("score", slide, "--out", tmp_path, "--overlap", "0.5")
        lefts = sorted(set(table(tmp_path / "slide")["x"].to_pylist()))
        assert set(np.diff(lefts)) == {32}

    def test_a_scale_that_is_missing_can_be_given(self, shell: Shell, tmp_path: Path) -> None:
        slide = write_section(tmp_path / "slide.tif", mpp=None)
        assert shell("score", slide, "--out", tmp_path, "--source-mpp", "0.25").status == 0
        written = record(tmp_path / "slide").slide
        assert (written.mpp, written.mpp_source) == (0.25, "user override")
        assert set(table(tmp_path / "slide")["width"].to_pylist()) == {128}

    def test_geojson_is_written_only_when_asked_for(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path, "--geojson")
        written = json.loads((tmp_path / "slide" / "tiles.geojson").read_text())
        assert len(written["features"]) == len(table(tmp_path / "slide"))


def write_box(path: Path, left: int, top: int, right: int, bottom: int) -> Path:
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


class TestRegion:
    def test_a_report_is_written_only_when_asked_for_also_of_what_is_scored_already(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path)
        assert not (tmp_path / "slide" / "report.html").exists()
        shell("score", slide, "--out", tmp_path, "--report")
        assert "Research use only" in (tmp_path / "slide" / "report.html").read_text("utf-8")
        assert (tmp_path / "slide" / "report.pdf").read_bytes().startswith(b"%PDF")
        assert "already scored" in shell("score", slide, "--out", tmp_path, "--report").out

    def test_only_tiles_in_the_region_are_scored(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        roi = write_box(tmp_path / "roi.geojson", 128, 64, 320, 256)
        shell("score", slide, "--out", tmp_path, "--roi", roi)
        rows = table(tmp_path / "slide")
        assert set(rows["x"].to_pylist()) == {128, 192, 256}
        assert set(rows["y"].to_pylist()) == {64, 128, 192}

    def test_an_outline_that_crosses_itself_is_mended_and_reported(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        bow_tie = [[64, 64], [320, 320], [320, 64], [64, 320], [64, 64]]
        roi = tmp_path / "roi.geojson"
        roi.write_text(json.dumps({"type": "Polygon", "coordinates": [bow_tie]}))
        answer = shell("score", slide, "--out", tmp_path, "--roi", roi)
        assert answer.status == 0
        assert answer.err.startswith(f"warning: {roi}: mended an outline")
        assert len(answer.err.splitlines()) == 1
        assert shell("score", slide, "--out", tmp_path, "--roi", roi, "--quiet") == (0, "", "")

    def test_the_region_counts_from_the_slides_bounds_as_in_qupath(
        self, shell: Shell, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Slide, "bounds", property(lambda _: Region(64, 128, 500, 384)))
        roi = write_box(tmp_path / "roi.geojson", 0, 0, 64, 128)
        shell("score", slide, "--out", tmp_path, "--roi", roi, "--geojson")
        rows = table(tmp_path / "slide")
        assert rows["x"].to_pylist() == [64, 64]
        assert rows["y"].to_pylist() == [128, 192]
        written = json.loads((tmp_path / "slide" / "tiles.geojson").read_text())
        corners = [feature["geometry"]["coordinates"][0][0] for feature in written["features"]]
        assert corners == [[0, 0], [0, 64]]


class TestSeveralSlides:
    def test_the_others_go_on_when_one_is_bad(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.svs").touch()
        last = write_section(tmp_path / "last.tif")
        answer = shell("score", slide, tmp_path / "bad.svs", last, "--out", tmp_path / "out")
        assert answer.status == 1
        assert answer.err.splitlines() == [
            "error: bad.svs is empty (0 bytes); copy it again",
            "1 of 3 slides could not be scored.",
        ]
        assert files(tmp_path / "out") == ["last", "slide"]
        assert files(tmp_path / "out" / "last") == PROMISED

    def test_slides_of_one_name_get_folders_of_their_own(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        slides = [
            write_section(tmp_path / "in" / "a" / "case.tif"),
            write_section(tmp_path / "in" / "b" / "case.tif", width=900),
        ]
        answer = shell("score", *slides, "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert files(tmp_path / "out") == ["a_case.tif", "b_case.tif"]
        assert record(tmp_path / "out" / "a_case.tif").slide.width == 700
        assert record(tmp_path / "out" / "b_case.tif").slide.width == 900

    def test_a_slide_named_twice_is_scored_once(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        answer = shell("score", slide, slide, "--out", tmp_path / "out")
        assert answer.status == 0
        assert files(tmp_path / "out") == ["slide"]


class TestRunningAgain:
    def test_what_is_scored_is_not_scored_again(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path)
        (tmp_path / "slide" / "tiles.csv").unlink()
        before = tiles_scored(shell.model)
        answer = shell("score", slide, "--out", tmp_path)
        assert answer.status == 0
        assert tiles_scored(shell.model) == before
        assert files(tmp_path / "slide") == PROMISED

    def test_of_one_more_scale_only_that_is_scored(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path, "--mpp", "0.5")
        before = tiles_scored(shell.model)
        answer = shell("score", slide, "--out", tmp_path, "--mpp", "0.5", "--mpp", "1.0")
        assert (answer.status, answer.err) == (0, "")
        record = json.loads((tmp_path / "slide" / "run.json").read_text())
        assert [scale["mpp"] for scale in record["scales"]] == [0.5, 1.0]
        given = tiles_scored(shell.model) - before
        assert given == record["scales"][1]["tiles"]
        shell("score", slide, "--out", tmp_path / "anew", "--mpp", "0.5", "--mpp", "1.0")
        tables = [folder / "slide" / "tiles.csv" for folder in (tmp_path, tmp_path / "anew")]
        assert tables[0].read_text() == tables[1].read_text()

    def test_other_settings_are_refused_and_harm_nothing(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        answer = shell("score", slide, "--out", tmp_path, "--overlap", "0.5")
        assert answer.status == 1
        assert "another run (different overlap" in answer.err
        assert "--overwrite" in answer.err
        assert len(answer.err.splitlines()) == 1
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after == before

    def test_overwrite_leaves_nothing_of_the_earlier_run(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path, "--geojson")
        answer = shell("score", slide, "--out", tmp_path, "--overlap", "0.5", "--overwrite")
        assert answer.status == 0
        assert files(tmp_path / "slide") == PROMISED  # no tiles.geojson any more
        assert record(tmp_path / "slide").settings["overlap"] == 0.5
        assert len(table(tmp_path / "slide")) == record(tmp_path / "slide").scales[0].tiles


class Interrupting(torch.nn.Module):
    """A network during whose second batch Ctrl-C is pressed, or another signal comes."""

    def __init__(self, network: torch.nn.Module, number: signal.Signals) -> None:
        super().__init__()
        self.network, self.left, self.number = network, 1, number

    def forward(self, images: torch.Tensor) -> Any:
        if self.left == 0:
            signal.raise_signal(self.number)
        self.left -= 1
        return self.network(images)


def interrupt_soon(shell: Shell, number: signal.Signals = signal.SIGINT) -> torch.nn.Module:
    """Let Ctrl-C be pressed during the next run; gives the network to put back."""
    network = shell.model.network
    shell.model.network = Interrupting(network, number)
    return network


ENDINGS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGBREAK": 149}
"""Exit status by signal; no system has all of them."""


@pytest.mark.usefixtures("small_blocks")
class TestStopping:
    @pytest.mark.parametrize(
        ("number", "status"),
        [(signal.Signals[name], ENDINGS[name]) for name in ENDINGS if hasattr(signal, name)],
    )
    def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
        self, shell: Shell, slide: Path, tmp_path: Path, number: signal.Signals, status: int
    ) -> None:
        shell("score", slide, "--out", tmp_path / "whole")
        whole = tiles_scored(shell.model)
        if signal.getsignal(number) is signal.SIG_IGN:  # as nohup has it, which is respected
            signal.signal(number, signal.SIG_DFL)
        before = signal.getsignal(number)
        network = interrupt_soon(shell, number)
        answer = shell("score", slide, "--out", tmp_path / "halves")
        assert answer.status == status
        assert signal.getsignal(number) is before
        assert "Stopped. What was scored is kept: the same command goes on" in answer.err
        assert "Traceback" not in answer.err
        assert files(tmp_path / "halves" / "slide") == ["scores.zarr"]
        shell.model.network = network
        assert whole < tiles_scored(shell.model) < 2 * whole
        answer = shell("score", slide, "--out", tmp_path / "halves")
        assert (answer.status, answer.err) == (0, "")
        # What was under way when it was stopped is scored again, but nothing else.
        assert 2 * whole <= tiles_scored(shell.model) <= 2 * whole + 48
        for name in ("tiles.csv", "tiles.parquet", "heatmap.png"):
            halves, undisturbed = (tmp_path / out / "slide" / name for out in ("halves", "whole"))
            assert halves.read_bytes() == undisturbed.read_bytes()

    def test_results_of_an_earlier_run_do_not_stand_beside_unfinished_scores(
        self, shell: Shell, slide: Path, tmp_path: Path
    ) -> None:
        shell("score", slide, "--out", tmp_path, "--geojson")
        interrupt_soon(shell)
        answer = shell("score", slide, "--out", tmp_path, "--overlap", "0.5", "--overwrite")
        assert answer.status == 130
        assert "the same command without --overwrite goes on" in answer.err
        assert files(tmp_path / "slide") == ["scores.zarr"]
        assert not ScoreStore.open(tmp_path / "slide" / "scores.zarr").complete


class TestInfo:
    def test_json_tells_levels_and_scale(self, shell: Shell, slide: Path) -> None:
        answer = shell("info", "--json", slide)
        facts = json.loads(answer.out)
        assert (answer.status, answer.err) == (0, "")
        assert (facts["width"], facts["height"], facts["mpp"]) == (700, 520, 0.5)
        assert [level["downsample"] for level in facts["levels"]] == pytest.approx([1, 2, 4])

    def test_text_is_a_fact_a_line_and_never_cut(self, shell: Shell, slide: Path) -> None:
        answer = shell("info", slide)
        lines = {line[:18].strip(): line[18:] for line in answer.out.splitlines()}
        assert lines["mpp"] == "0.5"
        assert lines["levels"] == "700 x 520, 350 x 260, 175 x 130"
        assert lines["name"] == "slide"
        assert str(slide) in answer.out
        assert "…" not in answer.out

    def test_a_slide_without_scale_can_still_be_looked_at(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        answer = shell("info", "--json", write_section(tmp_path / "slide.tif", mpp=None))
        assert answer.status == 0
        assert json.loads(answer.out)["mpp"] is None

    def test_an_ome_pyramid_gives_its_levels_and_scale(
        self, shell: Shell, shared_data: Path
    ) -> None:
        answer = shell("info", "--json", shared_data / "slides" / "cmu1_pyramid.ome.tif")
        facts = json.loads(answer.out)
        assert len(facts["levels"]) == 4
        assert facts["mpp"] == 0.499


class TestView:
    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """What would be started."""
        commands: list[list[str]] = []

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr("napari_smse.cli.app.subprocess.run", run)
        monkeypatch.setattr("napari_smse.cli.app.platform.system", lambda: "Linux")
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        return commands

    def test_napari_gets_the_slide_before_the_widget(
        self, shell: Shell, slide: Path, started: list[list[str]]
    ) -> None:
        pytest.importorskip("napari")
        assert shell("view", slide).status == 0
        [words] = started
        assert words[:4] == [sys.executable, "-m", "napari", str(slide)]
        assert words[-3:] == ["-w", "napari-smse", "SMSE: Score slide"]

    def test_a_session_is_opened_as_it_was_left(
        self, shell: Shell, tmp_path: Path, started: list[list[str]]
    ) -> None:
        pytest.importorskip("napari")
        path = tmp_path / "case.smse-session.json"
        path.write_text('{"format": "napari-smse session", "version": 1, "saved": "2026-12-01"}')
        assert shell("view", path).status == 0
        assert started == [[sys.executable, "-m", "napari", str(path), "--plugin", "napari-smse"]]
        path.write_text("{")
        answer = shell("view", path)
        assert answer.status == 1
        assert "is damaged, or no session" in answer.err
        assert len(started) == 1

    def test_features_of_tiles_are_looked_at_first(
        self, shell: Shell, slide: Path, started: list[list[str]], tmp_path: Path
    ) -> None:
        pytest.importorskip("napari")
        path = write_features(tmp_path / "a.h5", [(0, 0), (64, 0)], [(1, 0), (0, 1)], 64)
        assert shell("view", slide, path).status == 0
        assert started[0][3:5] == [str(slide), str(path)]
        write_features(path, [(10**6, 0)], [(1, 0)], 64)
        answer = shell("view", slide, path)
        assert answer.status == 1
        assert "a.h5 has tiles that do not lie on slide" in answer.err
        assert len(started) == 1

    def test_without_a_display_it_says_so(
        self,
        shell: Shell,
        slide: Path,
        started: list[list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("DISPLAY")
        answer = shell("view", slide)
        assert answer.status == 1
        assert answer.err == (
            "error: There is no display here: run `napari-smse view` on a desktop.\n"
        )
        assert started == []

    def test_without_napari_it_says_what_to_install(
        self,
        shell: Shell,
        slide: Path,
        started: list[list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("napari_smse.cli.app.util.find_spec", lambda _name: None)
        answer = shell("view", slide)
        assert answer.status == 1
        assert 'pip install "napari-smse[all]"' in answer.err
        assert started == []


class TestInstallation:
    def test_doctor_tells_versions_device_and_model(self, shell: Shell) -> None:
        answer = shell("doctor")
        assert (answer.status, answer.err) == (0, "")
        for words in ("torch ", "device cpu: CPU", "GPU: ", "redness 1, self-test passed"):
            assert words in answer.out
        assert answer.out.splitlines()[-1].startswith("on the CPU: ")

    def test_its_version_is_printed(self, shell: Shell) -> None:
        answer = shell("--version")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out == f"napari-smse {metadata.version('napari-smse')}\n"

    def test_the_bundled_card_is_printed_as_json(self, shell: Shell) -> None:
        card = json.loads(shell("card").out)
        assert card["classes"] == ["benign", "malignant"]
        assert card["training"]

    def test_looking_needs_no_torch(self, slide: Path) -> None:
        look = (
            "import sys; from napari_smse.cli.app import main\n"
            "sys.argv[1:] = ['info', sys.argv[1]]\n"
            "try: main()\n"
            "except SystemExit: sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", look, slide], check=False, capture_output=True)
        assert done.returncode == 0, done.stderr


DENSE = ("--mpp", "0.5", "--overlap", "0.5", "--float32", "--quiet")
BLOCK_PX = 300
KILLED = f"""
import os, signal

import napari_smse.tiles.plan as plan
from napari_smse.cli.app import main
from napari_smse.scoring import ScoreStore

mark_done = ScoreStore.mark_done


def mark_and_die(store, blocks):
    mark_done(store, blocks)
    os.kill(os.getpid(), signal.SIGKILL)


ScoreStore.mark_done = mark_and_die
plan.BLOCK_EDGE = {BLOCK_PX}
if __name__ == "__main__":
    main()
"""


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own, with the bundled model."""
    return subprocess.run(
        [Path(sys.executable).with_name("napari-smse"), *words],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
        timeout=200,
    )


@pytest.mark.slow
class TestInstalledCommand:
    def test_a_real_slide_is_scored_at_two_scales(self, shared_data: Path, tmp_path: Path) -> None:
        slide = shared_data / "slides" / "CMU-1-Small-Region.svs"
        done = command("score", slide, "--out", tmp_path, "--mpp", "0.5", "--mpp", "1.0")
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 µm/px lies outside the" in done.stdout
        folder = tmp_path / "CMU-1-Small-Region"
        assert files(folder) == PROMISED
        written = record(folder)
        assert written.slide.mpp == 0.499
        assert [scale.tiles for scale in written.scales] == [
            table(folder)["mpp"].to_pylist().count(mpp) for mpp in (0.5, 1.0)
        ]
        assert min(scale.tiles for scale in written.scales) > 10

    def test_a_truncated_slide_leaves_one_line_and_no_chatter_of_libraries(
        self, tmp_path: Path
    ) -> None:
        path = write_section(tmp_path / "slide.tif")
        cut(path, path.stat().st_size // 2)
        done = command("score", path, "--out", tmp_path / "out")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "out").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
    def test_a_killed_run_goes_on_to_the_same_result(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        model = write_model(tmp_path / "model")
        slide = write_section(tmp_path / "slide.tif", width=1600, height=1200)
        words = ["score", slide, "--model", model.path, *DENSE]
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, *words, "--out", tmp_path / "killed"],
            check=False,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        folder = tmp_path / "killed" / "slide"
        # What it locked its folder with may lie there; the lock itself went with the process.
        assert [name for name in files(folder) if not name.startswith(".")] == ["scores.zarr"]
        store = ScoreStore.open(folder / "scores.zarr")
        assert 0 < store.blocks_done().sum() < len(store.blocks_done())

        monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", BLOCK_PX)
        here = Shell(monkeypatch, capsys, model)
        for out in ("killed", "whole"):
            assert here(*words, "--out", tmp_path / out).status == 0
        whole, resumed = table(tmp_path / "whole" / "slide"), table(folder)
        assert resumed.drop(["p_benign", "p_malignant"]).equals(
            whole.drop(["p_benign", "p_malignant"])
        )
        # Batches are cut elsewhere after a stop, which moves the last bits.
        for name in ("p_benign", "p_malignant"):
            np.testing.assert_allclose(resumed[name], whole[name], atol=0.01)
