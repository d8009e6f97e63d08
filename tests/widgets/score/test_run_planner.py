"""What a run leaves to be found out for the next ones."""

import pytest

from napari_smse.widgets.score import run_planner
from napari_smse.widgets.score.dock import ScoreDock

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer, redness, slide_path, until):
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


def test_the_fastest_way_is_looked_for_once_a_run_is_done(dock, until, monkeypatch):
    settled = []
    monkeypatch.setattr(run_planner, "settle_runtime", settled.append)
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    until(lambda: bool(settled))
    assert settled == [dock.shown_run]
    until(lambda: not dock.planner.measuring.is_running)


def test_the_dock_asks_for_the_first_tile_at_once(dock):
    assert dock.planner.job(dock.form.slide_layer, lambda _run: None).at_once
