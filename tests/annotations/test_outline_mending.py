"""Outlines that cross themselves are mended, in bounded time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from shapely import Polygon

from napari_smse.annotations.geojson import read_regions
from napari_smse.annotations.outline_mending import mended
from napari_smse.errors import RegionError

NOWHERE = Path("a.geojson")


def star(points: int) -> Polygon:
    """A star drawn in one go, whose every side crosses nearly all others."""
    step = points // 2
    angles = [2 * math.pi * (i * step % points) / points for i in range(points)]
    return Polygon([(1000 * math.cos(a), 1000 * math.sin(a)) for a in angles])


def test_a_bow_tie_is_two_triangles() -> None:
    parts = mended(Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), NOWHERE)
    assert [part.area for part in parts] == [1, 1]


def test_what_crosses_itself_here_and_there_is_mended_however_long() -> None:
    wave = [(x, 10 * math.sin(x / 3) + 5 * math.sin(x)) for x in range(3000)]
    parts = mended(Polygon([*wave, (1500, -4)]), NOWHERE)
    assert sum(part.area for part in parts) > 1000
    assert all(part.is_valid for part in parts)


def test_what_crosses_itself_everywhere_is_refused() -> None:
    assert mended(star(49), NOWHERE)
    for points in (99, 1001):
        with pytest.raises(RegionError, match=r"a.geojson holds an outline that crosses itself"):
            mended(star(points), NOWHERE)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400"])
def test_a_number_beyond_all_numbers_is_named(tmp_path: Path, number: str) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [0, 9], [9, 9], [0, 0]]]}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(square).replace("9, 9]", f"9, {number}]"))
    with pytest.raises(RegionError, match=r"a.geojson"):
        read_regions(path)
