"""Finding more like this on a slide whose tiles are pink, but for a red square."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely
from napari.layers import Points, Shapes
from qtpy.QtCore import Qt

from napari_smse.annotations import read_annotations
from napari_smse.progress import run_task
from napari_smse.similarity.tile_outlines import middles
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.annotation_shapes import CLASS
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.layers.regions import visible_region
from napari_smse.widgets.layers.tile_marker import marked
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.similar import hits_controller
from napari_smse.widgets.similar.dock import SimilarDock
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    layers_of_kind,
    set_scale,
    slide_of,
)
from napari_smse.workflows import score_slide
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.scored_slide import PICTURE_PX
from napari_smse.workflows.settings.score import ScoreSettings
from support.docks import put_in_force, run_in_force
from support.models import redness_model
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

RED_SQUARE = shapely.box(512, 256, 640, 384)
MPP = 0.25


@pytest.fixture
def slide_layer(viewer, redness, slide_path, monkeypatch, tmp_path):
    """The slide, open and not scored."""
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return viewer.open(slide_path, plugin="napari-smse")[0]


@pytest.fixture
def score(viewer, slide_layer, until):
    """The score dock beside it."""
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


@pytest.fixture
def dock(viewer, slide_layer):
    """The dock, and the slide scored at 40x and 20x as the score dock does it, but for its maps."""
    score_now(slide_layer)
    made = SimilarDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Find similar")
    yield made
    made.close()


def score_now(layer):
    job = ScoreJob(slide_of(layer), "bundled", ScoreSettings((0.25, 0.5)))
    put_in_force(layer, run_task(job.run()))


def run(score, until, *mpps):
    scales = score.form.scales
    for row in range(scales.count()):
        ticked = scales.item(row).data(Qt.ItemDataRole.UserRole) in (mpps or (0.25, 0.5))
        scales.item(row).setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    score.panel.run.click()
    until(lambda: not score.scoring.is_running)
    until(lambda: not score.live._adding.isActive())


def draw(dock, area, side=Side.LIKE):
    """Draw an area as the user does, in the layer that Draw opens."""
    dock.panel.buttons[side].draw.click()
    layer = dock.examples.layers[side].layer
    assert layer.mode == "add_polygon_lasso"
    corners = np.asarray(area.exterior.coords)[:-1, ::-1] - 0.5
    layer.add(corners, shape_type="polygon")


def find(dock, until, area=RED_SQUARE, side=Side.LIKE):
    draw(dock, area, side)
    settled(dock, until)


def settled(dock, until):
    until(lambda: not dock._soon.isActive() and not dock.searching.is_running)


def map_layer(viewer):
    found = layers_of_kind(viewer, LayerKind.SIMILARITY)
    assert len(found) <= 1
    return found[0] if found else None


def value_at(layer, x, y):
    """What a map shows at a level-0 point, and how opaque."""
    row, column = np.round(layer.world_to_data((np.array([y, x]) - 0.5) * MPP)).astype(int)
    value = layer.data[row, column]
    return value, layer.colormap.map(np.array([value]))[0, 3]


def click(dock, x, y):
    """Click where a level-0 point lies on the canvas."""
    viewer = dock.viewer
    camera, size = viewer.scene.camera, np.array(viewer.canvas.size)
    off = ((np.array([y, x]) - 0.5) * MPP - camera.center[-2:]) * camera.zoom
    row, column = size / 2 + off
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    for kind in ("mouse_press", "mouse_release"):
        getattr(canvas.events, kind)(
            pos=(column, row), button=1, buttons=[1], modifiers=(), last_event=None
        )


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Find similar")
    assert isinstance(dock, SimilarDock)
    assert "File > Open" in dock.panel.query.text()
    assert not dock.panel.buttons[Side.LIKE].isEnabled()
    assert not dock.panel.actions.isEnabled()
    dock.close()


def test_a_slide_that_is_not_scored_says_so_and_is_searched_once_it_is(viewer, score, until):
    dock = SimilarDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert "Score this slide first" in dock.panel.query.text()
    find(dock, until)
    assert "Score this slide first" in dock.panel.query.text()
    run(score, until, 0.25)
    until(lambda: dock.searched is not None)
    until(lambda: dock.panel.query.text() == "4 tiles like this.")
    settled(dock, until)
    # Two maps on each other cannot be read.
    assert not any(one.visible for one in viewer.layers if is_of_kind(one, LayerKind.HEAT_MAP))
    dock.panel.buttons[Side.LIKE].clear.click()
    settled(dock, until)
    assert sum(one.visible for one in viewer.layers if is_of_kind(one, LayerKind.HEAT_MAP)) == 1
    dock.close()


def test_drawing_finds_what_is_alike_and_lays_a_map_over_the_slide(dock, viewer, until):
    assert "Draw around what you are looking for" in dock.panel.query.text()
    find(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."
    layer = map_layer(viewer)
    assert tuple(layer.contrast_limits) == (0, 1)
    dock.panel.radius.setValue(0.01)
    # Four tiles of 64 px, each 16 um wide.
    assert "4 tiles found, 0.00102 mm²</b>, compared by redness" in dock.panel.hits.text()
    red, red_alpha = value_at(layer, 513, 383)
    pink, pink_alpha = value_at(layer, 510, 383)
    glass, _ = value_at(layer, 1200, 300)
    assert red == 1
    assert pink < 0.6
    assert np.isnan(glass)
    assert red_alpha > 0.5
    assert pink_alpha < 0.3
    # What the slider reaches at its end is all tissue.
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    tiles = dock.searched.found.tiles
    assert f"{len(tiles):,} tiles found" in dock.panel.hits.text()
    assert value_at(layer, 510, 383)[1] > 0.5


def test_the_examples_are_outlines_that_can_be_removed(dock, viewer, until):
    find(dock, until)
    until(lambda: dock.examples.layers[Side.LIKE].layer.mode == "pan_zoom")
    find(dock, until, shapely.box(0, 0, 128, 128))
    assert dock.panel.query.text() == "8 tiles like this."
    layer = dock.examples.layers[Side.LIKE].layer
    layer.selected_data = {0}
    layer.remove_selected()
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."
    dock.panel.buttons[Side.LIKE].clear.click()
    settled(dock, until)
    assert "Draw around" in dock.panel.query.text()
    assert map_layer(viewer) is None
    assert not dock.panel.actions.isEnabled()
    find(dock, until)
    viewer.layers.remove(dock.examples.layers[Side.LIKE].layer)
    settled(dock, until)
    assert map_layer(viewer) is None


def test_what_is_not_like_this_is_left_out(dock, until):
    find(dock, until)
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    find(dock, until, shapely.box(0, 512, 64, 576), Side.UNLIKE)
    assert dock.panel.query.text() == "4 tiles like this, 1 not like this."
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    # All pink tiles are nearer to the pink one than to the red ones.
    assert "4 tiles found" in dock.panel.hits.text()
    dock.panel.buttons[Side.UNLIKE].clear.click()
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."


def test_a_click_is_a_query_and_one_on_glass_says_so(dock, until):
    like, unlike = (dock.panel.buttons[side].pick for side in Side)
    unlike.click()
    like.click()
    assert not unlike.isChecked()
    click(dock, 530, 270)
    settled(dock, until)
    assert dock.panel.query.text() == "1 tile like this."
    click(dock, 1250, 500)
    assert "no scored tile where you clicked" in dock.panel.problem.text()
    assert dock.panel.query.text() == "1 tile like this."
    unlike.click()
    click(dock, 100, 700)
    settled(dock, until)
    assert dock.panel.query.text() == "1 tile like this, 1 not like this."
    assert dock.panel.problem.isHidden()
    unlike.click()
    click(dock, 300, 700)
    settled(dock, until)
    assert dock.panel.query.text() == "1 tile like this, 1 not like this."


def test_a_click_at_a_coarser_scale_outlines_the_tile_that_is_searched_for(dock, until):
    dock.panel.scales.setCurrentIndex(1)
    dock.panel.buttons[Side.LIKE].pick.click()
    click(dock, 530, 270)
    settled(dock, until)
    assert dock.panel.query.text() == "1 tile like this."
    (area,) = dock.examples.areas(Side.LIKE)
    # A tenth of the tile is left free on each side.
    assert area.bounds == pytest.approx((524.8, 268.8, 627.2, 371.2))
    dock.panel.radius.setValue(0.01)
    assert "1 tile found, 0.00102 mm²" in dock.panel.hits.text()
    # The same place is looked for at the other scale.
    dock.panel.scales.setCurrentIndex(0)
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."


def test_what_is_in_view_and_shapes_of_another_layer_are_examples(dock, viewer, until):
    dock.panel.buttons[Side.LIKE].shapes.click()
    assert "No shapes are chosen" in dock.panel.problem.text()
    corners = np.asarray(RED_SQUARE.exterior.coords)[:-1, ::-1] - 0.5
    other = viewer.add_shapes([corners * MPP, corners * MPP + 100], shape_type="polygon")
    other.selected_data = {0}
    dock.panel.buttons[Side.LIKE].shapes.click()
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."
    assert len(other.data) == 2
    dock.panel.buttons[Side.LIKE].clear.click()
    dock.panel.buttons[Side.LIKE].view.click()
    settled(dock, until)
    points = middles(dock.searched.found.tiles)
    seen = shapely.contains_xy(visible_region(viewer, dock._layer), points)
    assert seen.any()
    assert dock.panel.query.text() == f"{seen.sum()} tiles like this."


def test_a_query_on_glass_says_so_and_loses_nothing(dock, viewer, until):
    find(dock, until, shapely.box(1100, 100, 1250, 300))
    assert "no scored tissue" in dock.panel.problem.text()
    assert map_layer(viewer) is None
    find(dock, until)
    assert dock.panel.problem.isHidden()
    assert dock.panel.query.text() == (
        "4 tiles like this. 1 area holds no scored tissue and counts for nothing."
    )


def test_pictures_are_flown_to_and_refine_the_query(dock, viewer, until):
    find(dock, until)
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    strip = dock.panel.strip
    assert "60 nearest of" in strip.title.text()
    assert not strip.more.isEnabled()
    until(lambda: not strip.list.item(0).icon().isNull())
    assert strip.list.visualItemRect(strip.list.item(0)).height() > PICTURE_PX
    strip.list.setCurrentRow(3)
    tile = strip.chosen.region
    np.testing.assert_allclose(marked(viewer)[0], (np.array([tile.y, tile.x]) - 0.5) * MPP)
    strip.more.click()
    settled(dock, until)
    assert dock.panel.query.text() == "5 tiles like this."
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    before = dock.searched.found.hits(2.0).sum()
    strip.list.setCurrentRow(strip.shown - 1)
    tile = strip.chosen.region
    strip.less.click()
    settled(dock, until)
    assert dock.panel.query.text() == "5 tiles like this, 1 not like this."
    hits = dock.searched.found.hits(2.0)
    assert hits.sum() < before
    found = dock.searched.found.tiles
    (row,) = np.flatnonzero((found.x == tile.x) & (found.y == tile.y))
    assert not hits[row]


def test_the_strip_ends_where_the_radius_does(dock, until):
    find(dock, until)
    dock.panel.radius.setValue(0.01)
    assert dock.panel.strip.shown == 0
    assert "make the radius larger" in dock.panel.strip.title.text()
    dock.panel.radius.setValue(dock.panel.radius.maximum())
    assert dock.panel.strip.shown == 60


def test_a_radius_that_was_chosen_outlasts_a_refinement(dock, until):
    find(dock, until)
    assert "tiles found" in dock.panel.hits.text()
    dock.panel.radius.setValue(0.05)
    find(dock, until, shapely.box(512, 256, 576, 320))
    assert dock.panel.radius.value() == 0.05


@pytest.fixture
def annotate(dock, viewer, until):
    made = AnnotateDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Annotate")
    yield made
    made.close()


def test_hits_become_regions_of_a_class(dock, viewer, until):
    find(dock, until)
    dock.panel.radius.setValue(0.01)
    classes = dock.panel.actions.classes
    assert [classes.itemText(row) for row in range(classes.count())] == [
        "benign",
        "malignant",
        "Ignore*",
    ]
    active = viewer.layers.selection.active
    dock.panel.actions.regions.click()
    until(lambda: not dock.panel.outcome.isHidden())
    assert dock.panel.outcome.text().startswith("1 region of class malignant added")
    (one,) = drawn_on(viewer, dock._layer, dock.slide).annotations
    assert one.class_name == "malignant"
    assert one.geometry.equals_exact(RED_SQUARE, 1e-6) or one.geometry.equals(RED_SQUARE)
    assert viewer.layers.selection.active is active
    # Kept twice, as another class, they are beside the first.
    classes.setCurrentText("  odd  ")
    dock.panel.actions.regions.click()
    until(lambda: "class odd" in dock.panel.outcome.text())
    drawn = drawn_on(viewer, dock._layer, dock.slide)
    assert [one.class_name for one in drawn.annotations] == ["malignant", "odd"]
    assert "odd" in drawn.colours


def test_the_annotate_dock_takes_them_in_counts_them_and_takes_them_back(
    dock, annotate, viewer, until, tmp_path
):
    annotate.drawing.layer.add(np.array([[0, 0], [0, 99], [99, 99]]), shape_type="polygon")
    annotate.drawing.layer.selected_data = {0}
    find(dock, until)
    dock.panel.radius.setValue(0.01)
    dock.panel.actions.classes.setCurrentText("tumour")
    dock.panel.actions.regions.click()
    until(lambda: not dock.panel.outcome.isHidden())
    assert list(annotate.drawing.layer.features[CLASS]) == ["benign", "tumour"]
    assert list(annotate.table.colours) == ["benign", "malignant", "tumour", "Ignore*"]
    until(lambda: annotate.table.item(2, 2).text() == "1")
    annotate.save_to(tmp_path / "found.geojson")
    saved = read_annotations(tmp_path / "found.geojson").annotations
    assert [one.class_name for one in saved] == ["benign", "tumour"]
    assert saved[1].geometry.symmetric_difference(RED_SQUARE).area < 1
    annotate.undo.click()
    assert list(annotate.drawing.layer.features[CLASS]) == ["benign"]
    assert sum(is_of_kind(one, LayerKind.ANNOTATIONS) for one in viewer.layers) == 1


def test_a_region_needs_a_class_and_not_too_many_come_at_once(dock, until, monkeypatch):
    find(dock, until)
    dock.panel.actions.classes.setCurrentText(" ")
    dock.panel.actions.regions.click()
    assert "Choose a class" in dock.panel.problem.text()
    monkeypatch.setattr(hits_controller, "MOST_REGIONS", 0)
    dock.panel.actions.classes.setCurrentText("benign")
    dock.panel.actions.regions.click()
    until(lambda: "separate regions" in dock.panel.problem.text())


def test_hits_become_points(dock, viewer, until):
    find(dock, until)
    dock.panel.radius.setValue(0.01)
    for _ in range(2):
        dock.panel.actions.points.click()
        (points,) = layers_of_kind(viewer, LayerKind.HITS)
        assert isinstance(points, Points)
    want = [(y, x) for y in (288, 352) for x in (544, 608)]
    np.testing.assert_allclose(sorted(map(tuple, points.data)), (np.array(want) - 0.5) * MPP)
    assert (points.features["distance"] == 0).all()
    assert "4 tiles are points" in dock.panel.outcome.text()


def test_a_slide_scored_again_by_another_model_is_searched_anew(
    dock, slide_layer, until, monkeypatch
):
    find(dock, until)
    dock.panel.radius.setValue(0.05)
    other = redness_model()
    other.card = other.card.model_copy(update={"name": "redder", "weights_sha256": "f" * 64})
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _name: other)
    score_now(slide_layer)
    dock.refresh()
    settled(dock, until)
    assert dock.panel.query.text() == (
        "4 tiles like this. The slide was scored again by another model, redder; "
        "this is searched now."
    )
    assert dock.searched.run is run_in_force(dock._layer)
    assert dock.searched.run.card.name == "redder"
    assert "compared by redder" in dock.panel.hits.text()


def test_a_late_answer_of_an_older_run_is_dropped(dock, viewer, until):
    find(dock, until)
    answer = dock.searched
    put_in_force(dock._layer, dataclasses.replace(answer.run))
    dock.refresh()
    settled(dock, until)
    newer = dock.searched
    assert newer is not answer
    dock._show_result(answer)
    assert dock.searched is newer


def test_while_a_run_goes_on_what_is_scored_is_searched_and_then_the_rest(dock, until, monkeypatch):
    from napari_smse.scoring import ScoreStore

    whole = ScoreStore.tile_table
    so_far = [0.5]

    def part(store):
        tiles = whole(store)
        kept = [one.take(np.arange(round(len(one) * so_far[0]))) for one in tiles.scales]
        rows = np.concatenate(
            [
                np.arange(len(tiles))[tiles.rows_of(number)][: len(one)]
                for number, one in enumerate(kept)
            ]
        )
        return dataclasses.replace(
            tiles,
            scales=tuple(kept),
            embeddings=tiles.embeddings[rows],
            probability=tiles.probability[rows],
        )

    monkeypatch.setattr(ScoreStore, "tile_table", part)
    find(dock, until)
    assert "Only 50% of the slide's tiles are scored" in dock.panel.query.text()
    part_of_it = len(dock.searched.tiles)
    # Nothing is read again before more blocks are there.
    grew = session_of(dock.viewer).run_grew
    grew.emit(dock._layer)
    settled(dock, until)
    assert len(dock.searched.tiles) == part_of_it
    so_far[0] = 1.0
    dock.searched = dataclasses.replace(dock.searched, blocks=0)
    grew.emit(dock._layer)
    until(lambda: dock.searched is not None and len(dock.searched.tiles) > part_of_it)
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."


def test_another_slide_has_its_own_query_and_the_first_keeps_its_own(dock, viewer, until, tmp_path):
    find(dock, until)
    rgb = np.full((400, 400, 3), (205, 150, 190), np.uint8)
    write_pyramid_tiff(tmp_path / "second.tif", rgb, mpp=0.25)
    viewer.open(tmp_path / "second.tif", plugin="napari-smse")
    dock.panel.slides.setCurrentIndex(dock.panel.slides.findText("second"))
    assert "Score this slide first" in dock.panel.query.text()
    assert map_layer(viewer) is None
    # A tile of the first slide is no example for the second.
    dock.panel.buttons[Side.LIKE].pick.click()
    click(dock, 530, 500)
    assert "no scored tile where you clicked" in dock.panel.problem.text()
    dock.panel.slides.setCurrentIndex(dock.panel.slides.findText("slide"))
    settled(dock, until)
    assert dock.panel.query.text() == "4 tiles like this."
    assert map_layer(viewer) is not None


def test_a_removed_slide_leaves_an_empty_dock(dock, viewer, until):
    find(dock, until)
    viewer.layers.remove("slide")
    assert "File > Open" in dock.panel.query.text()
    assert dock.searched is None
    assert not dock.panel.buttons[Side.LIKE].isEnabled()


def test_closed_while_it_works_it_lets_go_and_opened_again_it_goes_on(dock, viewer, until, qtbot):
    draw(dock, RED_SQUARE)
    dock.panel.buttons[Side.UNLIKE].pick.click()
    watch = dock.examples.picker._watch
    assert watch in viewer.mouse_drag_callbacks
    dock._search()
    assert dock.searching.is_running
    dock.close()
    qtbot.wait(200)
    assert dock.searched is None
    assert watch not in viewer.mouse_drag_callbacks
    viewer.add_shapes(name="after it was closed")
    again = SimilarDock(viewer)
    viewer.window.add_dock_widget(again)
    settled(again, until)
    assert again.panel.query.text() == "4 tiles like this."
    assert sum(is_of_kind(one, LayerKind.EXAMPLES) for one in viewer.layers) == 1
    again.close()


def test_another_mpp_moves_the_examples_and_asks_for_another_run(dock, slide_layer, until):
    find(dock, until)
    # What the score dock does when somebody types it.
    set_scale(slide_layer, dock.slide.with_mpp(0.5))
    put_in_force(slide_layer, None)
    dock.refresh()
    assert "Score this slide first" in dock.panel.query.text()
    (area,) = dock.examples.areas(Side.LIKE)
    assert area.equals_exact(RED_SQUARE, 1e-6, normalize=True)
    layer = dock.examples.layers[Side.LIKE].layer
    assert isinstance(layer, Shapes)
    assert tuple(layer.scale) == (0.5, 0.5)


def test_a_folder_is_asked_for_what_is_looked_for_here(dock, until, tmp_path):
    folder = dock.folder
    folder.set_folder(tmp_path / "index")
    folder.run()
    assert "Draw around what you are looking for" in folder.problem.text()
    folder.add_slide()
    until(lambda: "is in the index now" in folder.state.text())
    find(dock, until)
    folder.run()
    until(lambda: not folder.searching.is_running and folder.answer is not None)
    # All other red tiles are on the same slide, those drawn around being left out.
    [found] = folder.answer.slides
    assert found.slide.quick_hash == dock.slide.quick_hash
    middle = [(hit.region.x + 32, hit.region.y + 32) for hit in found.hits]
    assert middle
    assert not any(RED_SQUARE.contains(shapely.Point(one)) for one in middle)
    distances = [hit.distance for hit in found.hits]
    assert distances == sorted(distances)
