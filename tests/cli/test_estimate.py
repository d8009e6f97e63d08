"""How long slides will take, estimated from a shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder with two slides."""
    write_section(tmp_path / "in" / "a.tif")
    write_section(tmp_path / "in" / "b.tif", width=900)
    return tmp_path / "in"


def tiles_reported(line: str) -> int:
    found = re.search(r"([\d,]+) tiles, about", line)
    assert found, line
    return int(found[1].replace(",", ""))


def test_every_slide_and_all_together_are_reported_and_nothing_is_kept(
    shell: Shell, slides: Path, tmp_path: Path
) -> None:
    answer = shell("estimate", slides)
    assert (answer.status, answer.err) == (0, "")
    lines = [line for line in answer.out.splitlines() if "about" in line]
    assert [line.split(":")[0] for line in lines] == ["a.tif", "b.tif", "In all"]
    assert tiles_reported(lines[0]) + tiles_reported(lines[1]) == tiles_reported(lines[2])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_it_counts_the_tiles_that_scoring_scores(
    shell: Shell, slides: Path, tmp_path: Path
) -> None:
    words = (slides / "a.tif", "--mpp", "0.5", "--mpp", "1.0", "--overlap", "0.5")
    estimated = shell("estimate", *words).out
    scored = shell("score", *words, "--out", tmp_path / "out").out
    assert f"a.tif: {tiles_reported(estimated)} tiles, results in" in scored


def test_a_bad_slide_stops_no_other(shell: Shell, slides: Path) -> None:
    (slides / "aa.svs").touch()
    answer = shell("estimate", slides)
    assert answer.status == 1
    assert answer.err.startswith("error: aa.svs is empty")
    assert answer.err.splitlines()[-1] == "1 of 3 slides could not be estimated."
    assert "b.tif: " in answer.out


def test_a_region_is_measured_from_the_bounds(shell: Shell, slides: Path, tmp_path: Path) -> None:
    roi = tmp_path / "roi.geojson"
    ring = [[0, 0], [200, 0], [200, 200], [0, 200], [0, 0]]
    roi.write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}')
    all_tiles = tiles_reported(shell("estimate", slides / "a.tif").out)
    assert 0 < tiles_reported(shell("estimate", slides / "a.tif", "--roi", roi).out) < all_tiles
