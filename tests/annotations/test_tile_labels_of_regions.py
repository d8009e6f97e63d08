"""Tiles that take the class of what they lie in."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon
from shapely.geometry import box

from napari_smse.annotations.tile_labels import CONFLICT, NO_CLASS, label_tiles, nearest_areas
from napari_smse.slides import Region
from napari_smse.tiles import Ground, TissueMask

CELL = 10
SIDE = 40


def mask_of(tissue: np.ndarray) -> TissueMask:
    ground = np.where(tissue, Ground.TISSUE, Ground.GLASS).astype(np.uint8)
    return TissueMask(ground, Region(0, 0, SIDE * CELL, SIDE * CELL))


def area(x: int, y: int, width: int, height: int) -> MultiPolygon:
    return MultiPolygon([box(x, y, x + width, y + height)])


def slow(x: int, y: int, edge: int, regions: dict[str, MultiPolygon], tissue: np.ndarray) -> int:
    part = np.zeros_like(tissue)
    part[y // CELL : (y + edge) // CELL, x // CELL : (x + edge) // CELL] = True
    own = tissue & part
    if own.sum() < 0.25 * part.sum():
        return NO_CLASS
    centre = (np.arange(SIDE) + 0.5) * CELL
    shares = []
    for drawn in regions.values():
        left, top, right, bottom = drawn.bounds
        across = (centre > left) & (centre < right)
        inside = ((centre > top) & (centre < bottom))[:, None] & across
        shares.append((own & inside).sum() / own.sum())
    if sum(share > 0.25 for share in shares) > 1:
        return CONFLICT
    return int(np.argmax(shares)) if max(shares) >= 0.5 else NO_CLASS


place = st.integers(0, 30).map(lambda n: n * CELL)
size = st.integers(1, 20).map(lambda n: n * CELL)


@given(
    st.lists(st.tuples(place, place, size, size), min_size=1, max_size=3),
    st.lists(st.tuples(place, place), min_size=1, max_size=8),
    st.integers(1, 8).map(lambda n: n * CELL),
    st.integers(0, 1000),
)
def test_labels_are_what_a_slow_count_finds(
    drawn: list[tuple[int, int, int, int]], tiles: list[tuple[int, int]], edge: int, seed: int
) -> None:
    tissue = np.random.default_rng(seed).uniform(size=(SIDE, SIDE)) < 0.6
    regions = {f"class {i}": area(*one) for i, one in enumerate(drawn)}
    x, y = (np.array(column, dtype=np.int32) for column in zip(*tiles, strict=True))
    found = label_tiles(x, y, edge, regions, mask_of(tissue))
    assert found.tolist() == [slow(a, b, edge, regions, tissue) for a, b in tiles]


def test_without_regions_no_tile_has_a_class() -> None:
    corner = np.zeros(3, dtype=np.int32)
    found = label_tiles(corner, corner, 50, {}, mask_of(np.ones((SIDE, SIDE), dtype=bool)))
    assert found.tolist() == [NO_CLASS] * 3


def test_the_area_of_a_tile_is_the_one_its_centre_lies_in_or_is_nearest_to() -> None:
    drawn = MultiPolygon([box(0, 0, 100, 100), box(200, 0, 300, 100)])
    x = np.array([0, 180, 120, 140], dtype=np.int32)
    assert nearest_areas(x, np.zeros_like(x), 40, drawn).tolist() == [0, 1, 0, 1]
