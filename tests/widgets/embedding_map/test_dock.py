import sys
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from napari.layers import Shapes
from qtpy.QtCore import Qt

from napari_smse.progress import Progress, run_task
from napari_smse.scoring.calls import OUT_OF_DISTRIBUTION
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.slides import Region
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.embedding_map import dock as space_dock
from napari_smse.widgets.embedding_map import form, selection_controller, selection_panel
from napari_smse.widgets.embedding_map.colouring import ColourBy
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.embedding_map.scatter_plot import BACKGROUND
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.tile_marker import MARKER_NAME
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    level0_to_world,
    slide_of,
)
from napari_smse.workflows import embedding_map, out_of_distribution, score_slide
from napari_smse.workflows.out_of_distribution import OodScores
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from support.docks import put_in_force
from support.models import redness_model
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

RED_SQUARE = Region(512, 256, 128, 128)


def score(layer, mpps=(0.5,), **options):
    """Score a slide as the Score dock does, and leave the run on its layer."""
    job = ScoreJob(slide_of(layer), "bundled", ScoreSettings(mpps, device="cpu"), **options)
    return put_in_force(layer, run_task(job.run()))


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(embedding_map, "bank_of", lambda _model: None)


@pytest.fixture
def told(monkeypatch):
    texts = []
    monkeypatch.setattr(space_dock, "show_error", texts.append)
    for name in ("show_error", "show_info"):
        monkeypatch.setattr(selection_controller, name, texts.append)
    return texts


class Page:
    """A viewer with slides and the dock."""

    def __init__(self, viewer, until):
        self.viewer, self.until = viewer, until

    def open(self, path):
        (layer,) = self.viewer.open(path, plugin="napari-smse")
        return layer

    def open_dock(self):
        self.dock = EmbeddingMapDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock)
        return self.dock

    def mapped(self):
        self.until(lambda: self.dock.space is not None and not self.dock.mapping.is_running)
        return self.dock.space

    @property
    def highlighted(self):
        return [
            layer
            for layer in self.viewer.layers
            if is_of_kind(layer, LayerKind.SELECTION) and session_of(self.viewer).is_shown(layer)
        ]

    def choose(self, *rows):
        """Choose points as a lasso round them does."""
        points = self.dock.space.points[list(rows)].astype(float)
        self.dock.plot._choose(shapely.MultiPoint(points).buffer(1e-4), adds=False)


@pytest.fixture
def page(viewer, redness, told, until):
    made = Page(viewer, until)
    yield made
    if hasattr(made, "dock"):
        made.dock.close()


@pytest.fixture
def scored(page, slide_path):
    """The page with one slide, scored, and the dock with its map."""
    page.layer = page.open(slide_path)
    page.started = score(page.layer)
    page.open_dock()
    page.mapped()
    return page


def take(page, *rows):
    """Choose tiles by their numbers, as most of the pink ones lie in one point."""
    selection = np.isin(np.arange(len(page.dock.space)), rows)
    page.dock.plot.select(selection)
    page.dock.plot.chosen.emit(selection)


def red_row(page):
    return int(page.dock.space.probability[:, 1].argmax())


# -- opening -----------------------------------------------------------------------------


def test_the_plugin_menu_opens_the_dock_and_it_says_what_to_do_first(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Embedding map")
    assert isinstance(dock, EmbeddingMapDock)
    assert "First score a slide" in dock.state.text()
    assert not dock.form.refresh.isEnabled()
    dock.panel.in_view.click()
    dock.panel.drawn.click()
    dock.plot.show_all()
    dock.close()


def test_a_slide_that_was_scored_is_laid_out_at_once(scored):
    tiles = scored.started.store.tile_table()
    space = scored.dock.space
    assert len(space) == len(tiles) > 20
    np.testing.assert_array_equal(space.probability, tiles.probability)
    # The red square is one tile, alone and far from the others.
    off = np.linalg.norm(space.points - np.median(space.points, axis=0), axis=1)
    assert off.argmax() == red_row(scored)
    assert space.axes[0].startswith("Component 1: ")
    assert f"{len(tiles):,} tiles, scored by redness" in scored.dock.state.text()


def test_a_slide_that_is_scored_afterwards_is_laid_out_then(page, slide_path):
    layer = page.open(slide_path)
    page.open_dock()
    assert page.dock.space is None
    score(layer)
    page.mapped()
    assert len(page.dock.space.slides) == 1


# -- single tiles ------------------------------------------------------------------------


def test_a_click_flies_to_the_tile_and_pointing_says_what_it_is(scored):
    row = red_row(scored)
    scored.layer.visible = False
    scored.dock.plot.hovered.emit(row, None)
    text = scored.dock.pointed.text()
    assert text.startswith("malignant ")
    for word in ("slide", "20x, 0.5 µm/px", "(512, 256) px"):
        assert word in text
    scored.dock.plot.clicked.emit(row, None)
    middle = level0_to_world(scored.layer, np.array([[512 + 64, 256 + 64]]))[0]
    np.testing.assert_allclose(scored.viewer.scene.camera.center[-2:], middle, atol=0.2)
    assert MARKER_NAME in scored.viewer.layers
    assert scored.layer.visible


# -- choosing ----------------------------------------------------------------------------


def test_a_lasso_highlights_its_tiles_on_the_slide(scored):
    row = red_row(scored)
    scored.choose(row)
    assert np.flatnonzero(scored.dock.plot.selection).tolist() == [row]
    (layer,) = scored.highlighted
    seen = np.argwhere(layer.data == 1)
    assert len(seen) == 1
    # The highlighted cell covers the red square: napari counts from the middle of its pixel.
    world = layer.data_to_world(seen[0])
    middle = level0_to_world(scored.layer, np.array([[576, 320]]))[0]
    np.testing.assert_allclose(world[-2:], middle, atol=1e-6)
    assert layer.scale[0] == pytest.approx(128 * scored.layer.scale[0])
    told = scored.dock.panel.summary.text()
    assert told == "Chosen: 1 tile, 0.00102 mm² (1 malignant)."
    scored.dock.panel.nothing.click()
    assert not scored.highlighted
    assert scored.dock.panel.summary.text() == "No tile is chosen."
    assert not scored.dock.panel.annotate.isEnabled()


def test_the_highlight_is_used_again_and_made_anew_if_it_was_removed(scored):
    take(scored, 0)
    (first,) = scored.highlighted
    take(scored, 1)
    assert scored.highlighted == [first]
    scored.viewer.layers.remove(first)
    take(scored, 2)
    (second,) = scored.highlighted
    assert second is not first
    assert np.nansum(second.data) == 1


def test_what_is_drawn_on_the_slide_is_chosen_in_the_plot(scored):
    corners = level0_to_world(
        scored.layer, np.array([(500, 200), (700, 200), (700, 400), (500, 400)])
    )
    scored.viewer.add_layer(Shapes([corners], shape_type="polygon"))
    scored.dock.panel.drawn.click()
    assert np.flatnonzero(scored.dock.plot.selection).tolist() == [red_row(scored)]
    assert len(scored.highlighted) == 1


def test_nothing_drawn_is_told(scored, told):
    scored.dock.panel.drawn.click()
    assert "No area is drawn" in told[0]
    assert not scored.dock.plot.selection.any()


def test_what_is_in_view_is_chosen_in_the_plot(scored, settle):
    scored.dock._fly(red_row(scored), None)
    settle()
    scored.dock.panel.in_view.click()
    chosen = scored.dock.plot.selection
    assert chosen[red_row(scored)]
    assert 1 < chosen.sum() < len(chosen)


def test_the_class_that_most_were_called_is_suggested_until_one_is_picked(scored):
    panel = scored.dock.panel
    scored.dock.space.probability[:2] = (0.9, 0.1)
    take(scored, 0, 1, red_row(scored))
    assert panel.classes.currentText() == "benign"
    take(scored, red_row(scored))
    assert panel.classes.currentText() == "malignant"
    panel.classes.setCurrentText("benign")
    panel.classes.activated.emit(panel.classes.currentIndex())
    take(scored, red_row(scored))
    assert panel.classes.currentText() == "benign"


def annotate_chosen(page, name):
    page.dock.panel.classes.setCurrentText(name)
    page.dock.panel.annotate.click()
    page.until(lambda: not page.dock.selection.outlining.is_running)


def test_chosen_tiles_become_regions_of_a_class(scored):
    tiles = scored.started.store.tile_table()
    chosen = np.flatnonzero((tiles.places[:, 0] < 256) & (tiles.places[:, 1] < 256))
    take(scored, *chosen)
    annotate_chosen(scored, "malignant")
    slide = slide_of(scored.layer)
    drawn = drawn_on(scored.viewer, scored.layer, slide)
    regions = drawn.regions()
    assert list(regions) == ["malignant"]
    assert regions["malignant"].symmetric_difference(shapely.box(0, 0, 256, 256)).area < 1
    assert "1 region of class malignant added" in scored.dock.panel.outcome.text()


def test_too_many_pieces_are_refused_and_fewer_can_be_tried(scored, monkeypatch, told):
    monkeypatch.setattr(selection_panel, "MOST_REGIONS", 1)
    take(scored, 0, red_row(scored))
    annotate_chosen(scored, "malignant")
    assert "2 separate places" in told[0]
    assert "choose fewer tiles" in scored.dock.problem.text()
    assert scored.dock.form.refresh.text() == "Refresh"
    take(scored, 0)
    annotate_chosen(scored, "malignant")
    drawn = drawn_on(scored.viewer, scored.layer, slide_of(scored.layer))
    assert len(drawn.annotations) == 1


def test_the_annotate_dock_takes_it_back_in_one_step(scored):
    annotating = AnnotateDock(scored.viewer)
    scored.viewer.window.add_dock_widget(annotating)
    annotating.table.add_class("stroma")
    scored.choose(red_row(scored))
    scored.dock.panel.in_view.click()
    scored.choose(red_row(scored))
    annotate_chosen(scored, "stroma")
    (one,) = annotating.drawing.annotations().annotations
    assert one.class_name == "stroma"
    assert one.geometry.symmetric_difference(shapely.box(512, 256, 640, 384)).area < 1
    annotating.undo.click()
    assert not annotating.drawing.annotations().annotations
    annotating.close()


# -- colours -----------------------------------------------------------------------------


def shown_colours(dock):
    return {tuple(colour) for colour in dock.plot._colours.tolist()}


def test_each_way_to_colour_shows_and_explains(scored, monkeypatch):
    dock = scored.dock
    monkeypatch.setattr(out_of_distribution, "load_ood_reference", lambda _model, _sha: None)
    scored.until(lambda: dock._unlike is not None)
    assert "malignant" in dock.legend.names.text()
    for by in ColourBy:
        dock.form.colours.setCurrentText(by)
        scored.until(lambda: not dock.grouping.is_running)
        assert len(dock.plot._colours) == len(dock.space)
        assert dock.form.groups.isHidden() == (by is not ColourBy.CLUSTER)
    dock.form.colours.setCurrentText(ColourBy.PROBABILITY)
    assert dock.legend.low.text() == "malignant 0"
    assert not dock.legend.ramp.isHidden()
    dock.form.colours.setCurrentText(ColourBy.UNLIKE)
    scored.until(lambda: dock._unlike is not None)
    assert "does not say what its training" in dock.legend.names.text().replace("&nbsp;", " ")
    dock.form.colours.setCurrentText(ColourBy.SCALE)
    assert "20x" in dock.legend.names.text()
    assert dock.legend.ramp.isHidden()


def test_groups_are_coloured_apart(scored):
    dock = scored.dock
    dock.form.groups.setValue(2)
    dock.form.colours.setCurrentText(ColourBy.CLUSTER)
    scored.until(lambda: 2 in dock._clusters)
    labels = dock._clusters[2]
    red = red_row(scored)
    assert np.flatnonzero(labels == labels[red]).tolist() == [red]
    assert len(shown_colours(dock)) == 2


# -- exemplars ---------------------------------------------------------------------------


def bank_like(model, embeddings, labels, **more):
    return ExemplarBank(
        np.float32(embeddings),
        np.int64(labels),
        np.full(len(labels), 0.5, np.float32),
        ("benign", "malignant"),
        ("",) * len(labels),
        ("drawn",) * len(labels),
        model.card.weights_sha256,
        **more,
    )


@pytest.fixture
def with_bank(page, slide_path, redness, monkeypatch):
    page.layer = page.open(slide_path)
    page.started = score(page.layer)
    tiles = page.started.store.tile_table()
    slide = slide_of(page.layer)
    red = int(tiles.probability[:, 1].argmax())
    pink = int(tiles.probability[:, 1].argmin())
    page.bank = bank_like(
        redness,
        tiles.embeddings[[red, pink]],
        [1, 0],
        slides=(slide.quick_hash, ""),
        places=np.int32([tiles.places[red], (-1, -1, 0, 0)]),
    )
    values = np.where(np.arange(len(tiles)) == red, 1.7, 0.4).astype(np.float32)
    monkeypatch.setattr(embedding_map, "bank_of", lambda _model: page.bank)

    def measure_ood(_slide, _started, _tiles, _bank=None):
        yield Progress(1, 2)
        return page.unlike

    page.unlike = OodScores(values)
    monkeypatch.setattr(embedding_map, "measure_ood", measure_ood)
    page.open_dock()
    page.mapped()
    return page


def test_exemplars_lie_among_the_tiles_they_are_like(with_bank):
    dock = with_bank.dock
    np.testing.assert_allclose(
        dock.space.exemplar_points[0], dock.space.points[red_row(with_bank)], atol=1e-5
    )
    assert len(dock.plot.exemplars.data) == 2
    assert dock.form.exemplars.text() == "Show 2 exemplars"
    assert not dock.plot.exemplars.isVisible()
    dock.form.exemplars.setChecked(True)
    assert dock.plot.exemplars.isVisible()
    dock.plot.hovered.emit(None, 0)
    assert dock.pointed.text() == "Exemplar: malignant · drawn · 20x, 0.5 µm/px"
    dock.plot.clicked.emit(None, 0)
    assert MARKER_NAME in with_bank.viewer.layers
    dock.plot.clicked.emit(None, 1)
    assert "its slide is not open" in dock.pointed.text()


def test_a_model_that_does_not_say_what_it_knows_is_told(with_bank, until):
    dock = with_bank.dock
    with_bank.unlike = OodScores(np.full(len(dock.space), np.nan, np.float32), known=False)
    dock.form.colours.setCurrentText(ColourBy.UNLIKE)
    until(lambda: dock._unlike is not None)
    # Measured anew, as other exemplars are known.
    dock._session.known_changed.emit(with_bank.viewer.layers["slide"])
    until(lambda: dock._unlike is not None)
    assert len(shown_colours(dock)) == 1
    assert "does not say what its training" in dock.legend.names.text().replace("&nbsp;", " ")


def test_what_is_unlike_anything_known_is_told_and_coloured(with_bank, until):
    dock, row = with_bank.dock, red_row(with_bank)
    dock.form.colours.setCurrentText(ColourBy.UNLIKE)
    until(lambda: dock._unlike is not None)
    assert "unlike (" in dock.legend.high.text()
    assert len(shown_colours(dock)) == 2
    dock.plot.hovered.emit(row, None)
    assert "unlike anything trained on (1.7 x the limit)" in dock.pointed.text()


def luminance_ratio(one, other):
    """Contrast of two colours as WCAG 2 defines it, 1 to 21."""
    linear = [np.array(c) / 255 for c in (one, other)]
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in linear]
    dark, bright = sorted(float(c @ (0.2126, 0.7152, 0.0722)) + 0.05 for c in linear)
    return bright / dark


def test_what_is_out_of_distribution_is_not_called(with_bank, until):
    """As on the heat map, which hatches it: the two must not contradict each other."""
    dock, row = with_bank.dock, red_row(with_bank)
    assert dock.form.by is ColourBy.CALL
    until(lambda: dock._unlike is not None)
    colours = dock.space.rule.colours()
    shown = tuple(map(int, dock.plot._colours[row][:3]))
    assert shown not in [colours[name] for name in colours if name != OUT_OF_DISTRIBUTION]
    assert luminance_ratio(shown, BACKGROUND) > 2.5
    dock.plot.hovered.emit(row, None)
    assert dock.pointed.text().startswith("out of distribution · P(malignant)")
    dock.plot.select(np.arange(len(dock.space)) == row)
    dock.selection._show_selection(dock.plot.selection)
    assert "(1 out of distribution)" in dock.panel.summary.text()


def test_exemplars_of_another_model_are_not_shown(page, slide_path, monkeypatch):
    other = redness_model(tile_px=32)
    bank = bank_like(other, np.eye(3)[:2], [0, 1])
    monkeypatch.setattr(embedding_map, "bank_of", lambda _model: bank)
    score(page.open(slide_path))
    page.open_dock()
    assert page.mapped().bank is None
    assert not page.dock.form.exemplars.isEnabled()
    assert len(page.dock.plot.exemplars.data) == 0


# -- several slides, and what changes meanwhile ------------------------------------------


@pytest.fixture
def second_path(tmp_path):
    rgb = np.full((600, 700, 3), (240, 240, 240), np.uint8)
    rgb[:, :500] = (170, 120, 160)
    path = tmp_path / "second.tif"
    write_pyramid_tiff(path, rgb, mpp=0.25)
    return path


def test_two_slides_share_one_map_or_have_each_their_own(scored, second_path):
    dock = scored.dock
    first_size = len(dock.space)
    second = scored.open(second_path)
    score(second, mpps=(0.25, 0.5))
    scored.until(lambda: dock.form.slides.count() == 3)
    # What was looked at stays until another choice is made.
    assert dock.form.slides.currentText() == scored.layer.name
    assert len(dock.space.slides) == 1
    dock.form.slides.setCurrentIndex(0)
    scored.until(lambda: len(dock.space.slides) == 2 and not dock.mapping.is_running)
    assert dock.news.isHidden()
    dock.form.colours.setCurrentText(ColourBy.SLIDE)
    assert "second" in dock.legend.names.text()
    # A tile of each slide and scale, each highlighted on its own slide.
    take(scored, 0, first_size, len(dock.space) - 1)
    assert len(scored.highlighted) == 3
    assert "3 tiles on 2 slides" in dock.panel.summary.text()
    annotate_chosen(scored, "benign")
    for layer in (scored.layer, second):
        assert drawn_on(scored.viewer, layer, slide_of(layer)).annotations
    dock.form.slides.setCurrentText(second.name)
    scored.until(lambda: len(dock.space.slides) == 1 and not dock.mapping.is_running)
    assert dock.space.slides[0].slide.path == second_path


def test_slides_of_two_models_do_not_share_a_map(scored, second_path, monkeypatch):
    other = redness_model(tile_px=32)
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _name: other)
    score(scored.open(second_path))
    dock = scored.dock
    scored.until(lambda: dock.form.slides.count() == 3)
    dock.form.slides.setCurrentIndex(0)
    dock.make_map()
    scored.mapped()
    scored.until(lambda: "Left out" in dock.news.text())
    assert len(dock.space.slides) == 1


def test_a_new_run_is_told_and_shown_on_refresh(scored):
    before = len(scored.dock.space)
    score(scored.layer, mpps=(0.25,))
    scored.until(lambda: "was scored again" in scored.dock.news.text())
    assert len(scored.dock.space) == before
    scored.dock.form.refresh.click()
    scored.until(lambda: len(scored.dock.space) > before)


def test_a_closed_slide_takes_its_map_along(scored):
    scored.choose(0)
    scored.viewer.layers.remove(scored.layer)
    assert scored.dock.space is None
    assert "First score a slide" in scored.dock.state.text()
    assert not scored.highlighted
    assert len(scored.dock.plot.selection) == 0


def test_a_run_that_goes_on_is_shown_when_asked(page, slide_path, monkeypatch):
    layer = page.open(slide_path)
    started = score(layer)
    monkeypatch.setattr(type(started.store), "finished", property(lambda _store: False))
    page.open_dock()
    assert page.dock.space is None
    assert "is being scored" in page.dock.state.text()
    page.dock.form.refresh.click()
    page.mapped()
    page.until(lambda: "is not scored to the end" in page.dock.news.text())
    monkeypatch.setattr(type(started.store), "finished", property(lambda _store: True))
    session_of(page.viewer).run_grew.emit(layer)
    page.until(lambda: "is scored to the end now" in page.dock.news.text())


def test_umap_that_is_missing_is_told_and_the_map_stays(scored, monkeypatch, told):
    monkeypatch.setitem(sys.modules, "umap", None)
    before = scored.dock.space
    scored.dock.form.method.value = "umap"
    scored.until(lambda: bool(scored.dock.problem.text()))
    assert 'pip install "napari-smse[umap]"' in scored.dock.problem.text()
    assert scored.dock.space is before
    scored.dock.form.method.value = "pca"
    scored.until(lambda: scored.dock.space is not before)
    assert not scored.dock.problem.text()


@pytest.mark.slow
def test_umap_itself_lays_the_slide_out(scored):
    dock, before = scored.dock, scored.dock.space
    dock.form.method.value = "umap"
    scored.until(lambda: dock.space is not before, 120_000)
    assert not dock.problem.text()
    points = dock.space.points
    assert points.shape == before.points.shape
    assert np.isfinite(points).all()
    # No axis of it means anything, and like tiles still lie together.
    assert dock.space.axes == ("", "")
    assert not np.allclose(points, before.points)


def test_it_can_be_cancelled_and_pressed_again(scored, monkeypatch):
    class Slow:
        def __init__(self, **_options):
            pass

        def fit_transform(self, embeddings):
            return embeddings[:, :2]

        def transform(self, embeddings):
            return embeddings[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Slow))
    dock, before = scored.dock, scored.dock.space
    dock.form.method.value = "umap"
    assert dock.form.refresh.text() == "Cancel"
    dock.form.refresh.click()
    assert dock.form.refresh.text() == "Refresh"
    assert not dock.mapping.is_running
    assert dock.space is before
    dock.form.refresh.click()
    scored.until(lambda: dock.space is not before and not dock.mapping.is_running)
    assert dock.space.axes == ("", "")


def test_closed_while_it_works_it_lets_go(scored):
    dock = scored.dock
    dock.make_map()
    dock.close()
    assert not dock.mapping.is_running
    scored.viewer.layers.remove(scored.layer)


def test_umap_is_only_offered_where_it_is_installed(viewer, monkeypatch):
    for installed in (True, False):
        monkeypatch.setattr(form, "umap_is_installed", lambda answer=installed: answer)
        dock = EmbeddingMapDock(viewer)
        combo = dock.form.method.native
        row = combo.findData("umap")
        assert combo.model().item(row).isEnabled() is installed
        reason = combo.itemData(row, Qt.ItemDataRole.ToolTipRole) or ""
        assert ('pip install "napari-smse[umap]"' in reason) is not installed
        dock.close()


def test_what_failed_with_one_run_is_not_said_of_the_next(scored):
    scored.dock._show_problem("It went wrong.")
    session_of(scored.viewer).set_run(scored.layer, None)
    assert not scored.dock.problem.text()
