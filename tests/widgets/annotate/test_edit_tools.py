"""Brush, eraser and subtract, with the mouse on a real canvas."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from shapely import LineString, box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import dock as annotate_dock
from napari_smse.widgets.annotate import edit_tools
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_shapes import shapes_in
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind
from support.canvas import drag

pytestmark = pytest.mark.gui

UM = 100
RADIUS = UM / 2 / 0.25
PATH = [(300, 300), (400, 300), (500, 350), (600, 400)]
BOX = box(200, 200, 800, 600)
MORE = [(600, 400), (600, 600), (700, 700)]
STROKE = LineString(PATH).buffer(RADIUS)


@pytest.fixture(autouse=True)
def told(monkeypatch, tmp_path):
    """What the user was told."""
    texts = []
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(edit_tools, "show_info", texts.append)
    for name in ("show_info", "show_error"):
        monkeypatch.setattr(annotate_dock, name, texts.append)
    return texts


@pytest.fixture
def dock(viewer, slide_path, settle):
    viewer.open(slide_path, plugin="napari-smse")
    made = AnnotateDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Annotate")
    # Wide enough for the slide to be seen beside the dock.
    viewer.window.resize(1500, 950)
    settle()
    viewer.reset_view()
    settle()
    yield made
    made.close()


def stroke(dock, path=PATH, **how):
    drag(dock.viewer, dock.slides.layer, path, **how)


def differ(found, expected):
    """Which share of an area is wrong."""
    return found.symmetric_difference(expected).area / expected.area


def region(dock, name="benign"):
    return dock.drawing.annotations().regions()[name]


def press(dock, qtbot, key, modifiers=Qt.KeyboardModifier.NoModifier):
    canvas = dock.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    qtbot.keyClick(canvas, key, modifiers)


def test_a_stroke_becomes_a_region_of_the_chosen_class_in_one_step(dock):
    camera = dock.viewer.scene.camera
    before = camera.center, camera.zoom
    dock.table.choose(1)
    dock.editing.brush.click()
    stroke(dock)
    assert (camera.center, camera.zoom) == before
    (one,) = dock.drawing.annotations().annotations
    assert one.class_name == "malignant"
    assert differ(one.geometry, STROKE) < 0.03
    stroke(dock, MORE)
    (one,) = dock.drawing.annotations().annotations
    assert differ(one.geometry, STROKE.union(LineString(MORE).buffer(RADIUS))) < 0.03
    dock.undo.click()
    assert region(dock, "malignant").area == pytest.approx(STROKE.area, rel=0.03)
    dock.undo.click()
    assert not dock.drawing.annotations().annotations


def test_a_stroke_ends_where_the_button_is_released(dock):
    path = [(300, 300), (320, 300), (600, 300)]
    dock.table.choose(1)
    dock.editing.brush.click()
    stroke(dock, path, hastily=True)
    assert differ(region(dock, "malignant"), LineString(path).buffer(RADIUS)) < 0.03


def test_the_stroke_is_seen_while_it_is_drawn_and_gone_afterwards(dock, monkeypatch):
    seen = []
    dock.editing.brush.click()
    (preview,) = layers_of_kind(dock.viewer, LayerKind.STROKE)
    preview.events.data.connect(lambda _event: seen.append(len(preview.data)))
    stroke(dock)
    assert max(seen) == 1
    assert len(preview.data) == 0
    dock.editing.brush.click()
    assert not layers_of_kind(dock.viewer, LayerKind.STROKE)


def test_alt_and_the_eraser_take_away(dock, told):
    drawn = (Annotation("benign", BOX),)
    dock.drawing.show(AnnotationSet(drawn, dock.table.colours))
    dock.editing.brush.click()
    stroke(dock, modifiers=("Alt",))
    assert differ(region(dock), BOX.difference(STROKE)) < 0.06
    dock.undo.click()
    dock.editing.eraser.click()
    assert not dock.editing.brush.isChecked()
    dock.table.choose(1)
    stroke(dock)
    assert told == [edit_tools._NOTHING_MET.format(name="malignant")]
    assert region(dock).area == 600 * 400
    dock.editing.every_class.click()
    stroke(dock)
    assert differ(region(dock), BOX.difference(STROKE)) < 0.06


def test_the_next_shape_is_subtracted_and_the_button_unticks(dock, until, told):
    drawn = (Annotation("benign", BOX),)
    dock.drawing.show(AnnotationSet(drawn, dock.table.colours))
    path = [(300, 300), (400, 400), (500, 500)]
    dock.table.choose(1)
    dock.modes["Rectangle"].click()
    stroke(dock, path)
    rectangle = region(dock, "malignant")
    dock.undo.click()
    dock.table.choose(0)
    dock.drawing.layer.mode = "pan_zoom"
    dock.editing.subtract.click()
    assert dock.drawing.layer.mode == "add_polygon_lasso"
    dock.modes["Rectangle"].click()
    stroke(dock, path)
    until(lambda: not dock.editing.subtract.isChecked())
    assert rectangle.area > 1000
    assert differ(region(dock), BOX.difference(rectangle)) < 1e-6
    stroke(dock, [(900, 650), (950, 680), (990, 700)])
    assert len(dock.drawing.annotations().annotations) == 2
    assert not told


def test_width_and_cursor_follow_the_box(dock):
    dock.editing.brush.click()
    layer = dock.drawing.layer
    assert (layer.cursor, layer.cursor_size) == ("circle", UM)
    dock.editing.width_um.setValue(40)
    assert layer.cursor_size == 40
    stroke(dock, [(400, 400)])
    assert region(dock).area == pytest.approx(np.pi * (20 / 0.25) ** 2, rel=0.03)


def test_space_moves_the_view_and_the_button_ends_painting(dock, qtbot):
    canvas = dock.viewer.window._qt_viewer.canvas.native
    camera = dock.viewer.scene.camera
    dock.editing.brush.click()
    assert not camera.mouse_pan
    canvas.setFocus()
    qtbot.keyPress(canvas, Qt.Key.Key_Space)
    assert camera.mouse_pan
    stroke(dock)
    qtbot.keyRelease(canvas, Qt.Key.Key_Space)
    assert not camera.mouse_pan
    assert not dock.drawing.annotations().annotations
    stroke(dock)
    assert len(dock.drawing.annotations().annotations) == 1
    dock.editing.brush.click()
    assert dock.drawing.layer.mouse_pan
    assert dock.drawing.layer.cursor == "standard"
    stroke(dock)
    assert len(dock.drawing.annotations().annotations) == 1


def test_a_drawing_mode_ends_painting(dock):
    dock.editing.brush.click()
    dock.modes["Rectangle"].click()
    assert not dock.editing.brush.isChecked()
    assert dock.drawing.layer.mode == "add_rectangle"
    assert not dock.drawing.layer.mouse_pan
    dock.editing.eraser.click()
    assert dock.drawing.layer.mode == "pan_zoom"
    dock.drawing.layer.mode = "select"
    assert not dock.editing.eraser.isChecked()


def test_keys_undo_and_redo_and_are_given_back(dock, qtbot):
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    slide, layer = dock.slides.layer, dock.drawing.layer
    dock.editing.width_um.setValue(20)
    dock.editing.brush.click()
    stroke(dock)
    stroke(dock, [(900, 200), (900, 300)])
    drawn = shapes_in(dock.drawing.layer)
    for active in (layer, slide):
        dock.viewer.layers.selection.active = active
        press(dock, qtbot, Qt.Key.Key_Z, control)
        assert len(dock.drawing.annotations().annotations) == 1
        press(dock, qtbot, Qt.Key.Key_Z, control | shift)
        assert len(dock.drawing.annotations().annotations) == 2
        press(dock, qtbot, Qt.Key.Key_Z, control)
        press(dock, qtbot, Qt.Key.Key_Y, control)
        assert len(dock.drawing.annotations().annotations) == 2
    now = shapes_in(dock.drawing.layer)
    assert all(map(np.array_equal, now.outlines, drawn.outlines))
    dock.close()
    assert not any("Z" in str(key) for owner in (slide, layer) for key in owner.keymap)
    assert not layer.keymap


def test_without_a_slide_the_tools_say_what_to_do(viewer, told):
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock, name="SMSE: Annotate")
    for button in (dock.editing.brush, dock.editing.eraser, dock.editing.subtract):
        button.click()
        assert not button.isChecked()
    assert len(told) == 3
    assert all("File > Open" in text for text in told)
    dock.close()


def test_closing_while_painting_leaves_nothing_behind(dock):
    dock.editing.brush.click()
    layer = dock.drawing.layer
    callbacks = len(layer.mouse_drag_callbacks)
    dock.close()
    assert len(layer.mouse_drag_callbacks) == callbacks - 1
    assert layer.mouse_pan
    assert not layers_of_kind(dock.viewer, LayerKind.STROKE)
