"""Whatever is scored in the viewer goes by itself into the index that was chosen."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide
from napari_smse.widgets.index import queue as index_adding
from napari_smse.widgets.index import settings as index_settings
from napari_smse.widgets.score import dock as score_dock
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.score.form import ScoreForm
from napari_smse.widgets.similar.index_search_panel import IndexSearchPanel
from napari_smse.workflows import index_slides
from support.docks import seeing_model
from support.slides import write_pyramid_tiff

pytestmark = [pytest.mark.gui, pytest.mark.shown]

PINK = (205, 150, 190)


@pytest.fixture
def folder(tmp_path):
    """Where an index will be."""
    made = tmp_path / "my-slides"
    made.mkdir()
    return made


@pytest.fixture
def chosen(folder):
    """The choice, as another dock made it: the index takes what is scored."""
    made = index_settings.index_settings()
    made.choose(folder)
    made.take_scored(True)
    return made


@pytest.fixture
def no_pop_ups(monkeypatch):
    def pop_up(text):
        raise AssertionError(f"a pop-up: {text}")

    monkeypatch.setattr(score_dock, "show_error", pop_up)


@pytest.fixture
def dock(viewer, redness, slide_path, until, no_pop_ups):
    """The Score dock in a viewer that shows the slide."""
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


@pytest.fixture
def score(dock, until):
    """Run to the end, and wait for what becomes of it in the index."""

    def run():
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running)
        settled(dock, until)

    return run


def settled(dock, until):
    until(lambda: dock.index.adding.adding is None and not dock.index.looking.is_running)


def indexed(folder):
    return {one.name: one.tile_count for one in SlideIndex(folder).slides}


def said(dock):
    return dock.index.text.text()


def problem(dock):
    line = dock.index
    return line.problem.text() if line.problem.isVisible() else ""


def test_without_an_index_nothing_is_shown_and_nothing_written(dock, score, tmp_path):
    assert not dock.index.isVisible()
    score()
    assert not dock.index.isVisible()
    assert dock.panel.state.text().startswith("Done: ")
    assert not list(tmp_path.rglob("index.json"))
    assert not list(tmp_path.rglob("chosen_index.json"))


def test_an_index_that_was_only_searched_takes_nothing(dock, score, folder):
    index_settings.index_settings().choose(folder)
    assert dock.index.isVisible()
    assert not dock.index.tick.isChecked()
    assert said(dock) == "What you score does not go into the index “my-slides”."
    score()
    assert list(folder.iterdir()) == []


def test_a_scored_slide_goes_into_the_index(chosen, dock, score, folder):
    assert dock.index.isVisible()
    assert dock.index.tick.isChecked()
    assert said(dock) == "What you score goes into the index “my-slides”."
    score()
    assert said(dock) == "In the index “my-slides” now: 1 slide."
    assert problem(dock) == ""
    assert indexed(folder) == {"slide": dock.shown_run.plan.tile_count}
    assert dock.panel.state.text().startswith("Done: ")


def test_a_run_that_was_complete_before_goes_in_too(dock, score, folder, until):
    score()
    index_settings.index_settings().choose(folder)
    dock.index.tick.click()
    settled(dock, until)
    score()
    assert indexed(folder) == {"slide": dock.shown_run.plan.tile_count}
    score()
    assert said(dock) == "slide was in the index “my-slides” already: 1 slide."


def test_it_is_turned_off_and_on_in_the_score_dock(chosen, dock, score, folder, until):
    dock.index.tick.click()
    assert not chosen.takes_scored
    score()
    assert list(folder.iterdir()) == []
    assert said(dock) == "What you score does not go into the index “my-slides”."
    dock.index.tick.click()
    assert chosen.takes_scored
    score()
    assert set(indexed(folder)) == {"slide"}


def test_the_maps_are_there_while_the_index_is_slow_and_the_next_run_can_begin(
    chosen, dock, viewer, folder, until, monkeypatch
):
    gate, began, add = threading.Event(), threading.Event(), index_slides.add_slide

    def slowly(wanted):
        began.set()
        assert gate.wait(60)
        return add(wanted)

    monkeypatch.setattr(index_slides, "add_slide", slowly)
    try:
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running and began.is_set())
        assert dock.panel.run.isEnabled()
        assert dock.save.isEnabled()
        assert said(dock) == "Adding slide to the index “my-slides” …"
        until(lambda: any(one.name.startswith("P(malignant)") for one in viewer.layers))
        dock.form.options.choose(overlap=0.5)
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running)
        assert dock.panel.state.text().startswith("Done: ")
    finally:
        gate.set()
    settled(dock, until)
    # One after the other: the first is in, the second has other settings.
    assert set(indexed(folder)) == {"slide"}
    assert "different overlap" in problem(dock)


def test_other_settings_replace_only_when_the_button_is_pressed(chosen, dock, score, folder, until):
    score()
    before = indexed(folder)
    dock.form.options.choose(overlap=0.5)
    score()
    assert problem(dock) == (
        "slide is in the index “my-slides” with other settings (different overlap) and was left "
        "there as it was."
    )
    assert indexed(folder) == before
    assert dock.panel.state.text().startswith("Done: ")
    assert dock.panel.problem.text() == ""
    assert dock.index.remedy.text() == "Replace what is there"
    dock.index.remedy.click()
    settled(dock, until)
    assert indexed(folder) == {"slide": dock.shown_run.plan.tile_count}
    assert problem(dock) == ""
    assert not dock.index.remedy.isVisible()
    assert said(dock) == "In the index “my-slides” now: 1 slide."


def test_a_folder_that_is_gone_is_not_made_again_and_a_later_try_helps(
    chosen, dock, score, folder, until
):
    folder.rename(folder.with_name("unplugged"))
    score()
    assert "my-slides is not there. Connect its disk" in problem(dock)
    assert said(dock) == "slide did not go into the index “my-slides”:"
    assert not folder.exists()
    assert dock.shown_run.store.complete
    assert dock.save.isEnabled()
    folder.with_name("unplugged").rename(folder)
    assert dock.index.remedy.text() == "Try again"
    dock.index.remedy.click()
    settled(dock, until)
    assert problem(dock) == ""
    assert set(indexed(folder)) == {"slide"}


def test_a_folder_that_is_gone_is_told_before_anything_is_scored(dock, tmp_path, until):
    choice = index_settings.index_settings()
    choice.choose(tmp_path / "unplugged")
    choice.take_scored(True)
    until(lambda: "unplugged is not there. Connect its disk" in problem(dock))
    assert said(dock) == "What you score cannot go into the index “unplugged”:"
    assert not dock.index.remedy.isVisible()


def test_a_full_disk_harms_no_scores(chosen, dock, score, folder, until, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("napari_smse.atomic_write.os.fsync", full)
        score()
    assert "No space left on device" in problem(dock)
    assert dock.shown_run.store.complete
    assert list(folder.iterdir()) == []
    dock.index.remedy.click()
    settled(dock, until)
    assert set(indexed(folder)) == {"slide"}


def test_another_model_is_told_before_and_after_and_offers_no_button(
    chosen, dock, score, folder, until
):
    SlideIndex.make(folder, "b" * 64, "newer")
    chosen.choose(folder)
    until(lambda: "it is of the model newer, not of redness" in problem(dock))
    assert said(dock) == "What you score cannot go into the index “my-slides”:"
    score()
    assert said(dock) == "slide did not go into the index “my-slides”:"
    assert "it is of the model newer, not of redness" in problem(dock)
    assert not dock.index.remedy.isVisible()
    assert indexed(folder) == {}
    dock.panel.run.click()
    assert said(dock) == "What you score cannot go into the index “my-slides”:"
    dock.panel.cancel.click()
    chosen.choose(folder.with_name("elsewhere"))
    assert problem(dock) == ""
    assert not chosen.takes_scored


def test_a_model_that_suits_the_index_takes_the_warning_away(chosen, dock, folder, until, tmp_path):
    other = seeing_model(tmp_path).card
    SlideIndex.make(folder, other.weights_sha256, other.name)
    chosen.choose(folder)
    until(lambda: "it is of the model" in problem(dock))
    dock.index.show_model(other)
    assert problem(dock) == ""
    assert said(dock) == "What you score goes into the index “my-slides”."


def test_a_cancelled_run_does_not_go_in(chosen, dock, folder, until, monkeypatch):
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 300)
    dock.form.options.choose(overlap=0.75)
    permits, window = threading.Semaphore(2), Slide.window

    def held_back(slide, region, mpp):
        assert permits.acquire(timeout=60)
        return window(slide, region, mpp)

    monkeypatch.setattr(Slide, "window", held_back)
    try:
        dock.panel.run.click()
        until(lambda: dock.shown_run is not None and bool(dock.shown_run.store.blocks_done().any()))
        dock.panel.cancel.click()
        assert said(dock) == (
            "What was scored now goes into the index “my-slides” once it is scored to its end."
        )
    finally:
        permits.release(1000)
    settled(dock, until)
    assert list(folder.iterdir()) == []
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    settled(dock, until)
    assert indexed(folder) == {"slide": dock.shown_run.plan.tile_count}


def test_what_there_was_time_for_goes_in_and_is_told_as_such(
    chosen, dock, score, folder, monkeypatch
):
    chosen_settings = ScoreForm.settings.fget
    no_time = property(lambda form: replace(chosen_settings(form), time_limit=0.0))
    for row in range(dock.form.scales.count()):
        item = dock.form.scales.item(row)
        if item.data(Qt.ItemDataRole.UserRole) in (0.25, 0.5):
            item.setCheckState(Qt.CheckState.Checked)
    dock.form.options.choose(time_limit=600)
    with monkeypatch.context() as patched:
        patched.setattr(ScoreForm, "settings", no_time)
        score()
    coarse, total = indexed(folder)["slide"], dock.shown_run.plan.tile_count
    assert 0 < coarse < total
    assert said(dock) == (
        f"In the index “my-slides” now: 1 slide. Of slide only {coarse:,} of its {total:,} tiles."
    )
    score()
    assert indexed(folder) == {"slide": total}
    assert said(dock) == "In the index “my-slides” now: 1 slide."


def test_of_a_region_only_that_is_said_to_be_there(chosen, dock, score, viewer, folder):
    viewer.add_shapes(
        [[[60, 120], [60, 165], [100, 165], [100, 120]]], units=("um", "um"), name="here"
    )
    dock.form.region.setCurrentText("Selected shapes")
    score()
    assert said(dock) == (
        "In the index “my-slides” now: 1 slide. Of slide only the region that was scored."
    )
    assert indexed(folder)["slide"] == dock.shown_run.plan.tile_count
    dock.form.region.setCurrentIndex(0)
    score()
    assert "different region" in problem(dock)


def test_what_goes_wrong_with_one_slide_is_not_forgotten_over_another(
    chosen, dock, score, viewer, folder, tmp_path, until
):
    score()
    dock.form.options.choose(overlap=0.5)
    score()
    write_pyramid_tiff(tmp_path / "second.tif", np.full((700, 900, 3), PINK, np.uint8), mpp=0.25)
    viewer.open(tmp_path / "second.tif", plugin="napari-smse")
    until(lambda: dock.form.slide.currentText() == "second")
    score()
    assert said(dock) == "In the index “my-slides” now: 2 slides."
    assert problem(dock).startswith("slide is in the index “my-slides” with other settings")
    dock.index.tick.click()
    assert problem(dock) == ""


def test_several_that_could_not_be_added_are_tried_again_together(
    chosen, dock, score, viewer, folder, tmp_path, until
):
    folder.rename(folder.with_name("unplugged"))
    score()
    write_pyramid_tiff(tmp_path / "second.tif", np.full((700, 900, 3), PINK, np.uint8), mpp=0.25)
    viewer.open(tmp_path / "second.tif", plugin="napari-smse")
    until(lambda: dock.form.slide.currentText() == "second")
    score()
    assert problem(dock).endswith("1 more slide was not added.")
    folder.with_name("unplugged").rename(folder)
    dock.index.remedy.click()
    settled(dock, until)
    assert set(indexed(folder)) == {"slide", "second"}
    assert problem(dock) == ""


@pytest.mark.parametrize("how", ["closed", "taken out of the window"])
def test_leaving_while_it_adds_still_brings_the_slides_in(
    chosen, dock, viewer, folder, until, monkeypatch, how
):
    gate, began, add = threading.Event(), threading.Event(), index_slides.add_slide

    def slowly(wanted):
        began.set()
        assert gate.wait(60)
        return add(wanted)

    monkeypatch.setattr(index_slides, "add_slide", slowly)
    try:
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running and began.is_set())
        second = folder.parent / "second.tif"
        write_pyramid_tiff(second, np.full((700, 900, 3), PINK, np.uint8), mpp=0.25)
        viewer.open(second, plugin="napari-smse")
        until(lambda: dock.form.slide.currentText() == "second")
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running)
        if how == "closed":
            dock.close()
        else:
            viewer.window.remove_dock_widget(dock)
        viewer.layers.clear()
        assert SlideIndexOrNone(folder) is None
    finally:
        gate.set()
    until(lambda: (folder / "index.json").exists() and set(indexed(folder)) == {"slide", "second"})
    assert SlideIndex(folder).warnings == ()


def SlideIndexOrNone(folder):
    return SlideIndex(folder) if any(folder.iterdir()) else None


def test_two_viewers_add_to_one_new_index(
    chosen, dock, make_napari_viewer, folder, until, tmp_path
):
    other = make_napari_viewer(show=True)
    write_pyramid_tiff(tmp_path / "second.tif", np.full((700, 900, 3), PINK, np.uint8), mpp=0.25)
    other.open(tmp_path / "second.tif", plugin="napari-smse")
    beside = ScoreDock(other)
    other.window.add_dock_widget(beside, name="SMSE: Score slide")
    until(lambda: "to score:" in beside.panel.count.text())
    together = threading.Barrier(2)
    add = index_slides.add_slide

    def at_once(wanted):
        together.wait(60)
        return add(wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_slides, "add_slide", at_once)
        for one in (dock, beside):
            one.panel.run.click()
            until(lambda one=one: not one.scoring.is_running)
        for one in (dock, beside):
            settled(one, until)
    assert set(indexed(folder)) == {"slide", "second"}
    assert SlideIndex(folder).warnings == ()
    assert problem(dock) == problem(beside) == ""
    beside.close()


def test_the_folder_search_sees_what_the_score_dock_added(
    chosen, dock, score, viewer, folder, until
):
    search = IndexSearchPanel(viewer, lambda: None)
    viewer.window.add_dock_widget(search, name="folder")
    assert search.folder == folder
    assert search.index.every.isChecked()
    until(lambda: "no index in this folder yet" in search.index.about.text())
    score()
    until(lambda: search.index.about.text().startswith("1 slide, "))
    search.index.every.click()
    assert not dock.index.tick.isChecked()
    assert said(dock) == "What you score does not go into the index “my-slides”."
    search.release()
    search.release()


def test_what_the_folder_search_replaced_is_no_longer_a_problem(
    chosen, dock, score, viewer, folder, until
):
    score()
    dock.form.options.choose(overlap=0.5)
    score()
    assert "different overlap" in problem(dock)
    search = IndexSearchPanel(viewer, lambda: None)
    viewer.window.add_dock_widget(search, name="folder")
    search.add_slide(replace=True)
    until(lambda: not search.adding.is_running)
    assert problem(dock) == ""
    assert indexed(folder) == {"slide": dock.shown_run.plan.tile_count}
    search.release()


def test_something_unforeseen_is_told_in_the_line(chosen, dock, score, monkeypatch):
    def broken(_wanted):
        raise ArithmeticError("no idea")

    monkeypatch.setattr(index_adding, "add_scored", broken)
    score()
    assert "Something unforeseen went wrong (ArithmeticError: no idea)" in problem(dock)
    assert dock.index.remedy.text() == "Try again"
    assert dock.shown_run.store.complete
