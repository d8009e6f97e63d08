"""Slides scored where they lie are scored as their copies, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import tifffile
from fsspec.implementations.memory import MemoryFileSystem

from support.remote import forget, impatient, in_memory, server
from support.shell import Shell, assert_one_error, shell, write_section
from support.slide_server import SlideServer
from support.slides import write_pyramid_tiff
from support.stores import arrays_of

__all__ = ["impatient", "in_memory", "server", "shell"]  # the fixtures
SECRET = "s3cr3t"


def table(folder: Path) -> pa.Table:
    return parquet.read_table(folder / "tiles.parquet")


def assert_same_scores(one: Path, other: Path) -> None:
    first, second = arrays_of(one / "scores.zarr"), arrays_of(other / "scores.zarr")
    assert first.keys() == second.keys()
    assert len(first) > 4
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert (one / "tiles.csv").read_bytes() == (other / "tiles.csv").read_bytes()


@pytest.fixture
def slide(server: SlideServer) -> Path:
    return write_section(server.folder / "slide.tif")


@pytest.fixture
def url(server: SlideServer, slide: Path) -> str:
    server.token = SECRET
    return f"{server.url}/{slide.name}?token={SECRET}"


def test_scores_are_those_of_a_copy_and_show_no_credential(
    shell: Shell, slide: Path, url: str, server: SlideServer, tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    assert shell("score", slide, "--out", here).status == 0
    answer = shell("score", url, "--out", there, "--report")
    assert (answer.status, answer.err) == (0, "")
    assert_same_scores(here / "slide", there / "slide")
    records = [json.loads((one / "slide" / "run.json").read_text()) for one in (here, there)]
    assert records[0]["slide"]["quick_hash"] == records[1]["slide"]["quick_hash"]
    assert records[1]["slide"]["path"] == f"{server.url}/slide.tif"
    assert SECRET not in answer.out
    for file in there.rglob("*"):
        assert SECRET not in file.name
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()
    assert server.bytes_served < 1.1 * slide.stat().st_size + 64 * 1024


def test_a_region_costs_its_own_tiles_and_the_overview(
    shell: Shell, server: SlideServer, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).normal((205, 150, 190), 12, (2304, 3072, 3))
    path = write_pyramid_tiff(server.folder / "large.tif", image.clip(0, 255).astype(np.uint8))
    region = {"type": "Polygon", "coordinates": [[[600, 600], [900, 600], [900, 900], [600, 600]]]}
    (tmp_path / "roi.geojson").write_text(json.dumps(region))
    answer = shell(
        "score",
        f"{server.url}/large.tif",
        "--out",
        tmp_path / "out",
        "--roi",
        tmp_path / "roi.geojson",
    )
    assert (answer.status, answer.err) == (0, "")
    tiles = table(tmp_path / "out" / "large")
    with tifffile.TiffFile(path) as tiff:
        counts = [
            np.reshape(page.databytecounts, (-1, -(-page.imagewidth // 256))) for page in tiff.pages
        ]
    # Of level 0 those segments that tiles touch, with the margin of their filter.
    left, top = (min(tiles[name].to_pylist()) - 16 for name in "xy")
    right, bottom = (max(tiles[name].to_pylist()) + tiles["width"][0].as_py() + 16 for name in "xy")
    own = counts[0][top // 256 : bottom // 256 + 1, left // 256 : right // 256 + 1].sum()
    overview = counts[-1].sum()
    identity = 4 * 64 * 1024  # three blocks of the hash, and the header
    assert server.bytes_served < 1.5 * own + overview + identity
    assert server.bytes_served < 0.5 * path.stat().st_size


def test_it_is_not_scored_again(shell: Shell, url: str, tmp_path: Path) -> None:
    shell("score", url, "--out", tmp_path / "out")
    assert "already scored" in shell("score", url, "--out", tmp_path / "out").out


def test_info_and_several_slides_of_a_list(
    shell: Shell, slide: Path, url: str, server: SlideServer, tmp_path: Path
) -> None:
    answer = shell("info", url, "--json")
    assert json.loads(answer.out)["path"] == f"{server.url}/slide.tif"
    (tmp_path / "list.txt").write_text(f"{url}\n{server.url}/none.svs\n")
    answer = shell("score", tmp_path / "list.txt", "--out", tmp_path / "out")
    assert answer.status == 1
    assert "none.svs may only be read with credentials" in answer.out + answer.err
    assert (tmp_path / "out" / "slide" / "run.json").exists()
    assert not (tmp_path / "out" / "none").exists()


def test_what_lies_on_any_file_system_is_scored(
    shell: Shell, slide: Path, in_memory: MemoryFileSystem, tmp_path: Path
) -> None:
    in_memory.put(str(slide), "/bucket/slide.tif")
    for word, out in ((str(slide), "here"), ("memory://bucket/", "there")):
        assert shell("score", word, "--out", tmp_path / out).status == 0
    assert_same_scores(tmp_path / "here" / "slide", tmp_path / "there" / "slide")


def test_a_slide_that_changes_while_it_is_scored_has_no_record(
    shell: Shell, url: str, server: SlideServer, tmp_path: Path
) -> None:
    shell("score", url, "--out", tmp_path / "whole")
    number = server.requests
    for before_the_end in range(1, number // 2, 3):
        forget()
        server.requests, server.tag_from, server.tag = 0, number - before_the_end, ""
        out = tmp_path / f"out{before_the_end}"
        answer = shell("score", url, "--out", out)
        assert_one_error(answer, "slide.tif changed after it was opened")
        assert not (out / "slide" / "run.json").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"status": 403}, ("may only be read with credentials",)),
        ({"status": 404}, ("there is no file http", "check the address")),
        ({"drop_every": 1}, ("cannot be read: the connection broke off", "4 times")),
        ({"short": 99}, ("cannot be read: the server ends its answer early", "4 times")),
    ],
)
def test_what_stops_it_is_one_line(
    shell: Shell,
    url: str,
    server: SlideServer,
    tmp_path: Path,
    settings: dict[str, int],
    words: tuple[str, ...],
) -> None:
    for name, value in settings.items():
        setattr(server, name, value)
    answer = shell("score", url, "--out", tmp_path / "out")
    assert_one_error(answer, *words)
    assert SECRET not in answer.err
    assert not list(tmp_path.glob("out/**/run.json"))


def test_other_formats_are_to_be_copied_first(shell: Shell) -> None:
    assert_one_error(shell("info", "https://host/a.mrxs"), "a.mrxs cannot be read where", "copy it")
