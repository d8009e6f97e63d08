"""The control every recipe has to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_smse.learning.activations import Activations
from napari_smse.learning.crossval import HeldOut, image_means, source_folds
from napari_smse.learning.labelled_set import LabelledImage


def frozen_baseline(
    records: Sequence[LabelledImage], pooled: Activations, source: str = "breakhis", folds: int = 5
) -> HeldOut:
    """Cross-validate logistic regression on frozen features, on the folds of `cross_validate`.

    It learns from the plain crops of the source's own images; features are
    standardised and the classes weighted alike. Needs scikit-learn.

    Parameters
    ----------
    records
        All records.
    pooled
        Pooled features of crops, ``(crops, features)``.
    source
        Whose images to cross-validate on.
    folds
        How many.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold_of = source_folds(records, source, folds)
    inside = pooled.plain & (fold_of >= 0)[pooled.record]
    features, record = pooled.values[inside].float().numpy(), pooled.record[inside]
    labels = np.array([one.label for one in records])[record]
    found = []
    for fold in range(folds):
        out = fold_of[record] == fold
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500)
        )
        model.fit(features[~out], labels[~out])
        score = torch.from_numpy(model.decision_function(features[out])).float()
        found.append(image_means(record[out], torch.stack([-score / 2, score / 2], dim=1)))
    images = np.concatenate([images for images, _ in found])
    return HeldOut(images, torch.cat([logits for _, logits in found]), fold_of[images])
