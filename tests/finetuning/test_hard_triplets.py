"""What is shown first of what the embedding gets wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from napari_smse.finetuning.hard_triplets import hard_triplets
from support.embeddings import clouds


def test_they_are_what_a_slow_loop_finds() -> None:
    tiles = replace(clouds(0, 24), images=torch.arange(24) + 100)
    point, label = tiles.embeddings, tiles.labels.tolist()
    for found in hard_triplets(tiles, 8):
        anchor = found.anchor - 100
        far, near = -1.0, 9.0
        for other in range(24):
            apart = float((point[anchor] - point[other]).norm())
            if other != anchor and label[other] == label[anchor]:
                far = max(far, apart)
            if label[other] != label[anchor]:
                near = min(near, apart)
        assert abs(found.violation - (far - near)) < 1e-5
        assert label[found.positive - 100] == label[anchor] != label[found.negative - 100]


def test_a_wrong_label_comes_first_and_does_not_fill_the_list() -> None:
    # Two tight clouds far apart, and one tile of the first that bears the other's name.
    axis = torch.eye(8)
    embeddings = torch.cat([axis[0].expand(20, 8), axis[1].expand(20, 8)]).clone()
    embeddings += 0.01 * torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) // 20
    labels[5] = 1
    tiles = replace(
        clouds(0, 40), embeddings=torch.nn.functional.normalize(embeddings, dim=1), labels=labels
    )
    found = hard_triplets(tiles)
    assert found[0].anchor == 5
    assert found[0].violation > 1
    assert max(Counter(one.positive for one in found).values()) <= 2
    assert max(Counter(one.negative for one in found).values()) <= 2
    assert [one.violation for one in found] == sorted((o.violation for o in found), reverse=True)


def test_without_a_second_class_or_a_second_tile_there_is_none() -> None:
    one_class = replace(clouds(0, 10), labels=torch.zeros(10, dtype=torch.int64))
    assert hard_triplets(one_class) == []
    assert hard_triplets(clouds(0, 2)) == []


def test_very_many_tiles_are_thinned() -> None:
    found = hard_triplets(clouds(0, 5000), 5)
    assert len(found) == 5
    assert found == hard_triplets(clouds(0, 5000), 5)
