"""What is out of distribution, in the Score dock: figures, stripes, and what is saved."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as parquet
import pytest
from qtpy.QtCore import Qt

from napari_smse.similarity.ood import reference as reference_module
from napari_smse.similarity.ood.reference import (
    OodReference,
    fitted_appearance,
    save_ood_reference,
)
from napari_smse.tiles.appearance import MEASURES, appearance_features
from napari_smse.widgets.layers.heat_map_layers import shown_map
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind

pytestmark = pytest.mark.gui
PINK = (205, 150, 190)


@pytest.fixture
def knows_pink(redness, monkeypatch, tmp_path):
    """A model that knows nothing but even pink tissue."""
    rng = np.random.default_rng(0)
    tiles = np.full((1, 64, 64, 3), PINK, np.uint8)
    known = appearance_features(tiles)[0] + rng.normal(0, 0.05, (300, len(MEASURES)))
    pink = tuple(fitted_appearance("pink", mpp, known, 12.0) for mpp in (0.25, 0.5))
    path = tmp_path / "redness.looks.json"
    save_ood_reference(OodReference(model=redness.card.weights_sha256, appearances=pink), path)
    monkeypatch.setattr(reference_module, "ood_reference_path", lambda _model: path)
    return redness


@pytest.fixture
def dock(viewer, knows_pink, slide_path, until):
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


def run(dock, until, *mpps):
    scales = dock.form.scales
    for row in range(scales.count()):
        item = scales.item(row)
        ticked = item.data(Qt.ItemDataRole.UserRole) in mpps
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    until(lambda: not dock.live._adding.isActive() and not dock.live.ood.task.is_running)


def hatched(viewer):
    layers = layers_of_kind(viewer, LayerKind.OUT_OF_DISTRIBUTION)
    return layers[0].data > 0 if layers else None


def test_after_a_run_the_share_of_each_scale_is_told_and_stays_when_another_is_added(
    dock, viewer, until
):
    run(dock, until, 0.5)
    alone = dock.controls.banner.text()
    assert alone.startswith("Out of distribution: ")
    assert "tiles at 20x, 0.5 µm/px" in alone
    run(dock, until, 0.25, 0.5)
    both = dock.controls.banner.text()
    share = alone.removeprefix("Out of distribution: ").split(". They")[0]
    assert share in both
    assert "tiles at 40x, 0.25 µm/px" in both


def test_stripes_follow_the_map_that_is_seen_and_the_switch(dock, viewer, until):
    run(dock, until, 0.25, 0.5)
    shown = {shown_map(layer).scale: layer for layer in layers_of_kind(viewer, LayerKind.HEAT_MAP)}
    dock.controls.which.setCurrentIndex(dock.controls.which.findText("P(malignant) 20x"))
    coarse = hatched(viewer)
    assert coarse.shape == shown["20x"].data.shape
    dock.controls.which.setCurrentIndex(dock.controls.which.findText("P(malignant) 40x"))
    fine = hatched(viewer)
    assert fine.shape == shown["40x"].data.shape
    # The red square lights up, and most of the pink tissue does not.
    assert 0 < fine.mean() < 0.2
    assert 0 < coarse.mean() < 0.2
    dock.controls.out_of_distribution.setChecked(False)
    assert hatched(viewer) is None
    dock.controls.out_of_distribution.setChecked(True)
    assert hatched(viewer) is not None


def test_what_is_saved_is_what_is_hatched(dock, viewer, until, tmp_path):
    run(dock, until, 0.5)
    dock.save_to(tmp_path / "out")
    until(lambda: not dock.saver.task.is_running)
    rows = parquet.read_table(tmp_path / "out" / "slide" / "tiles.parquet").to_pylist()
    unlike = [row["ood"] > 1 for row in rows]
    assert any(unlike)
    assert [row["call"] == "out of distribution" for row in rows] == unlike
    told = dock.controls.banner.text()
    share = f"{np.mean(unlike):.0%}".replace("%", " %")
    assert told.startswith(f"Out of distribution: {share} (95 % interval ")
    assert f"of {len(rows)} tiles at 20x" in told


def test_at_a_scale_that_the_model_never_saw_nothing_is_called_on_screen_or_in_files(
    dock, viewer, until, tmp_path
):
    run(dock, until, 1.0)
    shown = [layer.data for layer in layers_of_kind(viewer, LayerKind.HEAT_MAP)]
    np.testing.assert_array_equal(hatched(viewer), np.isfinite(shown[0]))
    told = dock.controls.banner.text()
    assert "Nothing is called at 10x, 1 µm/px, outside the model's magnifications" in told
    dock.save_to(tmp_path / "out")
    until(lambda: not dock.saver.task.is_running)
    rows = parquet.read_table(tmp_path / "out" / "slide" / "tiles.parquet").to_pylist()
    assert {row["call"] for row in rows} == {"out of distribution"}


def test_another_um_per_px_takes_the_figures_away(dock, viewer, until):
    run(dock, until, 0.5)
    assert dock.controls.banner.isVisibleTo(dock)
    dock.form.mpp_typed.emit(0.3)
    assert not dock.controls.banner.isVisibleTo(dock)
    assert hatched(viewer) is None


def test_the_mean_is_hatched_where_its_scales_are_out_of_distribution(dock, viewer, until):
    run(dock, until, 0.25, 0.5)
    names = [dock.controls.which.itemText(n) for n in range(dock.controls.which.count())]
    (mean,) = [name for name in names if "mean" in name]
    dock.controls.which.setCurrentText(mean)
    (layer,) = layers_of_kind(viewer, LayerKind.OUT_OF_DISTRIBUTION)
    red, pink = (layer.world_to_data((0.25 * y, 0.25 * x)) for x, y in ((576, 320), (250, 800)))
    at = [layer.data[tuple(np.rint(place).astype(int))] > 0 for place in (red, pink)]
    assert at == [True, False]
