"""Selection of exemplars: tiles that stand for all that a network learnt from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import numpy as np
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.training.embeddings import EmbeddedTiles
from napari_smse.training.feature_cache import FeatureCache


def choose_exemplars(
    tiles: EmbeddedTiles, *, each: int = 150, seed: int = 0, always: Collection[int] = ()
) -> ExemplarBank:
    """Draw as many tiles of every class of every source, from as many cases as there are.

    Parameters
    ----------
    tiles
        What was learnt from.
    each
        Tiles of a class of a source, fewer where there are fewer.
    seed
        Of the draw.
    always
        Images whose tiles are taken besides.

    Returns
    -------
    ExemplarBank
        Of no model yet: it has a name when its weights are written.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    keys = zip(tiles.sources, tiles.labels.tolist(), tiles.cases, strict=True)
    for row, (source, label, case) in enumerate(keys):
        kinds[source, label][case].append(row)
    rows = [
        row for kind in sorted(kinds) for row in by_turns(list(kinds[kind].values()), each, rng)
    ]
    drawn = set(rows)
    rows += [
        row
        for row, image in enumerate(tiles.images.tolist())
        if image in always and row not in drawn
    ]
    return ExemplarBank(
        tiles.embeddings[rows].float().numpy(),
        tiles.labels[rows].numpy(),
        tiles.mpps[rows].float().numpy(),
        tiles.classes,
        tuple(tiles.cases[row] for row in rows),
        tuple(tiles.sources[row] for row in rows),
        model="",
    )


def table_tiles(
    network: SmseNetwork, table: FeatureCache, labelled_set: LabelledSet
) -> EmbeddedTiles:
    """Return all evaluation tiles of a feature cache, as a network with its trunk embeds them."""
    images = labelled_set.images
    found = [table.evaluation_features(image) for image in images]
    rows = [number for number, features in enumerate(found) for _ in features.mpps]
    with torch.inference_mode():
        embeddings = [network.head(features.values.float()).embedding for features in found]
    return EmbeddedTiles(
        torch.cat(embeddings).clone(),
        torch.tensor([images[row].label for row in rows]),
        torch.tensor(rows),
        torch.cat([features.mpps for features in found]).float(),
        tuple(images[row].case for row in rows),
        tuple(images[row].source for row in rows),
        labelled_set.classes,
    )


def by_turns(cases: list[list[int]], count: int, rng: np.random.Generator) -> list[int]:
    """Take one row of each case after the other, in a random order, until there are enough."""
    waiting = [[case[i] for i in rng.permutation(len(case))] for case in cases]
    rng.shuffle(waiting)
    taken: list[int] = []
    while waiting and len(taken) < count:
        taken += [case.pop() for case in waiting[: count - len(taken)]]
        waiting = [case for case in waiting if case]
    return taken
