"""A model made by the bundled recipe without one of its sources, as a stranger to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.models import Model, ModelCard, SmseNetwork, load_model, read_card, save_model
from napari_smse.progress import run_task
from napari_smse.similarity.bank_file import model_bank_path, save_bank
from napari_smse.training.embeddings import embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from napari_smse.training.imagenet_weights import PARENT
from napari_smse.training.train_model import recipe_facts, training_sources
from research.bundled.kept_networks import TILE_PX, kept_networks, recipe_of


def left_out_model(data: LabelledSet, source: str, networks: Path, folder: Path) -> Model:
    """Return the model that never saw a source; made once, then read from the folder.

    Weights and exemplars are as in the bundled model; it is not calibrated, which changes
    neither an AUC nor which class is called.

    Parameters
    ----------
    data
        All sources.
    source
        The one to leave out.
    networks
        A folder of kept networks, with one that did not learn from the source.
    folder
        For models.
    """
    path = folder / f"without_{source}.safetensors"
    if not path.is_file():
        network = dict(kept_networks(networks, len(data.classes)))[source]
        others = data.select_sources([name for name in data.sources if name != source])
        _save(network, others, networks, path)
    return load_model(path)


def _save(network: SmseNetwork, data: LabelledSet, networks: Path, path: Path) -> None:
    every = range(len(data.images))
    save_model(network, _card(network, data, networks, path.stem), path)
    tiles, _ = run_task(embed_images(network, data, every, TILE_PX))
    weights = read_card(path).weights_sha256
    save_bank(replace(choose_exemplars(tiles), model=weights), model_bank_path(path))


def _card(network: SmseNetwork, data: LabelledSet, networks: Path, name: str) -> ModelCard:
    recipe = recipe_of(networks)
    return ModelCard(
        name=name,
        version="0",
        classes=data.classes,
        tile_px=TILE_PX,
        mpp_range=recipe.mpp_limits,
        trunk=network.trunk_name,
        embedding_dim=recipe.embedding_dim,
        training=training_sources(data, range(len(data.images))),
        recipe=recipe_facts(recipe),
        parent=PARENT,
    )
