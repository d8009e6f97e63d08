"""Two real slides and a tuned model in one viewer, as a pathologist would have them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from napari_smse.finetuning import history
from napari_smse.models import read_card
from napari_smse.widgets import autosave
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.result_panel import AFTER, BEFORE
from napari_smse.widgets.layers.tile_marker import marked
from napari_smse.workflows import score_slide
from support.docks import Docks
from support.slides import write_pyramid_tiff

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.shown]
FIRST, SECOND = "CMU-1-Small-Region", "breast"


@pytest.fixture
def real(viewer, until, shared_data, tmp_path, monkeypatch):
    """Skin by one scanner and breast by another laboratory, scored by the bundled model."""
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr(history, "history_folder", lambda: tmp_path / "history")
    picture = sorted((shared_data / "breast_ucsb").rglob("*.jpg"))[0]
    pixels = np.asarray(Image.open(picture))
    write_pyramid_tiff(tmp_path / f"{SECOND}.tif", pixels, mpp=0.45)
    made = Docks(viewer, until)
    for path in (shared_data / "slides" / f"{FIRST}.svs", tmp_path / f"{SECOND}.tif"):
        viewer.open(path, plugin="napari-smse")
        until(lambda: "to score:" in made.score.panel.count.text())
        made.run_score()
        assert not made.score.panel.problem.text()
    evidence = EvidenceDock(viewer)
    viewer.window.add_dock_widget(evidence)
    until(lambda: evidence.read is not None)
    yield made, evidence
    for dock in (*made.all, evidence):
        dock.close()


def choose(docks, evidence, name):
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText(name))
    docks.until(lambda: not any(task.is_running for task in evidence._tasks))
    docks.until(lambda: evidence.read is not None and evidence.read.slide.name == name)


def draw_around_tiles(docks):
    """Two regions of either class, where there is tissue: the upper ones benign."""
    (tiles,) = docks.score.shown_run.plan.scales
    order = np.argsort(tiles.y, kind="stable")
    for row, shares in enumerate(((0.1, 0.35), (0.6, 0.9))):
        for share in shares:
            tile = tiles.region(int(order[int(share * len(tiles))]))
            side = tile.width
            docks.draw(row, (tile.x - side // 4, tile.y - side // 4, side * 3 // 2, side * 3 // 2))


def saved(docks, folder):
    name = docks.score.slide.name
    docks.score.save_to(folder)
    docks.until(lambda: not docks.score.saver.task.is_running)
    record = json.loads((folder / name / "run.json").read_text())
    table = pq.read_table(folder / name / "tiles.parquet")
    (scale,) = docks.score.live.layers.maps.scores()
    np.testing.assert_array_equal(table["p_malignant"].to_numpy(), scale.probability[:, 1])
    assert record["slide"]["quick_hash"] == docks.score.slide.quick_hash
    return record["model"]["weights_sha256"]


def test_all_that_is_shown_and_saved_is_of_one_slide_and_one_model(real, tmp_path):
    docks, evidence = real
    bundled = read_card("bundled").weights_sha256
    choose(docks, evidence, FIRST)
    assert not docks.viewer.layers[SECOND].visible
    assert saved(docks, tmp_path / "scored") == bundled
    draw_around_tiles(docks)
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    tuned = read_card(docks.tune.result.saved_path).weights_sha256
    choose(docks, evidence, FIRST)
    for which, model in ((AFTER, tuned), (BEFORE, bundled), (AFTER, tuned)):
        docks.tune.outcome.view.setCurrentText(which)
        choose(docks, evidence, FIRST)
        assert evidence.read.model == model
        assert saved(docks, tmp_path / f"tuned {which}") == model
    # The other slide was not learnt from: it is as the bundled model scored it.
    choose(docks, evidence, SECOND)
    assert evidence.read.model == bundled
    assert saved(docks, tmp_path / "other") == bundled
    docks.score.table.selectRow(0)
    tile, layer = docks.score.table.tiles.tile(0).region, docks.viewer.layers[SECOND]
    np.testing.assert_allclose(
        marked(docks.viewer)[0], (np.array([tile.y, tile.x]) - 0.5) * layer.scale, rtol=1e-6
    )
    assert not docks.viewer.layers[FIRST].visible
