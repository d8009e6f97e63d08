import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, box

from made_banks import MODEL, made_bank, made_scale, made_tiles
from napari_smse.errors import BankError, QueryError
from napari_smse.network.appearance import MEASURES
from napari_smse.similarity.annotated_exemplars import (
    annotated_exemplars,
    annotated_rows,
    exemplars_of,
    with_newer,
)
from napari_smse.similarity.bank import THUMBNAIL_PX

COLUMNS, ROWS = (axis.ravel() for axis in np.meshgrid(range(10), range(10)))
TILES = made_tiles(
    (made_scale(0.5, COLUMNS, ROWS), made_scale(1.0, [0, 1], [0, 0])), np.full((102, 2), 0.5)
)


def exemplars(regions, **options):
    return annotated_exemplars(TILES, regions, model=MODEL, slide="hash", name="S1", **options)


boxes = st.tuples(*(st.integers(0, 600) for _ in range(4))).map(
    lambda at: box(at[0], at[1], at[0] + 40 + at[2] / 2, at[1] + 40 + at[3] / 2)
)


@given(first=boxes, second=boxes)
def test_a_tile_takes_the_class_of_the_region_its_middle_lies_in(first, second):
    regions = {"malignant": MultiPolygon([first]), "fat": MultiPolygon([second])}
    wanted = {}
    for row in range(len(TILES)):
        left, top, width, height = TILES.places[row]
        middle = Point(left + width / 2, top + height / 2)
        inside = [name for name, area in regions.items() if area.contains(middle)]
        if len(inside) == 1:
            wanted[row] = inside[0]
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


def test_many_tiles_of_a_class_are_thinned_out_evenly():
    rows, labels = annotated_rows(TILES, {"fat": box(0, 0, 640, 640)}, most=10)
    assert len(rows) == 10
    assert set(labels) == {0}
    assert rows[0] == 0
    assert rows[-1] == len(TILES) - 1
    assert np.diff(rows).max() <= 12


def test_where_nothing_is_drawn_there_is_nothing_to_add():
    with pytest.raises(QueryError, match="draw regions"):
        exemplars({})
    with pytest.raises(QueryError, match="draw larger regions"):
        exemplars({"fat": box(1, 1, 5, 5)})


def test_pictures_must_be_as_many_as_tiles():
    rows, labels = annotated_rows(TILES, {"fat": box(0, 0, 128, 64)})
    pictures = np.full((len(rows), THUMBNAIL_PX, THUMBNAIL_PX, 3), 9, np.uint8)
    about = {"model": MODEL, "slide": "hash", "name": "S1"}
    bank = exemplars_of(TILES, rows, labels, ("fat",), thumbnails=pictures, **about)
    assert bank.thumbnail(0).max() == 9
    with pytest.raises(BankError, match="give as many"):
        exemplars_of(TILES, rows, labels, ("fat",), thumbnails=pictures[1:], **about)


def test_looks_must_be_as_many_as_tiles():
    rows, labels = annotated_rows(TILES, {"fat": box(0, 0, 128, 64)})
    looks = np.arange(len(rows) * len(MEASURES), dtype=np.float32).reshape(len(rows), -1)
    about = {"model": MODEL, "slide": "hash", "name": "S1"}
    bank = exemplars_of(TILES, rows, labels, ("fat",), looks=looks, **about)
    np.testing.assert_array_equal(bank.looks, looks)
    with pytest.raises(BankError, match="looks of 2 tiles: give as many"):
        exemplars_of(TILES, rows, labels, ("fat",), looks=looks[1:], **about)
    unknown = exemplars_of(TILES, rows, labels, ("fat",), **about)
    assert np.isnan(unknown.looks).all()


def test_a_tile_that_is_there_already_takes_its_newer_class():
    old = made_bank(4).joined(exemplars({"fat": box(0, 0, 128, 64)}))
    newer = exemplars({"malignant": box(0, 0, 64, 64)})
    both = with_newer(old, newer)
    assert len(newer) == 1
    assert len(both) == len(old)
    at = [row for row in range(len(both)) if both.region(row) == newer.region(0)]
    assert [both.class_name(row) for row in at if both.mpps[row] == 0.5] == ["malignant"]
    assert len(with_newer(both, newer)) == len(both)
    assert with_newer(both, newer.take([])).cases == both.cases
