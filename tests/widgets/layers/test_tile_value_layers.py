"""Scores of any program, dropped on a slide: maps and points that lie where the tiles do."""

import numpy as np
import pytest

from napari_smse.widgets.layers.tile_value_layers import get_reader
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, slide_of
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

ROWS = [(0, 0, 0.25, 7), (200, 0, 0.5, 8), (200, 200, 1.0, 9)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "attention.csv"
    lines = ["x,y,tile_size,attention,rank", *(f"{x},{y},200,{a},{r}" for x, y, a, r in ROWS)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_column_is_a_map_over_the_tissue(viewer, slide_path, table):
    (slide_layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    maps = viewer.open(str(table), plugin="napari-smse")
    attention, rank, points = maps
    mpp = slide_of(slide_layer).mpp
    for x, y, value, number in ROWS:
        # The middle of the tile, as the viewer has it; pixel 0 is centred on 0.
        world = (np.array([y, x]) + 100 - 0.5) * mpp
        cell = tuple(np.rint(attention.world_to_data(world)).astype(int))
        assert (attention.data[cell], rank.data[cell]) == (pytest.approx(value), number)
    assert tuple(attention.contrast_limits) == (0, 1)
    assert tuple(rank.contrast_limits) == (7, 9)
    assert [layer.visible for layer in maps] == [False, True, False]
    np.testing.assert_allclose(points.data[0], (99.5, 99.5))
    np.testing.assert_allclose(points.features["attention"], [row[2] for row in ROWS])


def test_they_are_seen_with_their_own_slide_alone(viewer, slide_path, table, tmp_path):
    other = tmp_path / "other.tif"
    write_pyramid_tiff(other, np.full((900, 900, 3), 220, np.uint8), mpp=0.25)
    (first,) = viewer.open(str(slide_path), plugin="napari-smse")
    shown = viewer.open(str(table), plugin="napari-smse")[1]
    (second,) = viewer.open(str(other), plugin="napari-smse")
    session = session_of(viewer)
    session.choose(second)
    assert not shown.visible
    session.choose(first)
    assert shown.visible


@pytest.mark.parametrize(
    "kind", [LayerKind.HEAT_MAP, LayerKind.CONTOURS, LayerKind.EXPORTED_MAP, LayerKind.SIMILARITY]
)
def test_other_maps_of_the_slide_make_room(viewer, slide_path, table, kind):
    (slide_layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    slide = slide_of(slide_layer).quick_hash
    own, elsewhere = (
        viewer.add_image(np.ones((4, 4)), metadata=LayerMark(kind, of).metadata)
        for of in (slide, "of another slide")
    )
    viewer.open(str(table), plugin="napari-smse")
    session = session_of(viewer)
    assert not session.is_shown(own)
    assert session.is_shown(elsewhere)


def test_a_table_of_something_else_is_told_and_nothing_is_shown(viewer, slide_path, tmp_path):
    viewer.open(str(slide_path), plugin="napari-smse")
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(Exception, match="no columns x and y"):
        viewer.open(str(path), plugin="napari-smse")
    assert len(viewer.layers) == 1


def test_without_a_slide_it_is_left_to_others(viewer, table):
    assert get_reader(str(table)) is None


def test_regions_that_somebody_drew_are_left_to_the_annotate_dock(viewer, slide_path, tmp_path):
    viewer.open(str(slide_path), plugin="napari-smse")
    ring = "[[0,0],[9,0],[9,9],[0,0]]"
    path = tmp_path / "drawn.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": '
        f'{{"type": "Polygon", "coordinates": [{ring}]}}, "properties": '
        '{"objectType": "annotation", "classification": {"name": "a"}}}]}'
    )
    assert get_reader(str(path)) is None
