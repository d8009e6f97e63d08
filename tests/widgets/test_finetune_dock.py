import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt

from generated import write_pyramid_tiff
from mini_training import TRUNK, mini_network
from napari_smse.learning.start import start_embedding
from napari_smse.network import ModelCard, load_model, read_card, save_model
from napari_smse.widgets import annotation_autosave, finetune_dock, finetune_job, score_job
from napari_smse.widgets.annotate_dock import AnnotateDock
from napari_smse.widgets.finetune_dock import FineTuneDock
from napari_smse.widgets.heat_layers import MAP_KEY
from napari_smse.widgets.score_dock import ScoreDock

pytestmark = pytest.mark.gui

GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (200, 60, 120)


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A real, tiny network in place of any other."""
    card = ModelCard(
        name="mini",
        version="1",
        classes=("benign", "malignant"),
        tile_px=64,
        mpp_range=(0.2, 0.6),
        trunk=TRUNK,
        embedding_dim=4,
    )
    made = load_model(save_model(seeing_network(), card, tmp_path / "mini"))
    for place in (score_job, finetune_job):
        monkeypatch.setattr(place, "load_model", lambda _name: made)
    monkeypatch.setattr(score_job, "runs_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr("napari_smse.widgets.score_dock.read_card", lambda _name: made.card)
    monkeypatch.setattr(annotation_autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return made


def seeing_network():
    """A tiny network that tells colours apart as a trained one does, and calls them wrong."""
    network = mini_network()
    rng = np.random.default_rng(0)
    mix = rng.uniform(size=(80, 1, 1, 1))
    tiles = mix * np.reshape(PINK, (1, 3, 1, 1)) + (1 - mix) * np.reshape(RED, (1, 3, 1, 1))
    tiles = np.clip(tiles + rng.normal(scale=6, size=(80, 3, 64, 64)), 0, 255).astype(np.uint8)
    with torch.no_grad():
        start_embedding(network, network.features(torch.from_numpy(tiles)).float())
        network.class_head.weight.mul_(-1)
    return network


@pytest.fixture
def told(monkeypatch):
    texts = []
    monkeypatch.setattr(finetune_dock, "show_error", texts.append)
    return texts


def write_slide(folder, name="slide", seed=0):
    """Pink tissue, red tissue, glass; 1536 x 768 px at 0.5 um/px."""
    rgb = np.full((768, 1536, 3), PINK, np.float64)
    rgb[:, 512:1024], rgb[:, 1024:] = RED, GLASS
    rgb += np.random.default_rng(seed).normal(scale=6, size=rgb.shape)
    path = folder / f"{name}.tif"
    write_pyramid_tiff(path, np.clip(rgb, 0, 255).astype(np.uint8), mpp=0.5)
    return path


class Docks:
    def __init__(self, viewer, until):
        self.viewer, self.until = viewer, until
        self.score, self.annotate, self.tune = (
            kind(viewer) for kind in (ScoreDock, AnnotateDock, FineTuneDock)
        )
        for dock in self.all:
            viewer.window.add_dock_widget(dock)

    @property
    def all(self):
        return self.score, self.annotate, self.tune

    def run_score(self):
        scales = self.score.form.scales
        for row in range(scales.count()):
            ticked = scales.item(row).data(Qt.ItemDataRole.UserRole) == 0.5
            state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
            scales.item(row).setCheckState(state)
        self.score.panel.run.click()
        self.until(lambda: not self.score.scoring.is_running)
        self.until(lambda: not self.score.live._adding.isActive())

    def draw(self, row, *places):
        self.annotate.table.choose(row)
        for x, y, width, height in places:
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
            self.annotate.drawing.layer.selected_data = set()
            self.annotate.drawing.layer.add(
                np.array([(b - 0.5, a - 0.5) for a, b in corners]), shape_type="rectangle"
            )

    def draw_both(self):
        self.draw(0, (0, 0, 320, 256), (0, 512, 320, 256))
        self.draw(1, (576, 0, 320, 256), (576, 512, 320, 256))

    def finetune(self):
        self.tune.panel.run.click()
        self.until(lambda: not self.tune.learning.is_running)

    @property
    def mapped(self):
        marks = (one.metadata.get(MAP_KEY) for one in self.viewer.layers)
        return {mark["class"] for mark in marks if mark}

    def map_of(self, name):
        (layer,) = (
            one for one in self.viewer.layers if one.metadata.get(MAP_KEY, {}).get("class") == name
        )
        return np.array(layer.data)


@pytest.fixture
def docks(viewer, model, told, tmp_path, until):
    viewer.open(write_slide(tmp_path), plugin="napari-smse")
    made = Docks(viewer, until)
    until(lambda: "tiles to score" in made.score.panel.count.text())
    yield made
    for dock in made.all:
        dock.close()


def contrast(values):
    """How much more malignant the red tissue is than the pink."""
    width = values.shape[1]
    third = width // 3
    return np.nanmean(values[:, third + 1 : 2 * third - 1]) - np.nanmean(values[:, : third - 1])


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Fine-tune")
    assert isinstance(dock, FineTuneDock)
    assert "First score a slide" in dock.panel.count.text()
    assert not dock.save.isEnabled()
    dock.close()


@pytest.mark.parametrize("loss", [0, 1])
def test_score_annotate_tune_look_roll_back_tune_keep(docks, tmp_path, until, loss, model):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.tune.loss.setCurrentIndex(loss)
    docks.tune.steps.setValue(400)
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert "Regions of the same slide are held out" in docks.tune.panel.warning.text()
    tuned = docks.map_of("malignant")
    assert contrast(own) < 0
    assert contrast(tuned) > 0.1
    assert docks.tune.table.item(0, 0).text() == "AUC"
    assert docks.tune.panel.state.text().startswith("Learnt from ")
    docks.tune.back.click()
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)
    assert not docks.tune.save.isEnabled()
    docks.finetune()
    np.testing.assert_allclose(docks.map_of("malignant"), tuned, atol=1e-5)
    docks.tune.save_to(tmp_path / "mine")
    until(lambda: "Kept as" in docks.tune.panel.state.text())
    card = read_card(tmp_path / "mine")
    assert card.parent.startswith("mini 1, weights ")
    # The kept model says of the slide's pixels what the map shows.
    loaded = load_model(tmp_path / "mine")
    tile = torch.tensor(RED, dtype=torch.uint8)[None, :, None, None].expand(1, 3, 64, 64)
    with torch.inference_mode():
        assert loaded.network(tile).logits.argmax() == 1
    # The model that was tuned is as it was.
    assert read_card(model.path).weights_sha256 == model.card.weights_sha256


def test_classes_of_ones_own_get_maps_of_their_own(docks):
    docks.run_score()
    docks.annotate.table.item(0, 1).setText("stroma")
    docks.annotate.table.item(1, 1).setText("tumour")
    docks.draw_both()
    docks.finetune()
    assert "new class head for stroma, tumour" in docks.tune.panel.warning.text()
    names = {
        one.metadata[MAP_KEY]["class"] for one in docks.viewer.layers if MAP_KEY in one.metadata
    }
    assert names == {"stroma", "tumour"}
    docks.tune.back.click()
    names = {
        one.metadata[MAP_KEY]["class"] for one in docks.viewer.layers if MAP_KEY in one.metadata
    }
    assert names == {"benign", "malignant"}


def test_cancel_leaves_everything_as_it_was(docks):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.tune.steps.setValue(5000)
    docks.tune.panel.run.click()
    docks.until(lambda: "learning" in docks.tune.panel.bar.format())
    docks.tune.panel.cancel.click()
    assert "as they were" in docks.tune.panel.state.text()
    assert docks.tune.result is None
    np.testing.assert_array_equal(docks.map_of("malignant"), own)
    docks.tune.steps.setValue(20)
    docks.finetune()
    assert docks.tune.result is not None


def test_what_is_missing_is_said(docks, told):
    docks.finetune()
    assert "First score a slide" in told[-1]
    docks.run_score()
    docks.finetune()
    assert "First score a slide" in told[-1]
    docks.draw(0, (0, 0, 320, 256))
    docks.finetune()
    assert "No image of class malignant" in told[-1]
    docks.draw(1, (576, 0, 320, 256))
    docks.finetune()
    assert "draw at least two regions of every class" in told[-1]
    assert docks.tune.result is None


def test_several_slides_are_held_out_whole(docks, tmp_path, until):
    docks.run_score()
    docks.draw_both()
    docks.viewer.open(write_slide(tmp_path, "second", 1), plugin="napari-smse")
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText("second"))
    docks.annotate.slides.setCurrentIndex(docks.annotate.slides.findText("second"))
    until(lambda: "tiles to score" in docks.score.panel.count.text())
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert not docks.tune.panel.warning.text()
    assert len(docks.tune.result.maps) == 2
