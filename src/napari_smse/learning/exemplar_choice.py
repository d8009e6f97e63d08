"""Which of the tiles that a network learnt from stand for all of them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from napari_smse.learning.feature_table import FeatureTable
from napari_smse.learning.labelled_set import LabelledSet
from napari_smse.network.exemplars import Exemplars
from napari_smse.network.smse_network import SmseNetwork


def choose_exemplars(
    network: SmseNetwork,
    table: FeatureTable,
    labelled_set: LabelledSet,
    *,
    each: int = 150,
    seed: int = 0,
) -> Exemplars:
    """Draw as many tiles of every class of every source, from as many cases as there are.

    Parameters
    ----------
    network
        Whose embedding.
    table
        Features of the images.
    labelled_set
        What was learnt from.
    each
        Tiles of a class of a source, fewer where there are fewer.
    seed
        Of the draw.

    Returns
    -------
    Exemplars
        Of no model yet: it has a name when its weights are written.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[tuple[str, int], dict[str, list[tuple[int, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for number, image in enumerate(labelled_set.images):
        for tile in range(len(table.judged(image).mpps)):
            kinds[image.source, image.label][image.case].append((number, tile))
    chosen = [
        one for kind in sorted(kinds) for one in _by_turns(list(kinds[kind].values()), each, rng)
    ]
    images = [labelled_set.images[number] for number, _ in chosen]
    found = [(table.judged(image), tile) for image, (_, tile) in zip(images, chosen, strict=True)]
    with torch.inference_mode():
        values = torch.stack([one.values[tile] for one, tile in found]).float()
        embeddings = network.head(values).embedding
    return Exemplars(
        embeddings.clone(),
        torch.tensor([image.label for image in images]),
        torch.tensor([float(one.mpps[tile]) for one, tile in found]),
        labelled_set.classes,
        tuple(image.case for image in images),
        tuple(image.source for image in images),
        model="",
    )


def _by_turns(
    cases: list[list[tuple[int, int]]], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Take one tile of each case after the other, in a random order, until there are enough."""
    waiting = [[case[i] for i in rng.permutation(len(case))] for case in cases]
    rng.shuffle(waiting)
    taken: list[tuple[int, int]] = []
    while waiting and len(taken) < count:
        taken += [case.pop() for case in waiting[: count - len(taken)]]
        waiting = [case for case in waiting if case]
    return taken
