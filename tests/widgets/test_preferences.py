"""What is chosen in napari's Preferences is what a slide is scored with at first."""

import pytest
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from napari.settings import get_plugin_settings

from napari_smse.widgets.preferences import PLUGIN, preferred_scoring
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.workflows.batch.score_queue import ScoreChoice

pytestmark = pytest.mark.gui


@pytest.fixture
def score():
    """The settings, which are as they were afterwards."""
    settings = get_plugin_settings(PLUGIN).score
    before = settings.model_dump()
    yield settings
    settings.update(before)


def test_at_first_all_is_as_usual(score):
    assert preferred_scoring() == ScoreChoice()


def test_a_plugin_that_is_not_installed_has_no_preferences(monkeypatch):
    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr("napari_smse.widgets.preferences.get_plugin_settings", unknown)
    assert preferred_scoring() == ScoreChoice()


def test_docks_and_queue_start_with_what_is_preferred(viewer, redness, score, until):
    score.update(
        {"tile_overlap": 50, "min_tissue": 10, "device": "cpu", "precision": "int8", "model": " "}
    )
    dock = ScoreDock(viewer)
    settings = dock.form.settings
    assert (settings.overlap, settings.min_tissue, settings.precision) == (0.5, 0.1, "int8")
    until(lambda: "CPU" in dock.form.device.currentText())
    assert dock.form.settings.device == "cpu"
    assert dock.form.model_name == "bundled"
    assert session_of(viewer).score_choice.settings.overlap == 0.5
    dock.close()


def test_a_device_that_is_not_here_is_automatic(viewer, redness, score, until, monkeypatch):
    score.device = "mps"
    dock = ScoreDock(viewer)
    until(lambda: dock.form.device.currentText().startswith("Automatic:"))
    assert dock.form.settings.device == "auto"
    dock.close()


def test_another_model_is_looked_at_and_chosen(viewer, own_model, score, until, monkeypatch):
    score.model = str(own_model.path)
    dock = ScoreDock(viewer)
    until(lambda: dock.form.model_name == str(own_model.path))
    dock.close()


@pytest.mark.parametrize(
    ("model", "problem"),
    [("gone.safetensors", "gone.safetensors"), ("x" * 999, "The preferred model cannot be read")],
)
def test_a_model_that_is_gone_leaves_the_bundled_one(
    viewer, redness, score, until, monkeypatch, model, problem
):
    told = []
    monkeypatch.setattr("napari_smse.widgets.score.dock.show_error", told.append)
    score.model = model
    dock = ScoreDock(viewer)
    until(lambda: any(problem in text for text in told))
    assert dock.form.model_name == "bundled"
    dock.close()


@pytest.mark.parametrize(
    ("name", "value"), [("tile_overlap", 91), ("min_tissue", -1), ("device", "tpu")]
)
def test_what_cannot_be_is_refused(score, name, value):
    with pytest.raises(ValueError, match=name):
        setattr(score, name, value)


def test_the_preferences_of_napari_show_them(qtbot, score):
    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    titles = {dialog._list.item(row).text() for row in range(dialog._list.count())}
    assert any("SMSE" in title or PLUGIN in title for title in titles), titles
