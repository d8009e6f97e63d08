"""The list of classes outlives crashes, and goes along to the next slide."""

import gc
import json
from types import SimpleNamespace

import numpy as np
import pytest

from napari_smse.palette import annotation_colours, with_ignore
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import class_presets
from napari_smse.widgets.annotate import dock as annotate_dock
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_shapes import CLASS
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

USUAL = with_ignore(annotation_colours(["benign", "malignant"]))


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return tmp_path / "unsaved"


@pytest.fixture(autouse=True)
def told(monkeypatch):
    texts = []
    monkeypatch.setattr(annotate_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def docks(viewer, slide_path, settle):
    """Opens docks in a viewer that shows the slide, and has drawn it."""
    viewer.open(slide_path, plugin="napari-smse")
    made = []

    def opening():
        made.append(AnnotateDock(viewer))
        viewer.window.add_dock_widget(made[-1])
        settle()
        return made[-1]

    yield opening
    for dock in made:
        dock.close()


def crash(dock):
    """Nobody says goodbye, and the next viewer knows nothing."""
    layer = dock.drawing.layer
    dock.files._dirty = False
    dock.release()
    dock.viewer.layers.remove(layer)
    class_presets._last.clear()


def draw(dock, x, y, width=100, height=100, *, keep_selected=False):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    dock.drawing.layer.selected_data = set()
    outline = np.array([(b - 0.5, a - 0.5) for a, b in corners])
    dock.drawing.layer.add(outline, shape_type="rectangle")
    # As napari leaves it when a shape was drawn by hand.
    dock.drawing.layer.selected_data = (
        {len(dock.drawing.layer.data) - 1} if keep_selected else set()
    )


def make_own_classes(dock):
    dock.table.item(0, 1).setText("stroma")
    dock.table.item(1, 1).setText("tumour")
    dock.add.click()
    dock.table.item(2, 1).setText("necrosis")
    dock.table.set_colour(2, (1, 2, 3))


def test_classes_without_a_region_survive_a_crash(docks, folder, until):
    dock = docks()
    make_own_classes(dock)
    own = dock.table.colours
    until(lambda: any(folder.glob("*.json")))
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    again = docks()
    assert again.table.colours == own
    assert list(own) == ["stroma", "tumour", "necrosis", "Ignore*"]
    # Nothing was drawn, so there is nothing to ask.
    assert again.recovery.isHidden()
    assert again.table.current == "stroma"


def test_with_regions_they_come_back_when_these_do(docks, until):
    dock = docks()
    make_own_classes(dock)
    dock.table.choose(1)
    draw(dock, 0, 0)
    own = dock.table.colours
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    again = docks()
    assert again.table.colours == USUAL
    again.recovery.take.click()
    assert again.table.colours == own
    assert [one.class_name for one in again._drawn().annotations] == ["tumour"]
    assert again.table.item(1, 2).text() == "1"


def test_what_was_drawn_before_the_answer_keeps_its_class(docks, until):
    dock = docks()
    make_own_classes(dock)
    draw(dock, 0, 0)
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    again = docks()
    draw(again, 200, 200, keep_selected=True)
    again.recovery.take.click()
    assert list(again.table.colours) == [
        "stroma",
        "tumour",
        "necrosis",
        "benign",
        "Ignore*",
    ]
    assert sorted(one.class_name for one in again._drawn().annotations) == ["benign", "necrosis"]


def test_discarding_regions_discards_their_classes_too(docks, until):
    dock = docks()
    make_own_classes(dock)
    draw(dock, 0, 0)
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    again = docks()
    again.recovery.drop.click()
    crash(again)
    assert docks().table.colours == USUAL


def test_a_second_crash_before_the_answer_loses_no_class(docks, until):
    dock = docks()
    make_own_classes(dock)
    draw(dock, 0, 0)
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    again = docks()
    again.add.click()
    again.table.item(2, 1).setText("fat")
    until(lambda: not again.files._soon.isActive())
    crash(again)
    last = docks()
    last.recovery.take.click()
    assert {"stroma", "tumour", "necrosis", "fat"} <= set(last.table.colours)


def test_removing_a_class_survives_too(docks, until):
    dock = docks()
    make_own_classes(dock)
    dock.table.choose(2)
    dock.remove.click()
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    assert list(docks().table.colours) == ["stroma", "tumour", "Ignore*"]


def test_after_saving_for_qupath_the_empty_classes_are_still_known(docks, folder, tmp_path):
    dock = docks()
    make_own_classes(dock)
    draw(dock, 0, 0)
    own = dock.table.colours
    dock.save_to(tmp_path / "out.geojson")
    assert not list(folder.glob("*.geojson"))
    crash(dock)
    again = docks()
    assert again.recovery.isHidden()
    assert again.table.colours == own


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3}', '{"a": [1, 2]}', '{"a": [1, 2, 999]}'])
def test_a_damaged_list_keeps_nobody_from_annotating(docks, folder, until, text):
    dock = docks()
    make_own_classes(dock)
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    (path,) = folder.glob("*.classes.json")
    path.write_text(text)
    again = docks()
    assert again.table.colours == USUAL
    draw(again, 0, 0)
    again.files.save_now()
    assert json.loads(path.read_text()) == {name: list(c) for name, c in USUAL.items()}


def test_a_new_slide_is_offered_the_classes_used_last(docks, viewer, tmp_path, settle):
    dock = docks()
    make_own_classes(dock)
    own = dock.table.colours
    write_pyramid_tiff(tmp_path / "other.tif", np.full((600, 700, 3), (205, 150, 190), np.uint8))
    viewer.open(tmp_path / "other.tif", plugin="napari-smse")
    dock.slides.setCurrentIndex(dock.slides.findText("other"))
    assert dock.table.colours == own
    # Also in a dock that is opened anew, whatever slides were closed meanwhile.
    dock.close()
    settle()
    viewer.layers.clear()
    settle()
    viewer.open(tmp_path / "other.tif", plugin="napari-smse")
    assert docks().table.colours == own


def test_a_slides_own_classes_join_those_in_use(docks, viewer, tmp_path, until, settle):
    dock = docks()
    make_own_classes(dock)
    until(lambda: not dock.files._soon.isActive())
    crash(dock)
    viewer.layers.clear()
    settle()
    write_pyramid_tiff(tmp_path / "other.tif", np.full((600, 700, 3), (205, 150, 190), np.uint8))
    viewer.open(tmp_path / "other.tif", plugin="napari-smse")
    again = docks()
    again.table.item(0, 1).setText("fat")
    viewer.open(tmp_path / "slide.tif", plugin="napari-smse")
    again.slides.setCurrentIndex(again.slides.findText("slide"))
    own = ["stroma", "tumour", "necrosis"]
    assert list(again.table.colours) == ["fat", "malignant", *own, "Ignore*"]
    assert again.table.colours["necrosis"] == (1, 2, 3)
    # What is removed now does not come back with the next look at the slide.
    again.table.choose(4)
    again.remove.click()
    again.slides.setCurrentIndex(again.slides.findText("other"))
    again.slides.setCurrentIndex(again.slides.findText("slide"))
    assert "necrosis" not in again.table.colours


def test_lists_are_forgotten_with_their_viewer():
    class Viewer:
        pass

    viewer = Viewer()
    class_presets._last.clear()

    shown = []
    table = SimpleNamespace(colours={"a": (1, 2, 3)})
    table.show_classes = shown.append
    class_presets.ClassPresets(table, viewer).remember()
    class_presets.ClassPresets(table, viewer)
    assert shown == [USUAL, table.colours]
    del viewer
    gc.collect()
    assert class_presets._last == {}


def test_selected_shapes_keep_their_class_when_classes_come_and_go(docks, viewer):
    """napari leaves a shape selected that was just drawn, and a click chooses its class."""
    dock = docks()
    draw(dock, 0, 0, keep_selected=True)
    dock.add.click()
    assert list(dock.drawing.layer.features[CLASS]) == ["benign"]
    dock.drawing.layer.selected_data = {0}
    dock.table.set_colour(2, (9, 9, 9))
    dock.remove.click()
    assert list(dock.table.colours) == ["benign", "malignant", "Ignore*"]
    assert list(dock.drawing.layer.features[CLASS]) == ["benign"]
    dock.table.choose(1)
    draw(dock, 200, 200, keep_selected=True)
    dock.close()
    assert docks().drawing.layer.features[CLASS].tolist() == ["benign", "malignant"]


def test_what_is_drawn_after_renaming_is_of_the_class_that_was_renamed(docks):
    dock = docks()
    dock.table.choose(1)
    dock.table.item(1, 1).setText("tumour")
    draw(dock, 0, 0)
    assert dock.table.current == "tumour"
    assert list(dock.drawing.layer.features[CLASS]) == ["tumour"]
    colour = np.array(dock.table.colours["tumour"]) / 255
    np.testing.assert_allclose(dock.drawing.layer.edge_color[0, :3], colour, atol=1e-6)
