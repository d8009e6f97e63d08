"""What an encoder is worth where few labels are known: logistic regression on its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.leakage import cases_among
from napari_smse.errors import DataError, UnknownEncoderError
from napari_smse.evaluation.linear_probe import LinearProbe, regression
from napari_smse.metrics.classification import auc
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.summary import predictions_from_scores
from napari_smse.models import load_model, read_card
from napari_smse.models.encoders import Encoder, find_encoder
from napari_smse.models.encoders.timm_networks import PREFIX as TIMM_PREFIX
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.wsinfer.network import WsinferNetwork
from napari_smse.progress import Progress, Task

LABELS: Final = (25, 50, 100)
DIVISIONS: Final = 50
"""How often the cases are divided anew."""
_REGULARISATION: Final = 0.01
_MIDDLE: Final = (2.5, 97.5)
Features = NDArray[np.float32]


@dataclass(frozen=True)
class FewShot:
    """What was reached with some number of labels.

    Attributes
    ----------
    model
        Whose features.
    labels
        How many images were learnt from.
    auc
        On the cases that nothing was learnt from: the mean over divisions, and the range that the
        middle 95 % of them lie in. Without a value where too few images are there.
    difference
        From the first model in the same divisions; none for the first.
    """

    model: str
    labels: int
    auc: Estimate
    difference: Estimate | None


@dataclass(frozen=True)
class EncoderComparison:
    """What several models' features are worth on the same images.

    Attributes
    ----------
    rows
        By number of labels, then model.
    labelled_set
        The images: those of no case that one of the models learnt from.
    left_out
        How many images are of such cases.
    """

    rows: tuple[FewShot, ...]
    labelled_set: LabelledSet
    left_out: int


def compare_encoders(
    names: Sequence[str],
    labelled_set: LabelledSet,
    labels: Sequence[int] = LABELS,
    *,
    weights: Mapping[str, str | Path] | None = None,
    divisions: int = DIVISIONS,
    seed: int = 0,
    device: str = "cpu",
) -> Task[EncoderComparison]:
    """Measure what the features of models and encoders are worth with few labels.

    An image's features are the mean over its evaluation tiles. In each division, half of the cases
    give the images to learn from, and the others are judged; all models by the same divisions.
    Cases that one of the models is known to have learnt from are left out.

    Parameters
    ----------
    names
        Models (``"bundled"``, or a path) and encoders (any tool's spelling, or ``timm/NAME``); the
        first is what the others are compared with.
    labelled_set
        The images.
    labels
        Numbers of images to learn from.
    weights
        Where those of encoders lie, by name, if not where they were before or in the hub's cache.
    divisions, seed
        How often the cases are divided, and the seed of that.
    device
        For torch.

    Raises
    ------
    ModelNotFoundError, UnknownEncoderError, EncoderWeightsError
        There is no such model or encoder, or its weights are not here.
    DataError
        There is one case only, or a class is empty.
    TrainingError
        scikit-learn is not installed.
    """
    if any(count < len(labelled_set.classes) for count in labels):
        raise DataError("Too few labels: learn from an image of each class, at least.")
    names, files = tuple(dict.fromkeys(names)), weights or {}
    hashes = {case for name in names for case in _cases_learnt(name)}
    seen = cases_among(labelled_set.images, hashes)
    images = tuple(image for image in labelled_set.images if image.case not in seen)
    data = replace(labelled_set, images=images)
    data.require_trainable()
    features: dict[str, Features] = {}
    for number, name in enumerate(names):
        yield Progress(number * len(images), len(names) * len(images), f"loading {name}")
        # One at a time, as they are large.
        probe, found = _load(name, files.get(name), device), list[Features]()
        for image in images:
            found.append(probe.features(image).mean(axis=0))
            done = number * len(images) + len(found)
            yield Progress(done, len(names) * len(images), name)
        features[name] = np.stack(found)
    rows = tuple(_compared(features, data, labels, divisions, seed))
    return EncoderComparison(rows, data, len(labelled_set.images) - len(images))


def _encoder_of(name: str) -> Encoder | None:
    """Return the encoder of a name; None if it is a model's."""
    try:
        return find_encoder(name)
    except UnknownEncoderError:
        if name.startswith(TIMM_PREFIX):
            raise
        return None


def _cases_learnt(name: str) -> frozenset[str]:
    """Return the hashes of the cases that a model learnt from."""
    if _encoder_of(name) is not None:
        return frozenset()
    return frozenset(case for source in read_card(name).training for case in source.case_hashes)


def _load(name: str, weights: str | Path | None, device: str) -> LinearProbe:
    """Return what gives the features of a model or an encoder."""
    encoder = _encoder_of(name)
    if encoder is not None:
        return LinearProbe(
            SmseNetwork(load_encoder(encoder, weights)), tile_px=encoder.input_px, device=device
        )
    model = load_model(name, encoder_weights=weights)
    network, card = model.network, model.card
    if not isinstance(network, SmseNetwork | WsinferNetwork) or not card.has_embedding:
        raise DataError(f"{name} gives no features of tiles: leave it out.")
    return LinearProbe(network, tile_px=card.tile_px, device=device)


def _compared(
    features: Mapping[str, Features],
    data: LabelledSet,
    labels: Sequence[int],
    divisions: int,
    seed: int,
) -> Iterator[FewShot]:
    for count in labels:
        first: NDArray[np.float64] | None = None
        for name, values in features.items():
            areas = few_shot_auc(values, data, count, divisions=divisions, seed=seed)
            difference = None if first is None else _estimate(areas - first, data)
            first = areas if first is None else first
            yield FewShot(name, count, _estimate(areas, data), difference)


def few_shot_auc(
    features: Features, data: LabelledSet, count: int, *, divisions: int, seed: int = 0
) -> NDArray[np.float64]:
    """Return the AUC of each division; NaN where half of the cases lack images of some class.

    Parameters
    ----------
    features
        ``(images, features)``.
    data
        The images.
    count
        How many to learn from.
    divisions, seed
        How often the cases are divided, and the seed.
    """
    labels = np.array([image.label for image in data.images])
    names = np.array([image.case for image in data.images])
    cases = np.unique(names, return_inverse=True)[1]
    areas = np.full(divisions, np.nan)
    for number in range(divisions):
        rng = np.random.default_rng((seed, number))
        shuffled = rng.permutation(cases.max() + 1)
        first = np.isin(cases, shuffled[: len(shuffled) // 2])
        learning = rng.permutation(np.flatnonzero(first))[:count]
        testing = np.flatnonzero(~first)
        sides = labels[learning], labels[testing]
        if len(learning) < count or min(len(np.unique(side)) for side in sides) < len(data.classes):
            continue
        probabilities = _learnt(features[learning], labels[learning], features[testing])
        found = predictions_from_scores(probabilities, labels[testing], list(names[testing]))
        areas[number] = auc(found, np.ones((1, len(testing))))[0]
    return areas


def _learnt(known: Features, labels: NDArray[np.int64], unknown: Features) -> NDArray[np.float64]:
    model = regression(C=_REGULARISATION, max_iter=1000)
    model.fit(known, labels)
    return np.asarray(model.predict_proba(unknown), dtype=np.float64)


def _estimate(areas: NDArray[np.float64], data: LabelledSet) -> Estimate:
    found = areas[np.isfinite(areas)]
    if not len(found):
        return Estimate(None, reason="too few images or cases of a class to learn from so many")
    low, high = np.percentile(found, _MIDDLE)
    return Estimate(float(found.mean()), float(low), float(high), len(data.images), len(data.cases))
