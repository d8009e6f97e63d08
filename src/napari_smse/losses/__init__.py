"""Losses on embeddings and on class scores, and what a batch is mined for."""

from napari_smse.losses.contrastive import ContrastiveLoss
from napari_smse.losses.focal import FocalLoss, ReinforcedFocalLoss
from napari_smse.losses.miners import Mining, mine_triplets, random_pairs
from napari_smse.losses.triplet import TripletLoss

__all__ = [
    "ContrastiveLoss",
    "FocalLoss",
    "Mining",
    "ReinforcedFocalLoss",
    "TripletLoss",
    "mine_triplets",
    "random_pairs",
]
