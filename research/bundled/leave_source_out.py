"""A model made by the bundled recipe without one of its sources, as a stranger to it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.models import (
    Model,
    ModelCard,
    SmseNetwork,
    load_model,
    read_card,
    save_model,
)
from napari_smse.similarity.bank_file import model_bank_path, save_bank
from napari_smse.training.exemplar_selection import choose_exemplars, table_tiles
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import fresh_heads, train_heads
from napari_smse.training.imagenet_weights import PARENT
from napari_smse.training.initialisation import new_network
from napari_smse.training.train_model import recipe_facts, training_sources
from research.bundled.frozen_trunk import CROPS_PER_IMAGE, RECIPE

_log = logging.getLogger(__name__)


def left_out_model(data: LabelledSet, source: str, folder: Path) -> Model:
    """Return the model that never saw a source; made once, then read from the folder.

    Heads, exemplars and trunk are as in the bundled model; it is not calibrated, which changes
    neither an AUC nor which class is called.

    Parameters
    ----------
    data
        All sources.
    source
        The one to leave out.
    folder
        For models.
    """
    stem = folder / f"without_{source}"
    path = stem.with_suffix(".safetensors")
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        others = data.select_sources([name for name in data.sources if name != source])
        _train(others, stem)
    return load_model(path)


def empty_table(data: LabelledSet, precision: str = RECIPE.precision) -> FeatureCache:
    """Return a table for the features of the bundled recipe's trunk, nothing computed yet."""
    recipe = RECIPE.model_copy(update={"precision": precision})
    network, _ = new_network(recipe, len(data.classes))
    assert isinstance(network, SmseNetwork)
    return FeatureCache(network, recipe, crops_per_image=CROPS_PER_IMAGE)


def _train(data: LabelledSet, stem: Path) -> None:
    table = empty_table(data)
    for progress in table.fill(data.images):
        if progress.done % 200 == 0:
            _log.info("%s: features of %d of %d images", stem.name, progress.done, progress.total)
    network = fresh_heads(table.network, RECIPE, len(data.classes))
    for _ in train_heads(network, table, data, range(len(data.images)), RECIPE):
        pass
    path = save_model(network, _card(data, network, stem.name), stem)
    exemplars = choose_exemplars(table_tiles(network, table, data))
    weights = read_card(path).weights_sha256
    save_bank(replace(exemplars, model=weights), model_bank_path(path))


def _card(data: LabelledSet, network: SmseNetwork, name: str) -> ModelCard:
    return ModelCard(
        name=name,
        version="0",
        classes=data.classes,
        tile_px=RECIPE.tile_px,
        mpp_range=RECIPE.mpp_limits,
        trunk=network.trunk_name,
        embedding_dim=RECIPE.embedding_dim,
        training=training_sources(data, np.arange(len(data.images)).tolist()),
        recipe=recipe_facts(RECIPE),
        parent=PARENT,
    )
