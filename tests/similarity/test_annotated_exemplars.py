import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, box

from napari_smse.annotations.tile_labels import label_tiles
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import BankError, QueryError
from napari_smse.similarity.annotated_exemplars import (
    annotated_exemplars,
    annotated_rows,
    exemplars_of,
    with_newer,
    without_tiles,
)
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX
from napari_smse.tiles import Ground, TissueMask
from napari_smse.tiles.appearance import MEASURES
from support.exemplar_banks import AREA, MODEL, made_bank, made_scale, made_tiles

COLUMNS, ROWS = (axis.ravel() for axis in np.meshgrid(range(10), range(10)))
TILES = made_tiles(
    (made_scale(0.5, COLUMNS, ROWS), made_scale(1.0, [0, 1], [0, 0])), np.full((102, 2), 0.5)
)


def mask_of(ground):
    return TissueMask(np.asarray(ground, np.uint8), AREA)


TISSUE = mask_of(np.full((80, 80), Ground.TISSUE))


def area(*boxes):
    return MultiPolygon([box(*one) for one in boxes])


def exemplars(regions, mask=TISSUE, **options):
    return annotated_exemplars(
        TILES, regions, mask, model=MODEL, slide="hash", name="S1", **options
    )


boxes = st.tuples(*(st.integers(0, 70) for _ in range(4))).map(
    lambda at: area((8 * at[0], 8 * at[1], 8 * at[0] + 40 + 4 * at[2], 8 * at[1] + 40 + 4 * at[3]))
)


@given(first=boxes, second=boxes)
def test_tiles_are_those_that_fine_tuning_takes(first, second):
    regions = {"malignant": first, "fat": second}
    wanted = {}
    for number, scale in enumerate(TILES.scales):
        labels = label_tiles(scale.x, scale.y, scale.grid.edge, regions, TISSUE)
        for row, label in enumerate(labels.tolist()):
            if label >= 0:
                wanted[TILES.rows_of(number).start + row] = list(regions)[label]
    if not wanted:
        with pytest.raises(QueryError):
            exemplars(regions)
        return
    bank = exemplars(regions)
    assert len(bank) == len(wanted)
    for number, (row, name) in enumerate(sorted(wanted.items())):
        assert bank.class_name(number) == name
        assert bank.region(number) == TILES.region(row)
        assert bank.mpps[number] == TILES.mpps[row]
        np.testing.assert_array_equal(bank.embeddings[number], TILES.embeddings[row])
    assert set(bank.slides) == {"hash"}
    assert set(bank.cases) == set(bank.sources) == {"S1"}
    assert bank.thumbnails is None


def test_it_is_remembered_which_area_a_tile_is_of():
    left_fat, right_fat = "fat at 0, 0, 128, 64", "fat at 320, 0, 448, 64"
    bank = exemplars(
        {"fat": area((0, 0, 128, 64), (320, 0, 448, 64)), "nerve": area((0, 320, 64, 384))}
    )
    left = [bank.region(row).x for row in range(len(bank))]
    for row, place in enumerate(left):
        fat = left_fat if place < 200 else right_fat
        nerve = "nerve at 0, 320, 64, 384"
        assert bank.drawn[row] == (nerve if bank.class_name(row) == "nerve" else fat)
    assert set(bank.drawn) == {left_fat, right_fat, nerve}
    # Drawn after another one was removed, an area is still another one.
    later = exemplars({"fat": area((320, 320, 448, 384))})
    assert set(later.drawn).isdisjoint(bank.drawn)


def test_tiles_of_glass_are_not_taken():
    glass = np.full((80, 80), Ground.GLASS)
    glass[:, 40:] = Ground.TISSUE
    bank = exemplars({"fat": area((0, 0, 640, 64))}, mask_of(glass))
    assert {bank.region(row).x >= 320 for row in range(len(bank))} == {True}


def test_many_tiles_of_a_class_are_thinned_out_evenly():
    found = annotated_rows(TILES, {"fat": area((0, 0, 640, 640))}, TISSUE)
    assert len(found.rows) == len(TILES)
    some = found.sample(10)
    rows = some.rows
    assert len(rows) == len(some.drawn) == 10
    assert set(some.labels) == {0}
    assert rows[0] == 0
    assert rows[-1] == len(TILES) - 1
    assert np.diff(rows).max() <= 12


def test_where_nothing_is_drawn_there_is_nothing_to_add():
    with pytest.raises(QueryError, match="draw regions"):
        exemplars({})
    with pytest.raises(QueryError, match="draw larger regions"):
        exemplars({"fat": area((1, 1, 5, 5))})


def test_pictures_must_be_as_many_as_tiles():
    found = annotated_rows(TILES, {"fat": area((0, 0, 128, 64))}, TISSUE)
    pictures = np.full((len(found.rows), THUMBNAIL_PX, THUMBNAIL_PX, 3), 9, np.uint8)
    about = {"model": MODEL, "slide": "hash", "name": "S1"}
    bank = exemplars_of(TILES, found, ("fat",), thumbnails=pictures, **about)
    assert bank.thumbnail(0).max() == 9
    with pytest.raises(BankError, match="give as many"):
        exemplars_of(TILES, found, ("fat",), thumbnails=pictures[1:], **about)


def test_looks_must_be_as_many_as_tiles():
    found = annotated_rows(TILES, {"fat": area((0, 0, 128, 64))}, TISSUE)
    number = len(found.rows)
    appearances = np.arange(number * len(MEASURES), dtype=np.float32).reshape(number, -1)
    about = {"model": MODEL, "slide": "hash", "name": "S1"}
    bank = exemplars_of(TILES, found, ("fat",), appearances=appearances, **about)
    np.testing.assert_array_equal(bank.appearances, appearances)
    with pytest.raises(BankError, match="looks of 3 tiles: give as many"):
        exemplars_of(TILES, found, ("fat",), appearances=appearances[1:], **about)
    unknown = exemplars_of(TILES, found, ("fat",), **about)
    assert np.isnan(unknown.appearances).all()


def test_a_tile_that_is_there_already_takes_its_newer_class():
    old = made_bank(4).joined(exemplars({"fat": area((0, 0, 128, 64))}))
    newer = exemplars({"malignant": area((0, 0, 64, 64))})
    both = with_newer(old, newer)
    assert len(newer) == 1
    assert len(both) == len(old)
    at = [row for row in range(len(both)) if both.region(row) == newer.region(0)]
    assert [both.class_name(row) for row in at if both.mpps[row] == 0.5] == ["malignant"]
    assert len(with_newer(both, newer)) == len(both)
    assert with_newer(both, newer.take([])).cases == both.cases


def test_what_is_drawn_otherwise_now_is_not_left_with_its_older_class():
    """Of many tiles some are taken: the others must not keep the class that they had."""
    every = area((0, 0, 640, 640))
    old = exemplars({"benign": every}, max_per_class=100)
    found = annotated_rows(TILES, {"malignant": every}, TISSUE)
    about = {"model": MODEL, "slide": "hash", "name": "S1"}
    drawn, newer = (
        exemplars_of(TILES, some, ("malignant",), **about) for some in (found, found.sample(20))
    )
    both = with_newer(made_bank(4).joined(old), newer, drawn)
    assert len(both) == 4 + 20
    assert {both.class_name(row) for row in range(4, 24)} == {"malignant"}


def correction(row, says, name=""):
    x, y, width, height = TILES.places[row].tolist()
    place = TilePlace("hash", float(TILES.mpps[row]), x, y, width, height)
    return TileCorrection(place, says, name)


def test_corrections_of_single_tiles_are_heard():
    fat = {"fat": area((0, 0, 256, 64))}
    said = [
        correction(0, "class", "nerve"),
        correction(1, "ignore"),
        correction(50, "class", "fat"),
    ]
    bank = exemplars(fat, corrections=said)
    found = {bank.region(row): (bank.class_name(row), bank.drawn[row]) for row in range(len(bank))}
    drawn = "fat at 0, 0, 256, 64"
    assert found[TILES.region(0)] == ("nerve", "tile at 0, 0")
    assert TILES.region(1) not in found
    assert found[TILES.region(2)] == found[TILES.region(3)] == ("fat", drawn)
    assert found[TILES.region(50)] == ("fat", "tile at 0, 320")
    # Nothing need be drawn for it.
    alone = exemplars({}, corrections=said)
    assert sorted(alone.class_name(row) for row in range(len(alone))) == ["fat", "nerve"]


def test_marked_exemplars_are_taken_however_many_tiles_there_are():
    every = {"fat": area((0, 0, 640, 640))}
    assert exemplars(every, max_per_class=4).region(1) != TILES.region(1)
    bank = exemplars(every, max_per_class=4, corrections=[correction(1, "exemplar")])
    assert len(bank) == 5
    assert bank.region(1) == TILES.region(1)


def test_tiles_that_have_no_class_any_more_leave_the_bank():
    old = exemplars({"fat": area((0, 0, 256, 64))})
    regions = {"fat": area((0, 0, 192, 64)), "nerve": area((128, 0, 192, 64))}
    found = annotated_rows(
        TILES, regions, TISSUE, slide="hash", corrections=[correction(0, "ignore")]
    )
    # Row 3 is drawn no more, but nobody said that it is no fat.
    assert found.classless.tolist() == [0, 2]
    remaining = without_tiles(old, TILES, "hash", found.classless)
    assert [
        remaining.region(row) for row in range(len(remaining)) if remaining.mpps[row] == 0.5
    ] == [
        TILES.region(1),
        TILES.region(3),
    ]
    assert len(without_tiles(old, TILES, "another", found.classless)) == len(old)
