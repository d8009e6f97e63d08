"""An encoder alone in the docks: no map, and everything else, until regions are its classes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.models import load_model
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.embedding_map.messages import describe_tile
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.layers.example_layer import Side
from napari_smse.widgets.similar.dock import SimilarDock
from napari_smse.widgets.slide_layers import LayerKind, layers_of_kind
from napari_smse.widgets.suggest.dock import SuggestDock
from napari_smse.widgets.tile_files import feature_files
from napari_smse.workflows.runs.feature_run import is_of_features
from support.docks import run_in_force
from support.encoders import empty_hub, tiny_weights
from support.feature_files import write_features

__all__ = ["empty_hub", "tiny_weights"]  # fixtures

pytestmark = pytest.mark.gui


@pytest.fixture
def own_model(tiny_weights):
    return load_model("tiny", encoder_weights=tiny_weights)


def test_a_slide_is_embedded_without_a_map(docks, until, tmp_path):
    docks.run_score()
    score = docks.score
    assert not score.panel.problem.text()
    assert not layers_of_kind(docks.viewer, LayerKind.HEAT_MAP)
    assert "knows no classes" in score.panel.state.text()
    assert score.table.tiles.headers == ["Scale", "x", "y", "Tissue"]
    assert score.table.tiles.rowCount() == score.shown_run.plan.tile_count
    assert not score.controls.isVisibleTo(score)


def test_regions_are_its_first_classes(docks, until):
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    assert docks.mapped == {"malignant"}
    layer = docks.score.session.slide_layer
    assert run_in_force(layer).card.knows_classes
    assert docks.score.controls.isVisibleTo(docks.score)


def test_regions_are_classes_of_its_features_in_a_file(docks, tmp_path):
    docks.run_score()
    run = docks.score.shown_run
    tiles = run.plan.scales[0]
    path = write_features(
        tmp_path / "features_tiny" / "slide.h5",
        np.column_stack([tiles.x, tiles.y]),
        run.store.scale(0).embedding,
        tiles.grid.edge,
    )
    docks.viewer.open(str(path), plugin="napari-smse")
    runs = feature_files(docks.viewer).runs
    docks.until(lambda: not runs.task.is_running and not runs.is_adding)
    layer = docks.score.session.slide_layer
    assert is_of_features(run_in_force(layer))
    assert run_in_force(layer).card == run.card
    docks.draw_both()
    docks.finetune()
    assert not docks.tune.panel.problem.text()
    assert docks.mapped == {"malignant"}


@pytest.fixture
def beside(docks):
    """Opens another dock beside those of the slide that is embedded."""
    made = []

    def opening(kind):
        docks.run_score()
        made.append(kind(docks.viewer))
        docks.viewer.window.add_dock_widget(made[-1], name=kind.__name__)
        return made[-1]

    yield opening
    for dock in made:
        dock.close()


def test_reference_tiles_are_added_and_vote(docks, beside):
    dock = beside(EvidenceDock)

    def quiet():
        return not any(task.is_running for task in dock._tasks)

    docks.until(lambda: dock.read is not None and quiet())
    docks.draw_both()
    dock.bank.add.click()
    docks.until(quiet)
    assert "Added benign 40, malignant 40" in dock.bank.message.text()
    dock.pointer.picker.pick((50, 180))
    docks.until(quiet)
    card = dock.evidence.card
    assert "most similar reference tiles are" in card.vote.text()
    assert "unclassified" not in " ".join((card.vote.text(), card.other.text(), card.ood.text()))


def test_similar_tiles_are_found(docks, beside):
    dock = beside(SimilarDock)
    dock.panel.buttons[Side.LIKE].draw.click()
    corners = np.array([(600, 0), (600, 128), (728, 128), (728, 0)])[:, ::-1] - 0.5
    dock.examples.layers[Side.LIKE].layer.add(corners, shape_type="polygon")
    docks.until(lambda: not dock._soon.isActive() and not dock.searching.is_running)
    assert layers_of_kind(docks.viewer, LayerKind.SIMILARITY)


def test_tiles_are_laid_out_and_annotated(docks, beside):
    dock = beside(EmbeddingMapDock)
    docks.until(lambda: dock.space is not None and not dock.mapping.is_running)
    chosen = np.arange(len(dock.space)) < 3
    dock.plot.select(chosen)
    dock.plot.chosen.emit(chosen)
    assert dock.panel.classes.findText("unclassified") < 0
    assert "unclassified" not in describe_tile(dock.space, 0, None)


def test_tiles_that_differ_are_asked_for_first(docks, beside):
    docks.annotate.close()
    dock = beside(SuggestDock)
    dock.queue.count.value = 6
    dock.queue.find.click()
    docks.until(lambda: not dock.finding.is_running)
    places = {(one.tile.region.x, one.tile.region.y) for one in dock.queue.tiles}
    assert len(places) == 6
    # Not the first rows of the slide.
    assert len({y for _, y in places}) > 2
    assert "The model says" not in dock.queue._facts()


def test_what_is_saved_says_that_there_are_no_classes(docks, tmp_path):
    docks.run_score()
    docks.score.save_to(tmp_path / "out")
    docks.until(lambda: not docks.score.saver.task.is_running)
    (report,) = (tmp_path / "out").rglob("report.html")
    assert "tiny encoder knows no classes" in report.read_text()
    assert "Hottest spots" not in report.read_text()
