"""What a run leaves to be found out for the next ones."""

import pytest

from napari_smse.widgets.score import run_planner
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.slide_layers import slide_of
from support.icc_profiles import wide_profile
from support.shell import section
from support.slides import write_pyramid_tiff

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


def test_tissue_is_counted_in_the_colours_that_are_scored(viewer, redness, tmp_path, until):
    path = write_pyramid_tiff(tmp_path / "a.tif", section(), iccprofile=wide_profile())
    viewer.open(path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    layer, counter = made.form.slide_layer, made.planner.counter
    slide = slide_of(layer)
    assert counter.known_tissue(slide) is not None
    assert counter.known_tissue(slide, icc=True) is None
    made.form.options.choose(icc=True)
    until(lambda: counter.known_tissue(slide, icc=True) is not None)
    job = made.planner.job(layer, lambda _run: None)
    assert job.request.icc
    assert job.mask is counter.known_tissue(slide, icc=True)
    assert job.slide is slide
    made.close()


def test_a_slide_without_a_profile_says_so_before_it_is_scored(dock, until):
    dock.form.options.choose(icc=True)
    until(lambda: "no ICC profile to apply" in dock.panel.count.text())
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    assert dock.shown_run is None


def test_the_dock_asks_for_the_first_tile_at_once(dock):
    assert dock.planner.job(dock.form.slide_layer, lambda _run: None).at_once
