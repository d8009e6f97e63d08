"""Of which class a tile is: by regions, and by what was said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, box

from napari_smse.annotations.tile_labels import (
    CONFLICT,
    NO_CLASS,
    assign_classes,
    label_tiles,
    rows_at,
)
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.tiles import Ground, TissueMask
from support.exemplar_banks import AREA, made_scale

COLUMNS, ROWS = (axis.ravel() for axis in np.meshgrid(range(10), range(10)))
TILES = made_scale(0.5, COLUMNS, ROWS)
TISSUE = TissueMask(np.full((80, 80), Ground.TISSUE, np.uint8), AREA)
REGIONS = {
    "fat": MultiPolygon([box(0, 0, 128, 640)]),
    "nerve": MultiPolygon([box(96, 0, 256, 640)]),
}


def place(row: int, mpp: float = 0.5, slide: str = "hash") -> TilePlace:
    one = TILES.region(row)
    return TilePlace(slide, mpp, one.x, one.y, one.width, one.height)


def names(*corrections: TileCorrection) -> list[str]:
    return assign_classes(TILES, "hash", REGIONS, TISSUE, corrections).class_names.tolist()


def test_without_remarks_a_tile_is_of_its_region() -> None:
    found = assign_classes(TILES, "hash", REGIONS, TISSUE)
    wanted = label_tiles(TILES.x, TILES.y, 64, REGIONS, TISSUE)
    np.testing.assert_array_equal(found.labels, wanted)
    assert names()[:5] == ["fat", "", "nerve", "nerve", ""]
    assert found.labels[1] == CONFLICT
    assert not found.reviewed.any()
    assert not found.corrected.any()
    assert found.is_annotated[:5].tolist() == [True, True, True, True, False]


def test_a_remark_goes_before_the_region_and_a_later_one_before_it() -> None:
    to_bone = TileCorrection(place(0), "class", "bone")
    ignored = TileCorrection(place(0), "ignore")
    assert names(to_bone)[0] == "bone"
    assert names(to_bone, ignored)[0] == ""
    assert names(ignored, to_bone)[0] == "bone"
    # Two classes compete for it, or none reaches it.
    assert names(replace(to_bone, place=place(1)))[1] == "bone"
    assert names(replace(to_bone, place=place(9)))[9] == "bone"


def test_what_is_known_of_corrected_tiles() -> None:
    corrections = [
        TileCorrection(place(0), "class", "fat"),
        TileCorrection(place(2), "class", "fat"),
        TileCorrection(place(3), "ignore"),
        TileCorrection(place(3), "exemplar"),
        TileCorrection(place(2), "exemplar"),
    ]
    found = assign_classes(TILES, "hash", REGIONS, TISSUE, corrections)
    assert np.flatnonzero(found.reviewed).tolist() == [0, 2, 3]
    assert np.flatnonzero(found.corrected).tolist() == [2]
    assert np.flatnonzero(found.exemplars).tolist() == [2]
    assert found.labels[3] == NO_CLASS
    assert found.is_annotated[3]
    assert [row for row, _ in found.corrections] == [0, 2, 3, 3, 2]


@pytest.mark.parametrize(
    "other",
    [
        place(0, slide="another"),
        place(0, mpp=1.0),
        replace(place(0), x=1),
        replace(place(0), width=128, height=128),
    ],
    ids=["slide", "scale", "place", "size"],
)
def test_remarks_on_other_tiles_are_passed_over(other: TilePlace) -> None:
    assert names(TileCorrection(other, "class", "bone")) == names()
    assert rows_at(TILES, "hash", [other, place(7)]) == [None, 7]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 99), st.sampled_from(["class", "ignore", "exemplar"]), st.booleans()
        ),
        max_size=12,
    )
)
def test_it_is_what_a_slow_loop_says(said: list[tuple[int, str, bool]]) -> None:
    corrections = [
        TileCorrection(place(row), says, ("fat" if first else "bone") if says == "class" else "")
        for row, says, first in said
    ]
    wanted = names()
    for row, says, first in said:
        if says != "exemplar":
            wanted[row] = "" if says == "ignore" else ("fat" if first else "bone")
    assert names(*corrections) == wanted
