"""The folds by case that every recipe is measured on."""

from __future__ import annotations

from typing import Final

import numpy as np

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.splits import Fold, grouped_folds

VALIDATED: Final = "breakhis"
REPEATS: Final = 3
_FOLDS: Final = 5


def divided(data: LabelledSet, seed: int, *, joined: bool) -> list[Fold]:
    """Return folds by case over `VALIDATED`; the other sources join every training side."""
    own = np.array([i for i, image in enumerate(data.images) if image.source == VALIDATED])
    others = np.setdiff1d(np.arange(len(data.images)), own) if joined else own[:0]
    return [
        Fold(fold.name, np.concatenate([own[fold.training], others]), own[fold.test])
        for fold in grouped_folds([data.images[i] for i in own], _FOLDS, seed)
    ]
