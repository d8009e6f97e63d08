"""A Score dock that reads models as they are on disk."""

import pytest

from napari_smse.widgets.score import dock as score_dock
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.workflows import score_slide


@pytest.fixture
def told(monkeypatch):
    """What the user was told went wrong."""
    texts = []
    monkeypatch.setattr(score_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def dock(viewer, slide_path, until, told, tmp_path, monkeypatch):
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


@pytest.fixture
def pick(dock, until):
    """Pick a file as a model, and wait for what comes of it."""

    def picking(path):
        dock.form.models.picked.emit(str(path))
        until(lambda: not dock.models.task.is_running)

    return picking
