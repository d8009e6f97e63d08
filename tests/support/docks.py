"""A viewer with the docks to score, annotate and fine-tune, and a slide to learn from."""

from __future__ import annotations

from functools import cache

import napari
import numpy as np
import torch
from napari.plugins import menu_item_template as plugin_menu_item_template
from qtpy.QtCore import Qt

from napari_smse.models import ModelCard, load_model, save_model
from napari_smse.models.smse_network import initialise_from_features
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.finetune.dock import FineTuneDock
from napari_smse.widgets.layers.heat_map_layers import shown_map
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)
from support.annotated_slides import PINK, RED
from support.training import TRUNK, mini_network


def seeing_model(folder):
    """A real, tiny model that tells colours apart, and calls them wrong."""
    card = ModelCard(
        name="mini",
        version="1",
        classes=("benign", "malignant"),
        tile_px=64,
        mpp_range=(0.2, 0.6),
        trunk=TRUNK,
        embedding_dim=4,
    )
    return load_model(save_model(_shared_network(), card, folder / "mini"))


def seeing_network():
    """A tiny network that tells colours apart as a trained one does, and calls them wrong."""
    network = mini_network()
    rng = np.random.default_rng(0)
    mix = rng.uniform(size=(80, 1, 1, 1))
    tiles = mix * np.reshape(PINK, (1, 3, 1, 1)) + (1 - mix) * np.reshape(RED, (1, 3, 1, 1))
    tiles = np.clip(tiles + rng.normal(scale=6, size=(80, 3, 64, 64)), 0, 255).astype(np.uint8)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # The principal components are found from a random start.
        torch.manual_seed(0)
        initialise_from_features(network, network.features(torch.from_numpy(tiles)).float())
        network.class_head.weight.mul_(-1)
    return network


@cache
def _shared_network():
    return seeing_network()


def put_in_force(layer, run):
    """Put a run in force on a slide's layer, as the Score dock does; return it."""
    session_of(napari.current_viewer()).set_run(layer, run)
    return run


def run_in_force(layer):
    """Return the run in force on a slide's layer."""
    return session_of(napari.current_viewer()).run_of(layer)


def dock_name(kind):
    """What napari calls a dock of this plugin that is opened from the menu."""
    names = {
        ScoreDock: "SMSE: Score slide",
        AnnotateDock: "SMSE: Annotate",
        FineTuneDock: "SMSE: Fine-tune",
    }
    return plugin_menu_item_template.format("napari-smse", names[kind])


class Docks:
    def __init__(self, viewer, until):
        self.viewer, self.until = viewer, until
        self.score, self.annotate, self.tune = (
            kind(viewer) for kind in (ScoreDock, AnnotateDock, FineTuneDock)
        )
        for dock in self.all:
            viewer.window.add_dock_widget(dock, name=dock_name(type(dock)))

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
        self.until(lambda: not self.tune.outcome.is_filling)

    @property
    def mapped(self):
        maps = layers_of_kind(self.viewer, LayerKind.HEAT_MAP)
        return {shown_map(layer).class_name for layer in maps}

    def map_of(self, name):
        (layer,) = (
            layer
            for layer in layers_of_kind(self.viewer, LayerKind.HEAT_MAP)
            if shown_map(layer).class_name == name
        )
        return np.array(layer.data)


def contrast(values):
    """How much more malignant the red tissue is than the pink."""
    width = values.shape[1]
    third = width // 3
    return np.nanmean(values[:, third + 1 : 2 * third - 1]) - np.nanmean(values[:, : third - 1])
