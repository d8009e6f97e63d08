import pytest
from qtpy.QtWidgets import QFileDialog

from napari_smse.annotations import read_annotations
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import dock as annotate_dock
from napari_smse.widgets.annotate.dock import AnnotateDock
from support.annotated_slides import annotate

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Unsaved annotations lie here."""
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return tmp_path / "unsaved"


@pytest.fixture
def told(monkeypatch):
    """What the user was told went wrong."""
    texts = []
    monkeypatch.setattr(annotate_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def dock(viewer, told):
    made = AnnotateDock(viewer)
    yield made
    made.close()


@pytest.fixture
def answer(monkeypatch):
    """Answers the next file dialog with a path, and says which path the dialog offered."""
    offered = []

    def answering(path):
        def choose(_parent, _title, usual, _filter):
            offered.append(usual)
            return str(path), ""

        for dialog in ("getOpenFileName", "getSaveFileName"):
            monkeypatch.setattr(QFileDialog, dialog, choose)
        return offered

    return answering


def test_a_file_is_asked_for_to_import_and_to_save(dock, viewer, slide_path, tmp_path, answer):
    viewer.open(slide_path, plugin="napari-smse")
    answer(annotate(tmp_path / "drawn.tif").with_suffix(".geojson"))
    dock.load.click()
    assert dock.drawing.count == 4
    offered = answer(tmp_path / "saved.geojson")
    dock.save.click()
    assert offered[-1] == str(slide_path.with_suffix(".geojson"))
    assert len(read_annotations(tmp_path / "saved.geojson").annotations) == 4


def test_no_answer_changes_nothing(dock, viewer, slide_path, tmp_path, answer, told):
    viewer.open(slide_path, plugin="napari-smse")
    answer("")
    dock.load.click()
    dock.save.click()
    assert dock.drawing.count == 0
    assert told == []


def test_without_a_slide_nothing_is_imported_or_saved(dock, tmp_path, answer, told):
    path = annotate(tmp_path / "drawn.tif").with_suffix(".geojson")
    offered = answer(path)
    before = path.read_bytes()
    dock.load.click()
    dock.save.click()
    dock.save_to(path)
    # What to import was asked for, and nothing else.
    assert offered == [""]
    assert path.read_bytes() == before
    assert len(told) == 2
    assert all("Open a slide first" in text for text in told)
