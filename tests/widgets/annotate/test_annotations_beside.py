"""Annotations beside a slide are offered once, and never loaded without a word."""

import os

import pytest
from shapely import box

from napari_smse.annotations import Annotation, AnnotationSet, write_annotations
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import annotations_beside
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.session import session_of
from support.annotated_slides import annotate, write_red_slide, write_tiles_beside

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(annotations_beside, "_answered", set())


@pytest.fixture
def path(tmp_path):
    return annotate(write_red_slide(tmp_path))


@pytest.fixture
def open_dock(viewer, until):
    made = []

    def open_it():
        dock = AnnotateDock(viewer)
        viewer.window.add_dock_widget(dock, name="SMSE: Annotate")
        made.append(dock)
        until(lambda: not dock.beside.reading.is_running)
        return dock

    yield open_it
    for dock in made:
        dock.close()


def drawn(dock):
    return dock.drawing.annotations().annotations


def test_they_are_offered_and_loaded_only_when_asked_for(viewer, path, open_dock):
    viewer.open(path, plugin="napari-smse")
    dock = open_dock()
    assert dock.beside_bar.is_asking
    assert dock.beside_bar.text.text() == "slide.geojson lies beside the slide, with 4 regions."
    assert not drawn(dock)
    dock.beside_bar.take.click()
    assert len(drawn(dock)) == 4
    assert not dock.beside_bar.is_asking


def test_a_slide_that_is_opened_later_is_looked_at_too(viewer, path, open_dock, until):
    dock = open_dock()
    assert not dock.beside_bar.is_asking
    viewer.open(path, plugin="napari-smse")
    until(lambda: dock.beside_bar.is_asking)


def test_who_does_not_want_them_is_not_asked_again(viewer, path, open_dock, until, tmp_path):
    first = viewer.open(path, plugin="napari-smse")[0]
    dock = open_dock()
    dock.beside_bar.drop.click()
    second = viewer.open(write_red_slide(tmp_path, "other", 3), plugin="napari-smse")[0]
    until(lambda: dock.slides.layer is second and not dock.beside.reading.is_running)
    assert not dock.beside_bar.is_asking
    session_of(viewer).choose(first)
    until(lambda: dock.slides.layer is first and not dock.beside.reading.is_running)
    assert not dock.beside_bar.is_asking
    dock.close()
    assert not open_dock().beside_bar.is_asking


def test_a_file_that_is_written_anew_is_offered_again(viewer, path, open_dock):
    viewer.open(path, plugin="napari-smse")
    dock = open_dock()
    dock.beside_bar.drop.click()
    dock.close()
    file = path.with_suffix(".geojson")
    write_annotations(file, AnnotationSet((Annotation("benign", box(0, 0, 90, 90)),)))
    os.utime(file, (2_000_000_000, 2_000_000_000))
    assert "1 region." in open_dock().beside_bar.text.text()


def test_what_is_drawn_already_is_not_offered(viewer, path, open_dock):
    viewer.open(path, plugin="napari-smse")
    dock = open_dock()
    dock.import_from(path.with_suffix(".geojson"))
    assert not dock.beside_bar.is_asking
    dock.files.save_now()
    dock.close()
    again = open_dock()
    assert len(drawn(again)) == 4
    assert not again.beside_bar.is_asking


def test_what_was_changed_since_is_not_put_back(viewer, path, open_dock):
    viewer.open(path, plugin="napari-smse")
    dock = open_dock()
    file = path.with_suffix(".geojson")
    dock.import_from(file)
    written = drawn(dock)
    dock.drawing.layer.selected_data = {0}
    dock.drawing.choose_class("malignant")
    dock.files.save_now()
    more = AnnotationSet((*written, Annotation("benign", box(400, 0, 500, 90))))
    write_annotations(file, more)
    dock.close()
    again = open_dock()
    assert "1 region." in again.beside_bar.text.text()
    again.beside_bar.take.click()
    assert [one.class_name for one in drawn(again)].count("malignant") == 3
    assert len(drawn(again)) == 5


def test_what_a_crash_left_is_asked_about_first(viewer, path, open_dock, tmp_path):
    slide = viewer.open(path, plugin="napari-smse")[0].metadata["napari_smse_slide"]
    autosave.Autosave(slide).save(AnnotationSet((Annotation("benign", box(0, 0, 64, 64)),)))
    dock = open_dock()
    assert dock.recovery.is_asking
    assert not dock.beside_bar.is_asking
    dock.recovery.take.click()
    assert dock.beside_bar.is_asking


def test_tiles_that_a_run_exported_are_not_offered(viewer, tmp_path, open_dock):
    path = write_red_slide(tmp_path)
    write_tiles_beside(path)
    viewer.open(path, plugin="napari-smse")
    assert not open_dock().beside_bar.is_asking


def test_a_file_that_cannot_be_read_is_not_offered(viewer, path, open_dock):
    path.with_suffix(".geojson").write_text("{")
    viewer.open(path, plugin="napari-smse")
    assert not open_dock().beside_bar.is_asking
