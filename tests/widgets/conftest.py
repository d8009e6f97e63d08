from __future__ import annotations

import gc

import pytest
from qtpy.QtWidgets import QApplication

from napari_smse.finetuning import history
from napari_smse.widgets import autosave
from napari_smse.widgets.driver_workarounds import guard_against_triton, keep_programs
from napari_smse.widgets.finetune import dock as finetune_dock
from napari_smse.widgets.index import settings as index_settings
from napari_smse.workflows import fine_tune, reference_pictures, score_slide
from support.annotated_slides import write_red_slide
from support.docks import Docks, seeing_model
from support.models import hide_bundled_reference


@pytest.fixture(autouse=True)
def no_index_chosen(monkeypatch, tmp_path):
    """Nothing that is scored goes into an index that another test chose."""
    monkeypatch.setattr(index_settings, "choice_path", lambda: tmp_path / "chosen_index.json")
    index_settings.index_settings.cache_clear()
    yield
    index_settings.index_settings.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def what_stays_is_not_collected():
    """Spare the garbage collector what outlives tests: napari has it go through all in each."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(make_napari_viewer, request):
    """A real viewer; its window is shown to tests marked `shown` alone.

    What is shown is painted after every event, in software, which takes longer than most of what
    is tested.
    """
    made = make_napari_viewer(show=request.node.get_closest_marker("shown") is not None)
    guard_against_triton()
    keep_programs()
    return made


@pytest.fixture
def redness(redness, monkeypatch):
    """The model whose answers are known, in place of any other, in the Score dock, too."""
    monkeypatch.setattr("napari_smse.widgets.score.dock.read_card", lambda _name: redness.card)
    return redness


@pytest.fixture
def until(qtbot):
    """Wait until something holds, letting the viewer live."""

    def wait(condition, timeout=30_000):
        qtbot.waitUntil(condition, timeout=timeout)

    return wait


@pytest.fixture
def settle():
    def process():
        for _ in range(5):
            QApplication.processEvents()

    return process


@pytest.fixture
def own_model(tmp_path):
    """The model that `model` puts in place of any other."""
    return seeing_model(tmp_path)


@pytest.fixture
def model(own_model, monkeypatch, tmp_path):
    """A real, tiny network in place of any other; everything is kept in tmp_path."""
    made = own_model
    hide_bundled_reference(monkeypatch)
    for place in (score_slide, fine_tune, reference_pictures):
        monkeypatch.setattr(place, "load_cached_model", lambda _name: made)
    monkeypatch.setattr(
        reference_pictures, "pictures_path", lambda sha: tmp_path / f"{sha}.pictures"
    )
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr("napari_smse.widgets.score.dock.read_card", lambda _name: made.card)
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(history, "history_folder", lambda: tmp_path / "history")
    return made


@pytest.fixture
def told(monkeypatch):
    """What the fine-tune dock complained of."""
    texts = []
    monkeypatch.setattr(finetune_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def docks(viewer, model, told, tmp_path, until):
    """All docks, and a slide in the viewer."""
    viewer.open(write_red_slide(tmp_path), plugin="napari-smse")
    made = Docks(viewer, until)
    until(lambda: "to score:" in made.score.panel.count.text())
    yield made
    for dock in made.all:
        dock.close()
