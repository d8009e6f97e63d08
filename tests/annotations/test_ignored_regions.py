"""What lies under Ignore* takes no class, wherever tiles take one."""

import json

import numpy as np
import pytest
from shapely import box
from shapely.geometry import mapping

from napari_smse.annotations import (
    Annotation,
    AnnotationSet,
    read_annotations,
    read_class_regions,
    write_annotations,
)
from napari_smse.annotations.tile_labels import NO_CLASS, class_areas, label_tiles
from napari_smse.datasets.readers.annotated_slides import SlideToRead
from napari_smse.errors import RegionError
from napari_smse.palette import IGNORE
from napari_smse.slides import Region
from napari_smse.tiles import Ground, TissueMask

EVERYWHERE = TissueMask(np.full((40, 40), Ground.TISSUE, np.uint8), Region(0, 0, 400, 400))
FOLD = Annotation(IGNORE, box(100, 0, 200, 400))
SKIN = Annotation("benign", box(0, 0, 400, 400))


def labels(regions):
    columns = np.arange(0, 400, 100, dtype=np.int32)
    return label_tiles(columns, np.zeros(4, np.int32), 100, regions, EVERYWHERE).tolist()


def test_tiles_under_an_ignored_region_take_no_class():
    regions = AnnotationSet((SKIN, FOLD)).regions()
    assert list(regions) == ["benign"]
    assert labels(regions) == [0, NO_CLASS, 0, 0]


def test_the_order_they_are_drawn_in_does_not_matter():
    first, second = (AnnotationSet(order).regions() for order in ((SKIN, FOLD), (FOLD, SKIN)))
    assert first["benign"].equals(second["benign"])


def test_a_class_that_lies_under_it_wholly_is_gone():
    assert class_areas([("benign", box(110, 10, 190, 90)), (IGNORE, FOLD.geometry)]) == {}


def test_the_areas_that_are_ignored_are_told_apart():
    found = AnnotationSet((SKIN, FOLD, Annotation("Pen*", box(0, 0, 9, 9)))).ignored()
    assert set(found) == {IGNORE, "Pen*"}
    assert found[IGNORE].equals(FOLD.geometry)


def test_it_goes_to_a_file_and_comes_back_grey_and_whole(tmp_path):
    path = tmp_path / "drawn.geojson"
    write_annotations(path, AnnotationSet((SKIN, FOLD)))
    features = {
        one["properties"]["classification"]["name"]: one
        for one in json.loads(path.read_text())["features"]
    }
    red, green, blue = features[IGNORE]["properties"]["classification"]["color"]
    assert red == green == blue
    # What is drawn is kept as it was drawn, for QuPath; only what counts is less.
    assert features["benign"]["geometry"] == json.loads(json.dumps(mapping(SKIN.geometry)))
    found = read_annotations(path)
    assert [one.class_name for one in found.annotations] == ["benign", IGNORE]
    assert labels(found.regions()) == [0, NO_CLASS, 0, 0]
    assert labels(read_class_regions(path)) == [0, NO_CLASS, 0, 0]


def test_what_one_file_ignores_is_left_out_of_what_another_says(tmp_path):
    paths = tmp_path / "a.geojson", tmp_path / "b.geojson"
    write_annotations(paths[0], AnnotationSet((SKIN,)))
    write_annotations(paths[1], AnnotationSet((FOLD, Annotation("fat", box(0, 0, 50, 50)))))
    regions = SlideToRead(tmp_path / "a.svs", paths, "case").regions((0, 0))
    assert regions["benign"].equals(SKIN.geometry.difference(FOLD.geometry))


def test_a_file_of_ignored_regions_alone_holds_no_class(tmp_path):
    path = tmp_path / "a.geojson"
    write_annotations(path, AnnotationSet((FOLD,)))
    with pytest.raises(RegionError, match="holds no area with a class"):
        read_class_regions(path)
    with pytest.raises(RegionError, match="holds no area with a class"):
        SlideToRead(tmp_path / "a.svs", (path,), "case").regions((0, 0))
