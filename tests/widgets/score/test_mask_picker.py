"""Tissue from a file and sharpness, in the Score dock."""

import numpy as np
import platformdirs
import pytest
from napari.layers import Image, Labels

from napari_smse.segmentation import weights
from napari_smse.segmentation.networks import GRANDQC_ARTEFACTS
from napari_smse.segmentation.weights import Segmenter
from napari_smse.tiles import ARTEFACTS, Ground
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind
from support.tissue_masks import ColourNetwork, write_mask

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer, redness, slide_path, until, tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


@pytest.fixture
def drawn(tmp_path):
    boxes = [("", (0, 0, 900, 1100)), ("Fold", (0, 0, 900, 550))]
    return write_mask(tmp_path / "mask.geojson", boxes)


def _tissue(viewer):
    (layer,) = layers_of_kind(viewer, LayerKind.TISSUE)
    assert isinstance(layer, Labels)
    return layer


def test_a_drawn_mask_is_counted_shown_and_scored_by(dock, viewer, drawn, until):
    by_colour = dock.panel.count.text()
    assert dock.form.settings.tissue_mask is None
    assert not dock.form.masks.kinds.isEnabled()
    dock.form.masks.choose(str(drawn))
    until(lambda: dock.panel.count.text() not in (by_colour, "Counting tiles …", ""))
    without_folds = dock.panel.count.text()
    dock.form.tissue.click()
    until(lambda: bool(layers_of_kind(viewer, LayerKind.TISSUE)))
    assert "fold" in dock.panel.state.text()
    layer = _tissue(viewer)
    assert (layer.data == Ground.FOLD).any()
    assert list(layer.features["shows"])[Ground.BLUR] == "out of focus"
    dock.form.masks.actions_by_name["fold"].trigger()
    until(lambda: dock.panel.count.text() not in (without_folds, "Counting tiles …"))
    assert dock.form.settings.leave_out == ("foreign", "pen", "bubble", "blur")
    dock.form.masks.actions_by_name["fold"].trigger()
    dock.run()
    until(lambda: not dock.scoring.is_running)
    run = dock.shown_run
    assert run.plan.scales[0].y.min() > 500
    assert any("Tiles left out for artefacts" in warning for warning in run.warnings)
    assert "--tissue-mask" in dock.planner.script().command


def test_a_mask_that_is_cleared_is_tissue_by_colour_again(dock, drawn, until):
    by_colour = dock.panel.count.text()
    dock.form.masks.choose(str(drawn))
    until(lambda: dock.panel.count.text() not in (by_colour, "Counting tiles …", ""))
    dock.form.masks.file.clear()
    until(lambda: dock.panel.count.text() == by_colour)
    assert dock.form.settings.leave_out == tuple(ARTEFACTS)


def test_what_is_wrong_with_a_mask_is_said_where_tiles_are_counted(dock, until):
    dock.form.masks.choose("gone.geojson")
    until(lambda: "gone.geojson cannot be read" in dock.panel.count.text())


def test_a_network_finds_tissue_when_it_is_asked_for(dock, viewer, until, tmp_path, monkeypatch):
    monkeypatch.setattr(
        weights,
        "load_segmenter",
        lambda path, mpp, device: Segmenter(GRANDQC_ARTEFACTS, mpp, ColourNetwork(), device),
    )
    path = tmp_path / "GrandQC_MPP1.pth"
    path.write_bytes(b"weights")
    dock.form.masks.choose(str(path))
    until(lambda: "Show tissue" in dock.panel.count.text())
    dock.form.tissue.click()
    until(lambda: bool(layers_of_kind(viewer, LayerKind.TISSUE)))
    assert (_tissue(viewer).data == Ground.TISSUE).any()
    until(lambda: "to score:" in dock.panel.count.text())
    dock.form.tissue.click()
    assert not layers_of_kind(viewer, LayerKind.TISSUE)


def test_sharpness_takes_the_place_of_the_map_and_follows_its_slide(
    dock, viewer, until, tmp_path, slide_path
):
    dock.run()
    until(lambda: not dock.scoring.is_running)
    until(lambda: not dock.live._adding.isActive())
    shown = dock.live.layers.shown
    assert shown is not None
    dock.controls.sharpness.setChecked(True)
    (layer,) = layers_of_kind(viewer, LayerKind.SHARPNESS)
    assert isinstance(layer, Image)
    assert np.isfinite(layer.data).any()
    assert dock.live.layers.shown is None
    other = tmp_path / "other.tif"
    other.write_bytes(slide_path.read_bytes() + b"another")
    first = session_of(viewer).slide_layer
    viewer.open(other, plugin="napari-smse")
    assert not any(one.visible for one in layers_of_kind(viewer, LayerKind.SHARPNESS))
    session_of(viewer).choose(first)
    (layer,) = layers_of_kind(viewer, LayerKind.SHARPNESS)
    assert layer.visible
    dock.controls.sharpness.setChecked(False)
    assert not layers_of_kind(viewer, LayerKind.SHARPNESS)
    assert dock.live.layers.shown == shown


def test_a_map_that_is_chosen_takes_the_place_of_sharpness(dock, viewer, until):
    dock.run()
    until(lambda: not dock.scoring.is_running)
    until(lambda: not dock.live._adding.isActive())
    dock.controls.sharpness.setChecked(True)
    dock.live.layers.show_only(dock.controls.which.currentData())
    assert not dock.controls.sharpness.isChecked()
    assert not layers_of_kind(viewer, LayerKind.SHARPNESS)
    assert dock.live.layers.shown == dock.controls.which.currentData()
