"""The list of slides, driven as a user does: choose, state a case, open, close, score many."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_smse.annotations import AnnotationSet
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.autosave import Autosave, remembered_case
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.scored_slides import scored_slides
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind, slide_layers
from napari_smse.widgets.slides import dock as slides_dock
from napari_smse.widgets.slides.dock import SlidesDock
from napari_smse.widgets.slides.slide_table import CASE, NAME, STATE
from napari_smse.widgets.worker import ComputeLock
from napari_smse.workflows import score_slide
from napari_smse.workflows.batch.score_queue import ScoreChoice
from napari_smse.workflows.scored_slide import cases_of
from napari_smse.workflows.settings.score import ScoreSettings
from support.annotated_slides import write_red_slide
from support.models import redness_model

pytestmark = pytest.mark.gui


class Listed:
    """The dock beside a viewer."""

    def __init__(self, viewer, until):
        self.viewer, self.until = viewer, until
        self.dock = SlidesDock(viewer)
        viewer.window.add_dock_widget(self.dock)
        self.session = session_of(viewer)

    def row(self, name):
        table = self.dock.table
        return next(n for n in range(table.rowCount()) if table.item(n, NAME).text() == name)

    def text(self, name, column):
        return self.dock.table.item(self.row(name), column).text()

    def known(self):
        self.until(lambda: not self.dock.entries.task.is_running)

    def choose(self, name):
        self.dock.table.selectRow(self.row(name))

    def tick(self, *names):
        for name in names:
            self.dock.table.item(self.row(name), NAME).setCheckState(Qt.CheckState.Checked)

    def state_case(self, name, case):
        self.dock.table.item(self.row(name), CASE).setText(case)

    def score(self):
        self.dock.panel.run.click()
        self.until(lambda: not self.dock.queue.is_running)
        self.until(lambda: not self.dock.runs.is_adding)
        self.known()


@pytest.fixture
def paths(tmp_path):
    names = ("S19-1234_A1", "S19-1234_B2", "other")
    return [write_red_slide(tmp_path, name, seed) for seed, name in enumerate(names)]


@pytest.fixture
def listed(viewer, until, model, paths, monkeypatch):
    monkeypatch.setattr(slides_dock, "read_card", lambda _name: model.card)
    monkeypatch.setattr(slides_dock, "show_error", lambda _text: None)
    monkeypatch.setattr("napari_smse.widgets.shown_runs.read_card", lambda _name: model.card)
    for path in paths[:2]:
        viewer.open(path, plugin="napari-smse")
    made = Listed(viewer, until)
    made.session.choose_scoring(ScoreChoice("mini", "mini", ScoreSettings((0.5,))))
    made.known()
    yield made
    made.dock.close()


def test_open_slides_are_listed_with_scale_case_and_state(listed):
    assert listed.dock.table.rowCount() == 2
    assert listed.text("S19-1234_A1", 1) == "0.5"
    assert listed.text("S19-1234_A1", CASE) == "S19-1234"
    assert listed.text("S19-1234_A1", STATE) == "not scored"
    item = listed.dock.table.item(0, CASE)
    assert item.font().italic()
    assert "guess" in item.toolTip()
    assert not listed.dock.table.item(0, NAME).icon().isNull()


def test_choosing_a_row_shows_that_slide_alone_and_each_keeps_its_zoom(listed):
    first, second = slide_layers(listed.viewer)
    assert (first.visible, second.visible) == (False, True)
    assert listed.dock.chosen.layer is second
    listed.viewer.scene.camera.zoom = 3.0
    listed.choose("S19-1234_A1")
    assert (first.visible, second.visible) == (True, False)
    listed.viewer.scene.camera.zoom = 0.7
    listed.choose("S19-1234_B2")
    assert listed.viewer.scene.camera.zoom == pytest.approx(3.0)
    # And the list follows what is chosen elsewhere.
    listed.session.choose(first)
    assert listed.dock.chosen.layer is first
    assert listed.viewer.scene.camera.zoom == pytest.approx(0.7)


def test_a_case_that_is_stated_is_known_again_when_the_slide_is_reopened(listed, paths):
    listed.state_case("S19-1234_A1", "  patient   7 ")
    assert listed.text("S19-1234_A1", CASE) == "patient 7"
    assert not listed.dock.table.item(listed.row("S19-1234_A1"), CASE).font().italic()
    listed.choose("S19-1234_A1")
    listed.dock.close_slide.click()
    assert [layer.name for layer in slide_layers(listed.viewer)] == ["S19-1234_B2"]
    listed.dock.files.open_slides([paths[0]])
    listed.known()
    assert listed.text("S19-1234_A1", CASE) == "patient 7"
    # Cleared, it is a guess again.
    listed.state_case("S19-1234_A1", "")
    assert listed.text("S19-1234_A1", CASE) == "S19-1234"
    assert listed.dock.table.item(listed.row("S19-1234_A1"), CASE).font().italic()


def test_a_stated_case_is_in_the_file_of_annotations_and_comes_back_from_it(
    listed, paths, tmp_path, until
):
    annotate = AnnotateDock(listed.viewer)
    listed.viewer.window.add_dock_widget(annotate)
    listed.choose("S19-1234_A1")
    listed.state_case("S19-1234_A1", "P1")
    until(lambda: not annotate.files._dirty or annotate.files._soon.isActive())
    annotate.files.save_now()
    assert Autosave(annotate.slide)._read is not None
    annotate.save_to(tmp_path / "a.geojson")
    listed.state_case("S19-1234_A1", "P2")
    annotate.import_from(tmp_path / "a.geojson")
    assert listed.text("S19-1234_A1", CASE) == "P1"
    assert remembered_case(annotate.slide) == "P1"
    annotate.close()


def test_hold_outs_take_the_case_of_the_list(listed, model):
    for name in ("S19-1234_A1", "S19-1234_B2"):
        listed.tick(name)
    listed.score()
    slides = scored_slides(listed.viewer)
    assert cases_of(slides) == ["S19-1234", "S19-1234"]
    listed.state_case("S19-1234_B2", "P2")
    assert cases_of(scored_slides(listed.viewer)) == ["S19-1234", "P2"]


def test_copies_are_told_in_one_line(listed, paths, tmp_path):
    assert not listed.dock.copies.isVisible()
    copy = shutil.copy(paths[0], tmp_path / "copy.tif")
    listed.dock.files.open_slides([tmp_path / "copy.tif"])
    listed.known()
    text = listed.dock.copies.text()
    assert copy
    assert text.startswith("copy shows the same tissue as S19-1234_A1: cases S19-1234 and copy")
    assert "count as one" in text
    # A case that is stated of one is stated of the other.
    listed.state_case("copy", "P1")
    assert listed.text("S19-1234_A1", CASE) == "P1"
    assert "one case in hold-outs" in listed.dock.copies.text()


def test_a_folder_is_listed_without_opening_it_and_a_double_click_opens(listed, tmp_path, until):
    listed.dock.files.add_folder(tmp_path)
    until(lambda: listed.dock.table.rowCount() == 3)
    listed.known()
    assert len(list(slide_layers(listed.viewer))) == 2
    assert listed.text("other", CASE) == "other"
    listed.state_case("other", "P9")
    listed.dock.table.itemDoubleClicked.emit(listed.dock.table.item(listed.row("other"), NAME))
    assert len(list(slide_layers(listed.viewer))) == 3
    listed.known()
    assert listed.dock.table.rowCount() == 3
    assert listed.text("other", CASE) == "P9"
    # Closed, it stays listed; closed again, it does not.
    listed.choose("other")
    listed.dock.close_slide.click()
    assert len(list(slide_layers(listed.viewer))) == 2
    listed.choose("other")
    listed.dock.close_slide.click()
    assert listed.dock.table.rowCount() == 2


def test_the_queue_scores_open_slides_and_files_and_a_bad_one_says_why(listed, tmp_path, until):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(write_red_slide(tmp_path, "whole", 9).read_bytes()[:3000])
    (tmp_path / "whole.tif").unlink()
    listed.dock.files.add_folder(tmp_path)
    until(lambda: listed.dock.table.rowCount() == 4)
    listed.known()
    first, second = slide_layers(listed.viewer)
    listed.dock.all.click()
    assert "4 of 4" in listed.dock.panel.count.text()
    listed.score()
    assert listed.dock.panel.state.text() == "3 slides scored; 1 could not be: see the list."
    assert "bad.tif" in listed.text("bad", STATE)
    assert "scored by mini 1 at 20x" in listed.text("S19-1234_A1", STATE)
    assert "scored before by mini 1 at 20x" in listed.text("other", STATE)
    for layer in (first, second):
        run = listed.session.run_of(layer)
        assert run.store.complete
        assert listed.session.maps_of(layer).maps.plan is run.plan
    # Only the slide in view shows its maps.
    seen = [layer for layer in layers_of_kind(listed.viewer, LayerKind.HEAT_MAP) if layer.visible]
    assert len(seen) == 1
    assert seen[0].name.endswith("S19-1234_B2")


def test_stored_scores_are_offered_when_the_slide_is_opened_later(listed, paths, until, tmp_path):
    listed.dock.files.add_folder(tmp_path)
    until(lambda: listed.dock.table.rowCount() == 3)
    listed.known()
    listed.tick("other")
    listed.score()
    listed.choose("other")
    assert not listed.dock.stored.isEnabled()  # it is not open
    listed.dock.files.open_slides([paths[2]])
    listed.known()
    listed.choose("other")
    assert listed.dock.stored.isEnabled()
    listed.dock.stored.click()
    layer = listed.dock.chosen.layer
    until(lambda: listed.session.run_of(layer) is not None)
    until(lambda: not listed.dock.runs.is_adding)
    run = listed.session.run_of(layer)
    assert run.store.complete
    assert "scored by mini 1 at 20x" in listed.text("other", STATE)
    shown = listed.session.maps_of(layer).maps.scores()[0].probability
    np.testing.assert_array_equal(shown, run.store.scale(0).probability)
    assert not listed.dock.stored.isEnabled()


def test_each_model_has_its_own_run_and_the_list_names_it(listed, until, monkeypatch):
    listed.tick("S19-1234_A1")
    listed.score()
    other = redness_model()
    monkeypatch.setattr(slides_dock, "read_card", lambda _name: other.card)
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _name: other)
    listed.session.choose_scoring(ScoreChoice("redness", "redness", ScoreSettings((0.5,))))
    assert "redness at 20x" in listed.dock.choice.text()
    listed.dock.none.click()
    listed.tick("S19-1234_B2")
    listed.score()
    assert "scored by mini 1" in listed.text("S19-1234_A1", STATE)
    assert "scored by redness 1" in listed.text("S19-1234_B2", STATE)
    first, second = slide_layers(listed.viewer)
    assert listed.session.run_of(first).card.name == "mini"
    assert listed.session.run_of(second).card.name == "redness"


def test_cancelling_leaves_what_was_scored_and_says_so(listed, until, monkeypatch):
    listed.dock.all.click()
    listed.dock.panel.run.click()
    until(lambda: any(one.queued.startswith("scoring") for one in listed.dock.entries))
    listed.dock.panel.cancel.click()
    assert not listed.dock.queue.is_running
    assert "Cancelled" in listed.dock.panel.state.text()
    assert "cancelled" in listed.text("S19-1234_B2", STATE)
    assert not ComputeLock("another").take()


def test_while_others_compute_the_queue_waits(listed):
    other = ComputeLock("A slide is being scored")
    assert not other.take()
    listed.tick("S19-1234_A1")
    listed.dock.panel.run.click()
    assert "A slide is being scored" in listed.dock.panel.problem.text()
    assert not listed.dock.queue.is_running
    other.give_back()


def test_a_slide_that_is_being_scored_is_not_closed(listed, until):
    listed.dock.all.click()
    listed.dock.panel.run.click()
    listed.choose("S19-1234_B2")
    listed.dock.close_slide.click()
    assert "is being scored" in listed.dock.panel.problem.text()
    assert len(list(slide_layers(listed.viewer))) == 2
    listed.dock.panel.cancel.click()


def test_closing_a_slide_takes_along_what_lies_on_it_and_keeps_what_is_drawn(listed, until):
    annotate = AnnotateDock(listed.viewer)
    listed.viewer.window.add_dock_widget(annotate)
    slide = annotate.slide
    annotate.drawing.layer.add(
        np.array([[10, 10], [10, 200], [200, 200], [200, 10]]), shape_type="polygon"
    )
    assert "1 region drawn" in listed.text(slide.name, STATE)
    annotate.close()
    listed.tick(slide.name)
    listed.score()
    listed.choose(slide.name)
    listed.dock.close_slide.click()
    assert not layers_of_kind(listed.viewer, LayerKind.HEAT_MAP, slide.quick_hash)
    assert not layers_of_kind(listed.viewer, LayerKind.ANNOTATIONS, slide.quick_hash)
    assert len(Autosave(slide).left_behind.annotations) == 1


def test_label_and_macro_are_shown_on_request_or_missed(listed, until, shared_data):
    listed.choose("S19-1234_A1")
    listed.dock.label.click()
    until(lambda: "has no label and no macro image" in listed.dock.message.text())
    listed.dock.files.open_slides([shared_data / "slides" / "CMU-1-Small-Region.svs"])
    listed.known()
    listed.dock.label.click()
    until(lambda: listed.dock.pictures is not None)
    assert list(listed.dock.pictures.pictures)[:2] == ["label", "macro"]
    listed.dock.pictures.close()


def test_an_empty_viewer_says_what_to_do(viewer, until, model):
    dock = SlidesDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert dock.message.text() == "Open slides, or add a folder of them."
    assert not dock.panel.run.isEnabled()
    dock.close()


def test_a_case_is_part_of_what_is_drawn_even_where_nothing_is(listed):
    listed.state_case("S19-1234_A1", "P1")
    entry = next(iter(listed.dock.entries))
    assert drawn_on(listed.viewer, entry.layer, entry.slide) == AnnotationSet(case="P1")


def test_a_page_over_all_slides_is_written_with_the_cases_of_the_list(
    listed, model, tmp_path, until, monkeypatch
):
    monkeypatch.setattr(
        "napari_smse.widgets.slides.cohort_saver.read_card", lambda _name: model.card
    )
    listed.tick("S19-1234_A1")
    listed.score()
    listed.state_case("S19-1234_A1", "P1")
    told, saver = [], listed.dock.cohort
    saver.described.connect(told.append)
    labels = tmp_path / "labels.csv"
    labels.write_text("case,label\nP1,malignant\nS19-1234,benign\n")
    assert saver.button.isEnabled()
    saver.write(tmp_path / "cohort.html", labels)
    until(lambda: not saver.task.is_running)
    html = (tmp_path / "cohort.html").read_text(encoding="utf-8")
    assert "1 slide scored, of 2 slides of 2 cases" in html
    assert html.count("data:image/jpeg") == 1
    assert ">P1<" in html
    assert "not scored" in html
    assert "benign lacks 2 cases, malignant lacks 1 case" in html
    assert "The page over 1 scored slide is in" in told[-1]
    assert listed.dock.message.text() == told[-1]


def test_labels_that_contradict_each_other_are_a_problem_of_the_dock(listed, tmp_path, until):
    labels = tmp_path / "labels.csv"
    labels.write_text("case,label\nP1,malignant\nP1,benign\n")
    listed.dock.cohort.write(tmp_path / "cohort.html", labels)
    until(lambda: not listed.dock.cohort.task.is_running)
    assert "gives the case P1 two labels" in listed.dock.panel.problem.text()
    assert not (tmp_path / "cohort.html").exists()


def test_the_page_and_labels_are_asked_for(listed, monkeypatch, tmp_path, until):
    saver, page = listed.dock.cohort, tmp_path / "cohort.html"
    place = "napari_smse.widgets.slides.cohort_saver."
    monkeypatch.setattr(place + "QFileDialog.getSaveFileName", lambda *_: (str(page), ""))
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(place + "QMessageBox.question", lambda *_: answers.pop(0))
    saver.button.click()
    until(lambda: not saver.task.is_running)
    assert page.exists()
    page.unlink()
    monkeypatch.setattr(place + "QFileDialog.getOpenFileName", lambda *_, **__: ("", ""))
    saver.button.click()  # labels are wanted, and none are chosen
    assert not saver.task.is_running
    assert not page.exists()
