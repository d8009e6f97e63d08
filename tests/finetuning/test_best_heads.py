"""What is kept of a fine-tuning that is stopped."""

from __future__ import annotations

import torch
from torch import nn

from napari_smse.finetuning.best_heads import BestHeads
from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from support.embeddings import DIM, clouds


def heads_along(tiles_axis: float) -> EmbeddingHeads:
    head = nn.Linear(DIM, 2)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[1, 0] = tiles_axis
    return EmbeddingHeads(head)


def test_the_best_come_back() -> None:
    tiles = clouds(0)
    heads = heads_along(2.0)
    best = BestHeads(heads, tiles)
    best.update()
    good = heads.logits(tiles.embeddings)
    with torch.no_grad():
        heads.class_head.weight.mul_(-1)
        heads.change.add_(1)
    best.update()
    best.restore()
    torch.testing.assert_close(heads.logits(tiles.embeddings), good)


def test_nothing_seen_changes_nothing() -> None:
    heads = heads_along(1.0)
    before = heads.class_head.weight.clone()
    BestHeads(heads, clouds(0)).restore()
    torch.testing.assert_close(heads.class_head.weight, before)


def test_classes_weigh_alike_however_few_tiles_one_has() -> None:
    tiles = clouds(0, 42)
    lopsided = tiles.labels.clone()
    lopsided[lopsided == 1] = 0
    lopsided[:2] = 1
    all_first, balanced = heads_along(0.0), heads_along(0.0)
    with torch.no_grad():
        all_first.class_head.bias[0] = 5.0
    tiles = type(tiles)(**{**vars(tiles), "labels": lopsided})
    best = BestHeads(all_first, tiles)
    best.update()
    all_first.load_state_dict(balanced.state_dict())
    best.update()
    with torch.no_grad():
        all_first.class_head.bias[0] = 3.0
    best.restore()
    assert all_first.class_head.bias[0].item() == 0.0
