"""The tiles that stand for all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.models import SmseNetwork
from napari_smse.training.exemplar_selection import choose_exemplars, table_tiles
from napari_smse.training.feature_cache import TileFeatures
from support.datasets import random_set


class Table:
    """Two tiles an image, the second twice as coarse; features say which image and tile."""

    def __init__(self, data: LabelledSet) -> None:
        self.number = {image: i for i, image in enumerate(data.images)}

    def evaluation_features(self, image: LabelledImage) -> TileFeatures:
        values = torch.zeros(2, 1280)
        values[0, self.number[image]] = values[1, 1000 + self.number[image]] = 1
        return TileFeatures(values.half(), torch.tensor([0.25, 0.5], dtype=torch.float64))


def two_sources() -> LabelledSet:
    data = random_set(cases=10, images=3)
    images = [
        replace(image, source="left" if i < 12 else "right") for i, image in enumerate(data.images)
    ]
    return replace(data, images=tuple(images))


def test_kinds_and_cases_are_drawn_alike() -> None:
    data = two_sources()
    tiles = table_tiles(SmseNetwork(embedding_dim=8), Table(data), data)
    found = choose_exemplars(tiles, each=4)
    kinds = Counter(zip(found.sources, found.labels.tolist(), strict=True))
    assert set(kinds.values()) == {4}
    assert len(kinds) == len({(image.source, image.label) for image in data.images})
    for source, label in kinds:
        cases = Counter(
            case
            for case, *kind in zip(found.cases, found.sources, found.labels.tolist(), strict=True)
            if kind == [source, label]
        )
        assert max(cases.values()) - min(cases.values()) <= 1
    assert set(found.mpps.tolist()) == {0.25, 0.5}
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-5)
    again = choose_exemplars(tiles, each=4)
    np.testing.assert_array_equal(found.embeddings, again.embeddings)


def test_tiles_of_given_images_are_always_among_them_once() -> None:
    data = two_sources()
    tiles = table_tiles(SmseNetwork(embedding_dim=8), Table(data), data)
    always = {0, 7, 19}
    drawn, found = (choose_exemplars(tiles, each=4, always=some) for some in ((), always))
    rows = {tuple(row) for row in found.embeddings.tolist()}
    wanted = torch.tensor([image in always for image in tiles.images.tolist()])
    assert rows == {
        tuple(row) for row in np.concatenate([drawn.embeddings, tiles.embeddings[wanted]]).tolist()
    }
    assert len(rows) == len(found) == len(found.cases) == len(found.labels)
    assert len(found) > len(drawn)


def test_no_tile_is_taken_twice_and_all_if_there_are_few() -> None:
    data = two_sources()
    tiles = table_tiles(SmseNetwork(embedding_dim=8), Table(data), data)
    found = choose_exemplars(tiles, each=1000)
    assert len(found) == 2 * len(data.images)
    assert len({tuple(row) for row in found.embeddings.tolist()}) == len(found)
