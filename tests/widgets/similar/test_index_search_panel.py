"""Searching a folder of slides from a viewer, and adding slides to it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_smse.errors import QueryError
from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.index.hits import ExcludedRegion
from napari_smse.similarity.index.shard import SlideState, shard_of
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, open_slide
from napari_smse.widgets.index.settings import index_settings
from napari_smse.widgets.layers.tile_marker import marked
from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel
from napari_smse.widgets.slide_layers import level0_to_world, slide_layers, slide_of
from napari_smse.workflows.scored_slide import Run
from support.docks import put_in_force, run_in_force
from support.models import redness_model
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (230, 90, 150)
SQUARE = Region(512, 256, 128, 128)


def run_of(slide, folder, overlap=0.0):
    """Score a slide as the Score dock would."""
    model, request = redness_model(), ScoreRequest((0.5,), overlap=overlap)
    plan, device = request.plan(slide, model.card), choose_device("cpu", exact=True)
    store = open_run(folder / f"{slide.name}.zarr", slide, model.card, request, plan, device)
    list(score(slide, model, plan, store, device))
    return Run(plan, store, model.card, device, (), "redness")


@pytest.fixture
def other_path(tmp_path):
    """Pink, with two red squares, which are two tiles at 0.5 um/px."""
    rgb = np.full((900, 1300, 3), GLASS, np.uint8)
    rgb[:, :1024] = PINK
    rgb[640:768, 128:256] = rgb[640:768, 768:896] = RED
    path = tmp_path / "other.tif"
    write_pyramid_tiff(path, rgb, mpp=0.25)
    return path


@pytest.fixture
def folder(other_path, tmp_path):
    """An index with the other slide."""
    with open_slide(other_path) as slide:
        run = run_of(slide, tmp_path / "runs")
        index = SlideIndex.make(tmp_path / "index", run.card.weights_sha256, run.card.name)
        index.add(shard_of(slide, run.store))
    return index.folder


@pytest.fixture
def layer(viewer, slide_path, tmp_path):
    """The layer of the slide with one red square, scored."""
    (made,) = viewer.open(slide_path, plugin="napari-smse")
    put_in_force(made, run_of(slide_of(made), tmp_path / "runs"))
    return made


class BatchSettings:
    """What is looked for, and how often it was asked."""

    def __init__(self, layer):
        self.run = run_in_force(layer)
        self.problem = ""
        self.model, self.name = self.run.card.weights_sha256, self.run.card.name

    def __call__(self):
        if self.problem:
            raise QueryError(self.problem)
        tiles = self.run.store.tile_table()
        rows = tiles.at(SQUARE.x + 64, SQUARE.y + 64)
        return tiles.embeddings[rows], 0.5, self.model, self.name


@pytest.fixture
def asked(layer):
    return BatchSettings(layer)


@pytest.fixture
def dock(viewer, asked):
    made = IndexSearchPanel(viewer, asked)
    viewer.window.add_dock_widget(made, name="folder")
    yield made
    made.release()


@pytest.fixture
def ready(dock, folder, until):
    """The dock with the index chosen."""
    dock.set_folder(folder)
    until(lambda: "tiles" in dock.index.about.text())
    return dock


@pytest.fixture
def find(ready, until):
    def search():
        ready.search.click()
        until(lambda: not ready.searching.is_running)
        until(lambda: not ready.picturing.is_running)

    return search


@pytest.fixture
def add(dock, until):
    def press():
        dock.add.click()
        until(lambda: not dock.adding.is_running)
        until(lambda: not dock.index.looking.is_running)

    return press


def leaf(dock, group=0, place=0):
    return dock.hits.topLevelItem(group).child(place)


def double_click(dock, item, qtbot):
    dock.hits.scrollToItem(item)
    where = dock.hits.visualItemRect(item).center()
    for act in (qtbot.mouseClick, qtbot.mouseDClick):
        act(dock.hits.viewport(), Qt.MouseButton.LeftButton, pos=where)


def slide_named(viewer, name):
    (found,) = (one for one in slide_layers(viewer) if slide_of(one).name == name)
    return found


def test_red_finds_red_on_a_slide_that_is_not_open(ready, find):
    ready.number.value = 2
    find()
    assert ready.index.about.text().startswith("1 slide, ")
    branch = ready.hits.topLevelItem(0)
    assert (ready.hits.topLevelItemCount(), branch.childCount()) == (1, 2)
    assert branch.text(0) == "other · 2 tiles"
    assert leaf(ready).text(0) == "distance 0.00\nmalignant 1.00\n20x"
    (found,) = ready.answer.slides
    assert {hit.region for hit in found.hits} == {
        Region(128, 640, 128, 128),
        Region(768, 640, 128, 128),
    }
    assert "The 2 tiles most alike of " in ready.state.text()
    assert ready.problem.isHidden()
    assert ready.bar.isHidden()


def test_hits_get_pictures_of_what_they_show(ready, find):
    ready.number.value = 2
    find()
    for place in (0, 1):
        picture = leaf(ready, 0, place).icon(0).pixmap(64, 64).toImage()
        colour = picture.pixelColor(32, 32)
        np.testing.assert_allclose((colour.red(), colour.green(), colour.blue()), RED, atol=6)


def test_a_double_click_opens_the_slide_once_and_flies_there(viewer, ready, find, qtbot):
    find()
    for _ in range(2):
        double_click(ready, leaf(ready), qtbot)
        assert len(list(slide_layers(viewer))) == 2
    other = slide_named(viewer, "other")
    hit = ready.answer.slides[0].hits[0]
    corners = np.array([[hit.region.x, hit.region.y], [hit.region.right, hit.region.bottom]])
    world = level0_to_world(other, corners)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], world.mean(axis=0))
    np.testing.assert_allclose(marked(viewer), world)
    # Slides lie on each other: the one that was asked for is seen.
    assert other.visible
    assert not slide_named(viewer, "slide").visible
    assert ready.problem.isHidden()


def test_leaving_shows_again_what_was_hidden(viewer, ready, find, qtbot):
    find()
    double_click(ready, leaf(ready), qtbot)
    ready.release()
    assert slide_named(viewer, "slide").visible


def test_a_slide_is_shown_at_the_scale_it_was_scored_at(viewer, ready, find, folder, qtbot):
    index = SlideIndex(folder)
    (slide,) = index.slides
    stated = replace(index.shard(slide), slide=slide.model_copy(update={"mpp": 0.5}))
    path = folder / f"{slide.quick_hash}.safetensors"
    path.unlink()
    index.refresh()
    index.add(stated)
    find()
    double_click(ready, leaf(ready), qtbot)
    other = slide_named(viewer, "other")
    np.testing.assert_allclose(other.scale, (0.5, 0.5))
    assert slide_of(other).mpp == 0.5


def test_a_double_click_on_a_slides_name_folds_it(viewer, ready, find, qtbot):
    find()
    branch = ready.hits.topLevelItem(0)
    double_click(ready, branch, qtbot)
    assert not branch.isExpanded()
    assert len(list(slide_layers(viewer))) == 1


def test_a_few_tiles_of_each_slide_are_shown_until_more_are_wanted(ready, find, qtbot):
    find()
    branch = ready.hits.topLevelItem(0)
    hits = len(ready.answer.slides[0].hits)
    shown = [not branch.child(place).isHidden() for place in range(hits)]
    assert shown == [True] * 5 + [False] * (hits - 5)
    more = branch.child(hits)
    assert more.text(0) == f"Show {hits - 5} more of other"
    ready.hits.scrollToItem(more)
    where = ready.hits.visualItemRect(more).center()
    qtbot.mouseClick(ready.hits.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert more.isHidden()
    assert not any(branch.child(place).isHidden() for place in range(hits))


def test_enter_goes_to_a_hit_too(viewer, ready, find, qtbot):
    find()
    ready.hits.setCurrentItem(leaf(ready))
    qtbot.keyClick(ready.hits, Qt.Key.Key_Return)
    assert slide_named(viewer, "other").visible


@pytest.mark.parametrize("become", ["gone", "changed"])
def test_a_slide_that_is_no_longer_what_was_indexed_is_not_opened(
    viewer, ready, find, other_path, qtbot, become
):
    if become == "gone":
        other_path.unlink()
    else:
        write_pyramid_tiff(other_path, np.full((600, 600, 3), PINK, np.uint8), mpp=0.25)
    find()
    assert ready.answer.slides[0].state is SlideState(become)
    assert become in ready.hits.topLevelItem(0).text(0)
    assert "other.tif" in ready.problem.text()
    assert leaf(ready).icon(0).isNull()
    double_click(ready, leaf(ready), qtbot)
    assert "index the slide again" in ready.problem.text()
    assert len(list(slide_layers(viewer))) == 1


def test_the_slide_is_added_and_found(viewer, ready, find, add, folder, layer):
    add()
    assert ready.state.text().startswith("slide is in the index now, ")
    assert ready.index.about.text().startswith("2 slides, ")
    assert len(SlideIndex(folder).slides) == 2
    find()
    assert {found.slide.name for found in ready.answer.slides} == {"slide", "other"}
    add()
    assert ready.state.text() == "slide is in the index already."


def test_what_is_looked_for_is_no_hit(viewer, asked, layer, folder, until, add):
    left_out = ExcludedRegion(slide_of(layer).quick_hash, SQUARE)
    dock = IndexSearchPanel(viewer, asked, left_out=lambda: left_out)
    viewer.window.add_dock_widget(dock, name="another")
    dock.set_folder(folder)
    dock.add_slide()
    until(lambda: not dock.adding.is_running)
    dock.number.value = 3
    dock.run()
    until(lambda: dock.answer is not None)
    hits = [(f.slide.name, hit.region) for f in dock.answer.slides for hit in f.hits]
    assert len(hits) == 3
    assert ("slide", SQUARE) not in hits
    dock.release()


def test_an_index_is_started_in_an_empty_folder(dock, add, tmp_path, until):
    (tmp_path / "new").mkdir()
    dock.set_folder(tmp_path / "new")
    until(lambda: "no index in this folder yet" in dock.index.about.text())
    add()
    assert [one.name for one in SlideIndex(tmp_path / "new").slides] == ["slide"]
    assert dock.index.about.text().startswith("1 slide, ")


def test_every_slide_is_added_only_when_it_is_ticked(dock, folder):
    assert not dock.index.every.isEnabled()
    dock.set_folder(folder)
    assert dock.index.every.isEnabled()
    assert not dock.index.every.isChecked()
    dock.index.every.click()
    assert index_settings().takes_scored
    dock.set_folder(folder.parent)
    assert not dock.index.every.isChecked()


def test_the_folder_is_there_again_after_the_next_start(ready, viewer, asked, folder, until):
    ready.index.every.click()
    ready.release()
    index_settings.cache_clear()
    again = IndexSearchPanel(viewer, asked)
    viewer.window.add_dock_widget(again, name="again")
    assert again.folder == folder
    assert again.index.every.isChecked()
    assert again.search.isEnabled()
    until(lambda: again.index.about.text().startswith("1 slide, "))
    again.release()


def test_a_folder_chosen_in_one_dock_is_chosen_in_the_other(ready, find, viewer, asked, tmp_path):
    find()
    beside = IndexSearchPanel(viewer, asked)
    beside.set_folder(tmp_path)
    assert ready.folder == tmp_path
    assert ready.hits.topLevelItemCount() == 0
    beside.release()


def test_a_folder_that_is_gone_is_told(dock, tmp_path, until):
    dock.set_folder(tmp_path / "unplugged")
    until(lambda: "This folder is not there" in dock.index.about.text())


def test_a_slide_that_is_scored_again_meanwhile_is_not_added_in_part(ready, add, layer, folder):
    run = run_in_force(layer)
    store = run.store.scale(0)
    nothing = np.full_like(store.probability[:5], np.nan)
    run.store.write_rows(0, 0, nothing, np.zeros_like(store.embedding[:5]))
    add()
    assert "is being scored again" in ready.problem.text()
    assert len(SlideIndex(folder).slides) == 1


@pytest.mark.shown
def test_other_settings_replace_only_after_a_question(ready, add, layer, folder, tmp_path, until):
    add()
    before = SlideIndex(folder).tile_count
    put_in_force(layer, run_of(slide_of(layer), tmp_path / "again", overlap=0.5))
    add()
    assert "different overlap" in ready.problem.text()
    assert ready.replace.isVisible()
    assert SlideIndex(folder).tile_count == before
    ready.replace.click()
    until(lambda: not ready.adding.is_running)
    assert SlideIndex(folder).tile_count > before
    assert ready.replace.isHidden()
    assert ready.problem.isHidden()


def test_without_a_folder_nothing_can_be_pressed(dock, folder, monkeypatch, until):
    assert not dock.search.isEnabled()
    assert not dock.add.isEnabled()
    assert "Choose the folder" in dock.index.where.text()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    dock.index.choose.click()
    assert dock.folder is None
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    dock.index.choose.click()
    assert dock.folder == folder
    assert dock.search.isEnabled()
    until(lambda: "1 slide" in dock.index.about.text())


def test_a_slide_that_is_not_scored_is_told(viewer, ready, add, layer, folder):
    put_in_force(layer, None)
    add()
    assert "Score slide first" in ready.problem.text()
    viewer.layers.clear()
    add()
    assert "Open a slide and score it first" in ready.problem.text()
    assert len(SlideIndex(folder).slides) == 1


def test_a_run_that_still_goes_on_is_told(ready, add, layer, folder, tmp_path):
    slide, run = slide_of(layer), run_in_force(layer)
    request = ScoreRequest((0.5,), overlap=0.25)
    plan = request.plan(slide, run.card)
    path = tmp_path / "unfinished.zarr"
    store = open_run(path, slide, run.card, request, plan, run.device)
    put_in_force(layer, replace(run, plan=plan, store=store))
    add()
    assert "not scored to its end yet" in ready.problem.text()
    assert len(SlideIndex(folder).slides) == 1


def test_the_selected_slide_is_added_where_two_are_open(
    viewer, ready, add, layer, folder, tmp_path
):
    second = tmp_path / "second.tif"
    write_pyramid_tiff(second, np.full((300, 300, 3), PINK, np.uint8), mpp=0.25)
    (made,) = viewer.open(second, plugin="napari-smse")
    put_in_force(made, run_of(slide_of(made), tmp_path / "runs"))
    viewer.layers.selection = {made}
    add()
    assert {one.name for one in SlideIndex(folder).slides} == {"second", "other"}


def test_nothing_to_look_for_is_told(ready, find, asked):
    asked.problem = "There is nothing to look for: draw a region."
    find()
    assert ready.problem.text() == asked.problem
    assert ready.answer is None
    asked.problem = ""
    find()
    assert ready.problem.isHidden()
    assert ready.answer is not None


def test_another_model_is_refused_naming_both(ready, find, asked):
    asked.model, asked.name = "b" * 64, "newer"
    find()
    assert "made by the model redness" in ready.problem.text()
    assert "not by newer" in ready.problem.text()
    assert ready.state.isHidden()
    assert ready.search.text() == "Search the folder"


def test_an_empty_index_is_told(dock, asked, tmp_path, until):
    SlideIndex.make(tmp_path / "empty", asked.model, asked.name)
    dock.set_folder(tmp_path / "empty")
    until(lambda: "The index is empty" in dock.index.about.text())
    dock.run()
    until(lambda: not dock.searching.is_running)
    assert "holds no slides yet" in dock.problem.text()


def test_a_damaged_shard_is_named(ready, find, folder):
    (path,) = folder.glob("*.safetensors")
    shutil.copy(path, folder / f"{'0' * 64}.safetensors")
    find()
    assert "0000.safetensors" in ready.problem.text()
    assert len(ready.answer.slides) == 1


def test_a_search_is_stopped_by_a_second_press(ready, until, monkeypatch):
    def slowly(self, query, k):
        import time

        from napari_smse.progress import Progress

        for done in range(1000):
            time.sleep(0.01)
            yield Progress(done, 1000)

    monkeypatch.setattr("napari_smse.workflows.search_index.IndexSearchJob.search", slowly)
    ready.search.click()
    until(lambda: ready.bar.value() > 0)
    assert ready.search.text() == "Stop"
    ready.search.click()
    assert not ready.searching.is_running
    assert (ready.search.text(), ready.state.text()) == ("Search the folder", "Stopped.")
    assert ready.bar.isHidden()


def test_another_folder_forgets_what_was_found(ready, find, tmp_path, until):
    find()
    (tmp_path / "elsewhere").mkdir()
    ready.set_folder(tmp_path / "elsewhere")
    assert ready.hits.topLevelItemCount() == 0
    assert ready.hits.isHidden()
    until(lambda: "no index" in ready.index.about.text())


def test_it_can_be_left_while_it_works(ready, settle):
    ready.search.click()
    ready.add.click()
    ready.release()
    ready.release()
    settle()
    assert not any(task.is_running for task in ready.tasks)
    assert not ready.search.isEnabled()


def test_a_folder_is_named_short_and_told_in_full(dock, tmp_path):
    deep = tmp_path.joinpath(*["a long name of a folder"] * 6)
    dock.set_folder(deep)
    assert dock.index.where.text() == "<b>a long name of a folder</b>"
    assert dock.index.where.toolTip() == str(Path(deep))
