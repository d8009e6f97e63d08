import json

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit
from shapely.geometry import LineString, Point, box, mapping

from napari_smse.annotations import AnnotationSet, read_annotations
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import annotation_files
from napari_smse.widgets.annotate import dock as annotate_dock
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_shapes import CLASS
from support.annotated_slides import annotate, write_tiles_beside
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Unsaved annotations lie here."""
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return tmp_path / "unsaved"


@pytest.fixture
def opened(viewer, slide_path):
    viewer.open(slide_path, plugin="napari-smse")
    return viewer


@pytest.fixture
def dock(opened, told):
    made = AnnotateDock(opened)
    opened.window.add_dock_widget(made, name="SMSE: Annotate")
    yield made
    made.close()


@pytest.fixture
def told(monkeypatch):
    """What the user was told went wrong."""
    texts = []
    monkeypatch.setattr(annotate_dock, "show_error", texts.append)
    return texts


def rectangle(x, y, width, height):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return np.array([(b - 0.5, a - 0.5) for a, b in corners])


def draw(dock, *place):
    dock.drawing.layer.selected_data = set()
    dock.drawing.layer.add(rectangle(*place), shape_type="rectangle")


def cells(dock, row):
    return [dock.table.item(row, column).text() for column in range(dock.table.columnCount())]


def counted(dock, until):
    until(lambda: "…" not in cells(dock, 0)[3])


def left_behind(folder):
    return list(folder.glob("*.geojson"))


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate")
    assert isinstance(dock, AnnotateDock)
    assert "File > Open" in dock.facts.text()
    dock.undo.click()
    dock.close()


def test_counts_follow_what_is_drawn(dock, until):
    assert [cells(dock, row)[:2] for row in (0, 1)] == [["1", "benign"], ["2", "malignant"]]
    draw(dock, 0, 0, 840, 840)
    counted(dock, until)
    # Two by two tiles of 448 px at 0.25 um/px lie inside, all of it tissue.
    assert cells(dock, 0)[2:] == ["1", "4", "0.04"]
    assert cells(dock, 1)[2:] == ["0", "0", "0.00"]
    assert dock.note.text().startswith("4 tiles of 112 µm")


def test_keys_choose_the_class_of_the_next_and_of_selected_shapes(dock, qtbot, settle):
    canvas = dock.viewer.window._qt_viewer.canvas
    dock.modes["Rectangle"].click()
    settle()
    assert dock.drawing.layer.mode == "add_rectangle"
    canvas.native.setFocus()
    qtbot.keyClick(canvas.native, Qt.Key.Key_2)
    assert dock.table.current == "malignant"
    draw(dock, 0, 0, 100, 100)
    assert list(dock.drawing.layer.features[CLASS]) == ["malignant"]
    # While drawing, what was just drawn stays selected, and what it is.
    dock.drawing.layer.selected_data = {0}
    qtbot.keyClick(canvas.native, Qt.Key.Key_1)
    assert list(dock.drawing.layer.features[CLASS]) == ["malignant"]
    assert dock.table.current == "benign"
    dock.modes["Select"].click()
    dock.drawing.layer.selected_data = {0}
    qtbot.keyClick(canvas.native, Qt.Key.Key_1)
    assert list(dock.drawing.layer.features[CLASS]) == ["benign"]
    for key in (Qt.Key.Key_9, Qt.Key.Key_3):
        qtbot.keyClick(canvas.native, key)
        assert dock.table.current == "benign"
    dock.drawing.layer.selected_data = set()
    qtbot.keyClick(canvas.native, Qt.Key.Key_0)
    assert dock.table.current == "Ignore*"


def test_keys_choose_the_class_while_the_slide_is_chosen(dock, qtbot):
    canvas = dock.viewer.window._qt_viewer.canvas
    slide = dock.slides.layer
    own = {str(key) for key in slide.keymap}
    dock.viewer.layers.selection.active = slide
    canvas.native.setFocus()
    for key, name in ((Qt.Key.Key_2, "malignant"), (Qt.Key.Key_1, "benign")):
        qtbot.keyClick(canvas.native, key)
        assert dock.table.current == name
    # napari's key 2 would let the mouse move the slide.
    assert slide.mode == "pan_zoom"
    dock.close()
    ours = {str(number) for number in range(10)} | {"Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Y"}
    assert ours <= own
    assert {str(key) for key in slide.keymap} == own - ours


def test_undo_takes_back_and_brings_a_removed_layer_back(dock):
    draw(dock, 0, 0, 100, 100)
    draw(dock, 200, 0, 100, 100)
    dock.undo.click()
    assert dock.drawing.count == 1
    dock.viewer.layers.remove(dock.drawing.layer)
    dock.undo.click()
    assert dock.drawing.layer in dock.viewer.layers
    assert dock.drawing.count == 1


def test_two_classes_on_one_tile_are_told(dock, until):
    draw(dock, 0, 0, 448, 448)
    dock.table.choose(1)
    draw(dock, 0, 0, 448, 448)
    counted(dock, until)
    until(lambda: "lie in two classes" in dock.note.text())
    assert cells(dock, 0)[3] == cells(dock, 1)[3] == "0"


def test_regions_on_glass_and_beside_the_slide_are_told(dock, until):
    draw(dock, 1000, 0, 250, 250)
    draw(dock, 5000, 0, 250, 250)
    until(lambda: "benign hold hardly any tissue" in dock.note.text())
    assert "1 shape left out: lines, or beside" in dock.note.text()


def test_what_was_drawn_survives_a_crash(dock, opened, folder, until):
    draw(dock, 0, 0, 300, 300)
    dock.table.choose(1)
    draw(dock, 400, 0, 300, 300)
    until(lambda: bool(left_behind(folder)))
    # A crash: the layer is gone, and nobody said goodbye.
    dock.files._dirty = False
    layer = dock.drawing.layer
    dock.release()
    opened.layers.remove(layer)
    again = AnnotateDock(opened)
    assert again.recovery.isVisibleTo(again)
    assert "2 regions of " in again.recovery.text.text()
    # What is drawn before the question is answered is not lost either.
    draw(again, 0, 500, 100, 100)
    again.files.save_now()
    assert len(left_behind(folder)) == 2
    again.recovery.take.click()
    assert not again.recovery.isVisibleTo(again)
    names = [one.class_name for one in again.drawing.annotations().annotations]
    assert sorted(names) == ["benign", "benign", "malignant"]
    assert len(left_behind(folder)) == 1
    again.close()


def test_a_clean_end_saves_too_and_discarding_is_final(dock, opened, folder):
    draw(dock, 0, 0, 300, 300)
    layer = dock.drawing.layer
    dock.close()
    opened.layers.remove(layer)
    again = AnnotateDock(opened)
    again.recovery.drop.click()
    again.close()
    assert not again.recovery.isVisibleTo(again)
    assert AnnotateDock(opened).recovery.isHidden()


def test_saved_annotations_are_not_asked_for_again(dock, opened, folder, tmp_path, until):
    draw(dock, 10, 20, 300, 300)
    until(lambda: bool(left_behind(folder)))
    dock.save_to(tmp_path / "slide.geojson")
    assert not left_behind(folder)
    (one,) = read_annotations(tmp_path / "slide.geojson").annotations
    assert one.geometry.equals(box(10, 20, 310, 320))
    dock.close()
    assert not left_behind(folder)


def test_remarks_on_tiles_follow_their_class_to_another_name(dock):
    place = TilePlace("hash", 0.5, 0, 0, 64, 64)
    described = [TileCorrection(place, "class", "benign"), TileCorrection(place, "exemplar")]
    dock.drawing.show(AnnotationSet(corrections=tuple(described)))
    dock.table.item(0, 1).setText("normal")
    assert [one.class_name for one in dock.drawing.annotations().corrections] == ["normal", ""]


def test_qupaths_file_comes_in_with_its_classes_and_colours(dock, tmp_path):
    feature = {
        "type": "Feature",
        "id": "d1a1e3d1-7f6e-4f9e-8f2c-2d7a3c1f9a01",
        "geometry": mapping(box(0, 0, 100, 100).difference(box(20, 20, 40, 40))),
        "properties": {
            "objectType": "annotation",
            "classification": {"name": "Stroma", "color": [150, 200, 150]},
        },
    }
    path = tmp_path / "qupath.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    dock.import_from(path)
    assert dock.table.colours["Stroma"] == (150, 200, 150)
    again = tmp_path / "again.geojson"
    dock.save_to(again)
    (written,) = json.loads(again.read_text())["features"]
    assert written["id"] == feature["id"]
    assert written["properties"]["classification"] == feature["properties"]["classification"]
    (one,) = read_annotations(again).annotations
    assert one.geometry.area == 100 * 100 - 20 * 20


def test_tiles_among_imported_annotations_are_left_out(dock, tmp_path, told, monkeypatch):
    monkeypatch.setattr(annotation_files, "show_warning", told.append)
    slide = annotate(tmp_path / "slide.tif")
    path = write_tiles_beside(slide, among_annotations=True)
    dock.import_from(path)
    assert dock.drawing.count == 4
    assert "Left out: 8 that are tiles or detections" in told[-1]
    dock.import_from(write_tiles_beside(slide))
    assert dock.drawing.count == 4
    assert "holds no annotation" in told[-1]


@pytest.mark.parametrize(
    ("outlines", "says"),
    [
        ([box(10, 10, 90, 90)], "1 region imported from drawn.geojson."),
        (
            [box(1e6, 1e6, 2e6, 2e6), box(10, 10, 90, 90)],
            "2 regions imported from drawn.geojson. 1 lies outside the slide: is the file of "
            "another one?",
        ),
        (
            [box(-90, 0, -10, 50), box(0, 1e5, 9, 1e6), Point(3, 4), LineString([(0, 0), (9, 9)])],
            "2 regions imported from drawn.geojson. 2 lie outside the slide: is the file of "
            "another one? Left out: 2 that are points or lines.",
        ),
    ],
)
def test_what_an_import_leaves_out_or_lays_beside_the_slide_is_told(
    dock, tmp_path, monkeypatch, outlines, says
):
    told, warned = [], []
    monkeypatch.setattr(annotation_files, "show_info", told.append)
    monkeypatch.setattr(annotation_files, "show_warning", warned.append)
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps([mapping(outline) for outline in outlines]))
    dock.import_from(path)
    assert told + warned == [says]
    assert bool(warned) == ("outside" in says)


def test_a_wrong_file_is_told_and_changes_nothing(dock, tmp_path, told):
    path = tmp_path / "wrong.geojson"
    path.write_text("nonsense")
    draw(dock, 0, 0, 100, 100)
    dock.import_from(path)
    assert "is not JSON" in told[0]
    assert dock.drawing.count == 1


def test_classes_can_be_added_renamed_and_removed_when_empty(dock, told):
    dock.add.click()
    assert dock.table.current == "Class 3"
    draw(dock, 0, 0, 100, 100)
    dock.table.item(2, 1).setText("fat")
    assert list(dock.drawing.layer.features[CLASS]) == ["fat"]
    dock.remove.click()
    assert "1 regions are of class fat" in told[0]
    dock.table.item(2, 1).setText("benign")
    assert "a class benign already" in told[1]
    assert list(dock.table.colours) == ["benign", "malignant", "fat", "Ignore*"]
    dock.drawing.layer.selected_data = {0}
    dock.drawing.layer.remove_selected()
    dock.table.choose(2)
    dock.remove.click()
    assert list(dock.table.colours) == ["benign", "malignant", "Ignore*"]


def test_each_slide_has_annotations_of_its_own(dock, opened, tmp_path):
    draw(dock, 0, 0, 100, 100)
    rgb = np.full((600, 700, 3), (205, 150, 190), np.uint8)
    path = tmp_path / "other.tif"
    write_pyramid_tiff(path, rgb, mpp=0.5)
    opened.open(path, plugin="napari-smse")
    assert dock.slides.count() == 2
    dock.slides.setCurrentIndex(dock.slides.findText("other"))
    assert dock.drawing.count == 0
    draw(dock, 0, 0, 50, 50)
    dock.slides.setCurrentIndex(dock.slides.findText("slide"))
    (one,) = dock.drawing.annotations().annotations
    assert one.geometry.equals(box(0, 0, 100, 100))


def test_a_new_class_is_named_at_once(dock, qtbot, settle):
    dock.add.click()
    settle()
    editor = dock.table.findChild(QLineEdit)
    assert editor is not None
    assert editor.selectedText() == "Class 3"
    qtbot.keyClicks(editor, "nerve 1")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    settle()
    assert dock.table.current == "nerve 1"
    draw(dock, 0, 0, 100, 100)
    assert list(dock.drawing.layer.features[CLASS]) == ["nerve 1"]


def test_tiles_under_an_ignored_region_are_not_counted(dock, until):
    draw(dock, 0, 0, 840, 840)
    counted(dock, until)
    assert cells(dock, 0)[3] == "4"
    dock.table.choose(list(dock.classes).index("Ignore*"))
    draw(dock, 0, 0, 448, 896)
    until(lambda: cells(dock, 0)[3] == "2")
    np.testing.assert_allclose(dock.drawing.layer.edge_color[1, :3], [128 / 255] * 3, atol=1e-6)
    assert cells(dock, 2)[1:4] == ["Ignore*", "1", "none"]


def test_nothing_is_said_of_a_slide_that_is_gone(dock, until):
    draw(dock, 0, 0, 840, 840)
    counted(dock, until)
    assert dock.note.text()
    dock.viewer.layers.remove(dock.slides.layer)
    assert not dock.note.text()
    assert cells(dock, 0)[2:] == ["0", "0", "0.00"]


def test_the_dock_fits_a_small_screen(dock):
    """The window of napari grows beyond the screen with what does not scroll."""
    assert dock.minimumSizeHint().height() < 400
