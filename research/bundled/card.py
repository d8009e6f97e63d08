"""The figures of the bundled model's card, and the card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.evaluation.scale_curve import ScalePoint
from napari_smse.metrics.abstention import AbstainBand
from napari_smse.metrics.classification import auc
from napari_smse.metrics.estimate import Estimate, share_estimate
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import (
    estimate,
    paired_difference,
    predictions_from_scores,
    summarise,
    with_interval,
)
from napari_smse.models import Metric, ModelCard, SmseNetwork
from napari_smse.models.card import Undecided
from napari_smse.training.imagenet_weights import PARENT
from napari_smse.training.recipe import Recipe
from napari_smse.training.train_model import recipe_facts, training_sources
from research.bundled.kept_networks import TILE_PX

VERSION: Final = "1.0.0"
SHOWN: Final = (
    "auc",
    "auc_within_stratum",
    "patient_recognition_rate",
    "balanced_accuracy",
    "ece",
)
EXTERNAL: Final = "BACH (48 images; another hospital and scanner)"
LEFT_OUT: Final = ", left out as a whole"
_CASES: Final = "95 % interval from 1,000 bootstraps of cases (of its arrays for UCSB)"
LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Few benign breast cases were trained on (11 of BreakHis, 32 fields of UCSB); intervals over "
    "cases are wide.",
    "Benign and malignant mean other things in each source: normal lung alveoli, polyps of the "
    "colon, fibroadenomas. In situ, dysplastic and inflamed tissue was hardly or not trained on, "
    "nor was stroma, fat or blood labelled as such.",
    "Outside its magnifications, or on organs other than breast, colon, oral mucosa and lung, "
    "results mean nothing.",
)


def cross_validated_figures(
    what: str, held_out: HeldOutPredictions, data: LabelledSet, metrics: Sequence[str] = SHOWN
) -> list[Metric]:
    """Describe cross-validated figures, and the mean AUC over folds."""
    found = [
        figure(f"BreakHis, {what}", name, _estimate(held_out, data, name), _pooled(held_out))
        for name in metrics
    ]
    if "auc" in metrics:
        spread = summarise(held_out, data, draws=10).magnifications[-1].auc_by_fold
        if spread.mean is not None:
            std = spread.std or 0.0
            over_folds = Estimate(spread.mean, spread.mean - std, spread.mean + std)
            how = f"{_folds(held_out)}; mean over {spread.folds} folds, and one standard deviation"
            found.append(figure(f"BreakHis, {what}", "auc by fold", over_folds, how))
    return found


def _folds(held_out: HeldOutPredictions) -> str:
    times = len(np.unique(held_out.repeats))
    dealt = "dealt once" if times == 1 else f"dealt anew {times} times"
    return (
        f"5 folds grouped by case, {dealt}, other sources always trained on; image = mean over its "
        "224-px tiles at 0.25 and 0.5 um/px (200X copies: 0.4)"
    )


def _pooled(held_out: HeldOutPredictions) -> str:
    return f"{_folds(held_out)}; mean over repeats, 95 % interval from 1,000 bootstraps of cases"


def _estimate(held_out: HeldOutPredictions, data: LabelledSet, name: str) -> Estimate:
    found = estimate(held_out, data, name)
    # Drawing cases again raises a calibration error, so the draws need not even hold the value.
    return Estimate(found.value) if name == "ece" else found


def difference_figures(
    control: str, own: HeldOutPredictions, other: HeldOutPredictions, data: LabelledSet
) -> list[Metric]:
    """Describe how much better the recipe is than a control, on the same folds."""
    return [
        figure(
            f"BreakHis, this recipe minus {control}",
            f"{name} difference",
            paired_difference(own, other, data, name),
            _pooled(own),
        )
        for name in ("auc", "auc_within_stratum")
    ]


def magnification_figures(held_out: HeldOutPredictions, data: LabelledSet) -> Iterator[Metric]:
    """Describe each magnification and kind of copy by itself."""
    strata = np.array([data.images[i].stratum for i in held_out.images])
    for stratum in np.unique(strata):
        part = held_out.part(strata == stratum)
        number = len(np.unique(part.images))
        how = f"{number} images; {_pooled(held_out)}"
        found = estimate(part, data, "auc")
        if found.value is not None:
            yield figure(f"{stratum}, this recipe, all sources", "auc", found, how)


def left_out_figure(
    held_out: HeldOutPredictions, data: LabelledSet, name: str, *, recipe: str = ""
) -> Metric:
    """Describe a source that the training, by this recipe or another, did not see at all."""
    how = f"trained on {_others(data, name)} only; {_CASES}"
    what = f"{_title(data, name)}{LEFT_OUT}" + (f", {recipe}" if recipe else "")
    return figure(what, "auc", estimate(held_out, data, "auc"), how)


def band_figures(
    calibrated: HeldOutPredictions, data: LabelledSet, name: str, band: AbstainBand
) -> Iterator[Metric]:
    """Describe what is called on a source left out, and how much of it rightly."""
    labels = np.array([data.images[i].label for i in calibrated.images])
    cases = [data.images[i].case for i in calibrated.images]
    malignant = calibrated.probabilities[:, 1]
    called = band.decided(malignant)
    right = (malignant >= 0.5) == (labels == 1)
    what = f"{_title(data, name)}{LEFT_OUT}, outside the band to abstain in"
    how = f"trained on {_others(data, name)} only; share of images; {_CASES}"
    yield figure(what, "share called", share_estimate(called, cases), how)
    if called.any():
        of_called = [case for case, is_called in zip(cases, called, strict=True) if is_called]
        yield figure(what, "accuracy", share_estimate(right[called], of_called), how)


def _others(data: LabelledSet, name: str) -> str:
    return " and ".join(other for other in data.sources if other != name)


def _title(data: LabelledSet, name: str) -> str:
    return data.sources[name].title or name


def scale_figures(points: Sequence[ScalePoint]) -> list[Metric]:
    """Describe the AUC at each um/px."""
    how = "5 folds grouped by case; {} images of {} cases whose pixels support the scale"
    return [
        figure(
            f"BreakHis, this recipe, all sources, at {point.mpp:g} um/px",
            "auc",
            Estimate(point.auc, point.low, point.high),
            how.format(point.images, point.cases),
        )
        for point in points
        if not math.isnan(point.auc)
    ]


def external_figure(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Metric:
    """Describe what is reached on the images of BACH."""
    probabilities = np.stack([1 - scores, scores], axis=1)
    images = predictions_from_scores(probabilities, labels, [str(i) for i in range(len(labels))])
    return figure(
        EXTERNAL,
        "auc",
        with_interval(auc, images),
        "external, measured once with the final weights; normal and benign against in situ and "
        "invasive; image = mean probability of its 224-px tiles at 0.5 um/px; 95 % interval from "
        "1,000 bootstraps of images",
    )


def elsewhere(figures: Sequence[Metric], data: LabelledSet) -> str:
    """Say what to expect on slides from laboratories that the model never saw."""
    organs = {
        f"{_title(data, name)}{LEFT_OUT}": facts.organ for name, facts in data.sources.items()
    }
    organs[EXTERNAL] = "breast"
    unseen = [
        f"{organs[one.data]}, {one.data.removesuffix(LEFT_OUT)}: {one.value:.2f} ({one.low:.2f} to "
        f"{one.high:.2f})"
        for one in figures
        if one.metric == "auc" and one.data in organs
    ]
    return (
        "On slides from a laboratory that it never saw, trust it no further than this (AUC and "
        f"95 % interval; 0.5 is chance). {'; '.join(unseen)}."
    )


def figure(data: str, metric: str, found: Estimate, how: str) -> Metric:
    """Round an estimate to three digits."""
    value, low, high = (
        None if one is None else round(float(one), 3)
        for one in (found.value, found.low, found.high)
    )
    assert value is not None
    return Metric(
        data=data, metric=metric.replace("_", " "), value=value, low=low, high=high, how=how
    )


def card_of(
    name: str,
    data: LabelledSet,
    recipe: Recipe,
    network: SmseNetwork,
    figures: Sequence[Metric],
    *,
    temperature: float,
    band: AbstainBand,
) -> ModelCard:
    """Say what the model is."""
    finest, coarsest = recipe.mpp_limits
    return ModelCard(
        name=name,
        version=VERSION,
        classes=data.classes,
        tile_px=TILE_PX,
        mpp_range=(finest, coarsest),
        trunk=network.trunk_name,
        embedding_dim=recipe.embedding_dim,
        training=training_sources(data, range(len(data.images))),
        recipe={**recipe_facts(recipe), "temperature": round(temperature, 4)},
        figures=tuple(figures),
        intended_use="Research use only: to find regions worth a look on H&E slides of breast, "
        "colon, oral mucosa and lung, and as a start to fine-tune from. Not for diagnosis.",
        limits=(elsewhere(figures, data), *LIMITS),
        notes=(
            "ImageNet's trunk, read at its last three stages over the tissue of a tile alone; "
            "heads learnt by a similarity loss on noisy features of strongly changed crops; "
            "temperature and band are fitted on laboratories left out, of an organ that others "
            "taught.",
        ),
        undecided=Undecided(
            low=round(band.low, 3),
            high=round(band.high, 3),
            accuracy=None if math.isnan(band.accuracy) else round(band.accuracy, 3),
            coverage=round(band.coverage, 3),
            target=band.target,
        ),
        parent=PARENT,
    )
