"""Runs one after the other, in one viewer, leave next to nothing behind."""

from __future__ import annotations

import gc
import os

import psutil
import pytest

from napari_smse.widgets.score.dock import ScoreDock

pytestmark = [pytest.mark.gui, pytest.mark.slow]

RUNS = int(os.environ.get("SMSE_RUNS_IN_MEMORY_TEST", "20"))
"""After as many of a warm-up; a hundred were measured by setting it."""
_WARM_UP = 10


@pytest.fixture
def dock(viewer, redness, slide_path, until):
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


def memory_of_this_process() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def test_memory_rises_by_less_than_a_tenth(dock, viewer, redness, until):
    figures = []
    for run in range(_WARM_UP + RUNS):
        before = len(redness.network.batches)
        dock.form.again.setChecked(True)
        dock.panel.run.click()
        until(lambda: not dock.scoring.is_running)
        assert len(redness.network.batches) > before  # it was scored anew
        if (run + 1) % 10 == 0:
            figures.append(memory_of_this_process() / 2**20)
    layers = len(viewer.layers)
    print("MB after every ten runs:", *(f"{figure:.0f}" for figure in figures))
    assert figures[-1] < 1.1 * figures[0]
    assert layers <= 5  # no maps of earlier runs are left
