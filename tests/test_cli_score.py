import json
import sys

import numpy as np
import pyarrow.parquet
import pytest

from fake_model import redness_model
from generated import write_pyramid_tiff
from napari_smse import cli, network

PINK = (205, 150, 190)


@pytest.fixture(autouse=True)
def redness(monkeypatch):
    """The model whose answers are known, in place of the bundled one."""
    model = redness_model()
    load = network.load_model
    monkeypatch.setattr(
        network, "load_model", lambda name: model if name == "bundled" else load(name)
    )
    return model


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line as a shell does; gives exit status, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["napari-smse", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slide.tif"
    write_pyramid_tiff(path, np.full((700, 900, 3), PINK, np.uint8), mpp=0.25)
    return path


def table_of(folder):
    return pyarrow.parquet.read_table(folder / "tiles.parquet").to_pandas()


def test_a_slide_is_scored_at_two_scales(run, slide, tmp_path):
    out = tmp_path / "out"
    status, printed, _ = run("score", slide, "--out", out, "--mpp", "0.5", "--mpp", "40x")
    assert status == 0
    assert "CPU" in printed
    assert "Research use only" in printed
    table = table_of(out / "slide")
    assert list(table.columns) == [
        "x", "y", "width", "height", "mpp", "tissue", "p_benign", "p_malignant",
    ]  # fmt: skip
    assert set(table.mpp) == {0.25, 0.5}
    assert table.p_malignant.between(0, 1).all()
    record = json.loads((out / "slide" / "run.json").read_text())
    assert record["slide"]["mpp"] == 0.25
    assert [scale["mpp"] for scale in record["scales"]] == [0.25, 0.5]


def test_quiet_prints_nothing(run, slide, tmp_path):
    assert run("score", slide, "--out", tmp_path / "out", "--quiet") == (0, "", "")


def test_the_same_command_scores_nothing_twice_and_another_one_is_refused(
    run, slide, tmp_path, redness
):
    out = tmp_path / "out"
    assert run("score", slide, "--out", out)[0] == 0
    calls = len(redness.network.batches)
    assert run("score", slide, "--out", out)[0] == 0
    assert len(redness.network.batches) == calls
    status, _, errors = run("score", slide, "--out", out, "--mpp", "0.25")
    assert status == 1
    assert "another run" in errors
    assert set(table_of(out / "slide").mpp) == {0.5}
    assert run("score", slide, "--out", out, "--mpp", "0.25", "--overwrite")[0] == 0
    assert set(table_of(out / "slide").mpp) == {0.25}


def test_one_bad_slide_is_told_and_the_others_go_on(run, slide, tmp_path):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"not a slide at all")
    out = tmp_path / "out"
    status, _, errors = run("score", bad, slide, "--out", out)
    assert status == 1
    assert "bad.svs" in errors
    assert (out / "slide" / "run.json").exists()
    assert not (out / "bad" / "run.json").exists()


BAD_OPTIONS = [
    (("--mpp", "twenty"), "is not a scale"),
    (("--mpp", "0"), "is not a scale"),
    (("--mpp", "50"), "50 um/px"),
    (("--device", "cuda:99"), "no device"),
    (("--overlap", "2"), "overlap"),
    (("--model", "no/such/model"), "no/such/model"),
    (("--roi", "no.geojson"), "no.geojson"),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS, ids=lambda value: str(value))
def test_a_bad_option_gets_one_line_and_leaves_nothing(run, slide, tmp_path, options, words):
    out = tmp_path / "out"
    status, _, errors = run("score", slide, "--out", out, *options)
    assert status == 1
    assert words in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list(out.rglob("run.json"))


def no_scale(path):
    write_pyramid_tiff(path, np.full((700, 900, 3), PINK, np.uint8), mpp=None)


def glass(path):
    write_pyramid_tiff(path, np.full((700, 900, 3), 242, np.uint8), mpp=0.25)


def dark(path):
    rgb = np.zeros((700, 900, 3), np.uint8)
    rgb[::20, ::20] = (30, 60, 255)
    write_pyramid_tiff(path, rgb, mpp=0.25)


BAD_SLIDES = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "a folder": (lambda path: path.mkdir(), "bad.tif"),
    "missing": (lambda path: None, "bad.tif"),
    "without um/px": (no_scale, "um/px"),
    "glass": (glass, "No tissue"),
    "fluorescence": (dark, "not a brightfield"),
}


@pytest.mark.parametrize("kind", BAD_SLIDES)
def test_a_bad_slide_gets_one_line_and_leaves_nothing_that_looks_whole(run, tmp_path, kind):
    make, words = BAD_SLIDES[kind]
    path = tmp_path / "bad.tif"
    make(path)
    out = tmp_path / "out"
    status, _, errors = run("score", path, "--out", out)
    assert status == 1
    assert words in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list(out.rglob("run.json"))


def test_a_region_and_qupath_tiles(run, slide, tmp_path):
    ring = [[0, 0], [300, 0], [300, 300], [0, 300], [0, 0]]
    region = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "roi.geojson").write_text(json.dumps(region))
    out = tmp_path / "out"
    assert run("score", slide, "--out", out, "--roi", tmp_path / "roi.geojson", "--geojson")[0] == 0
    table = table_of(out / "slide")
    assert 0 < len(table) < 10
    tiles = json.loads((out / "slide" / "tiles.geojson").read_text())
    assert len(tiles["features"]) == len(table)


def test_info_tells_levels_and_scale(run, slide):
    status, printed, _ = run("info", slide, "--json")
    facts = json.loads(printed)
    assert status == 0
    assert (facts["width"], facts["height"], facts["mpp"]) == (900, 700, 0.25)
    assert facts["mpp_source"] == "TIFF resolution"
    assert len(facts["levels"]) == 3


def test_view_without_a_display_says_so(run, slide, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli.platform, "system", lambda: "Linux")
    status, _, errors = run("view", slide)
    assert status == 1
    assert "no display" in errors
