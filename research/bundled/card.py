"""The figures of the bundled model's card, and the card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.evaluation.scale_curve import ScalePoint
from napari_smse.metrics.classification import auc
from napari_smse.metrics.estimate import Estimate
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
from research.bundled.abstention import AbstainBand

VERSION: Final = "0.2.0"
SHOWN: Final = (
    "auc",
    "auc_within_stratum",
    "patient_recognition_rate",
    "balanced_accuracy",
    "ece",
)
_FOLDS: Final = (
    "5 folds grouped by case, dealt anew 3 times; image = mean over its 224-px tiles at 0.25 and "
    "0.5 um/px (200X copies: 0.4)"
)
_POOLED: Final = f"{_FOLDS}; mean over repeats, 95 % interval from 1,000 bootstraps of cases"
_SCALES_HOW: Final = (
    "5 folds grouped by case, other sources always trained on; 95 % interval from 1,000 "
    "bootstraps of cases"
)
LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Only 11 benign breast cases were trained on; intervals over cases are wide.",
    "Two classes only: in situ, dysplastic and inflamed tissue was hardly or not trained on, "
    "nor was stroma, fat or blood labelled as such.",
    "Outside 0.2-0.6 um/px, or on organs other than those trained on, results mean nothing.",
)


def cross_validated_figures(
    what: str, held_out: HeldOutPredictions, data: LabelledSet, metrics: Sequence[str] = SHOWN
) -> list[Metric]:
    """Describe cross-validated figures, and the mean AUC over folds."""
    found = [
        figure(f"BreakHis, {what}", name, _estimate(held_out, data, name), _POOLED)
        for name in metrics
    ]
    if "auc" in metrics:
        spread = summarise(held_out, data, draws=10).magnifications[-1].auc_by_fold
        assert spread.mean is not None
        std = spread.std or 0.0
        over_folds = Estimate(spread.mean, spread.mean - std, spread.mean + std)
        how = f"{_FOLDS}; mean over {spread.folds} folds, and one standard deviation"
        found.append(figure(f"BreakHis, {what}", "auc by fold", over_folds, how))
    return found


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
            _POOLED,
        )
        for name in ("auc", "auc_within_stratum")
    ]


def magnification_figures(held_out: HeldOutPredictions, data: LabelledSet) -> Iterator[Metric]:
    """Describe each magnification and kind of copy by itself."""
    strata = np.array([data.images[i].stratum for i in held_out.images])
    for stratum in np.unique(strata):
        part = held_out.part(strata == stratum)
        number = len(np.unique(part.images))
        how = f"{number} images; {_POOLED}"
        yield figure(
            f"{stratum}, this recipe, all sources", "auc", estimate(part, data, "auc"), how
        )


def left_out_figure(held_out: HeldOutPredictions, data: LabelledSet, name: str) -> Metric:
    """Describe a source that the training did not see at all."""
    others = " and ".join(other for other in data.sources if other != name)
    how = f"trained on {others} only; 95 % interval from 1,000 bootstraps of cases"
    title = data.sources[name].title or name
    return figure(f"{title}, left out as a whole", "auc", estimate(held_out, data, "auc"), how)


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


def unseen_scale_figures(
    magnification: str, without: HeldOutPredictions, with_it: HeldOutPredictions, data: LabelledSet
) -> list[Metric]:
    """Describe a magnification's images judged by a network that never saw that magnification."""
    what = f"BreakHis {magnification} images, no {magnification} image trained on"
    lost = paired_difference(with_it, without, data, "auc_within_stratum")
    return [
        figure(
            what, "auc within stratum", estimate(without, data, "auc_within_stratum"), _SCALES_HOW
        ),
        figure(
            f"BreakHis {magnification} images, trained on all minus none at that magnification",
            "auc within stratum difference",
            lost,
            _SCALES_HOW,
        ),
    ]


def external_figure(
    card: ModelCard, labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> ModelCard:
    """Add the external figure to the card, and say first among the limits what it is."""
    probabilities = np.stack([1 - scores, scores], axis=1)
    images = predictions_from_scores(probabilities, labels, [str(i) for i in range(len(labels))])
    found = figure(
        "BACH (48 images; another hospital and scanner)",
        "auc",
        with_interval(auc, images),
        "external, measured once with the final weights; normal and benign against in situ and "
        "invasive; image = mean probability of its 224-px tiles at 0.5 um/px; 95 % interval from "
        "1,000 bootstraps of images",
    )
    limit = (
        "On slides from a laboratory it never saw, trust it no further than this: "
        f"{found.data}: AUC {found.value} ({found.low} to {found.high})."
    )
    return card.model_copy(
        update={"figures": (found, *card.figures), "limits": (limit, *card.limits)}
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
        tile_px=recipe.tile_px,
        mpp_range=(finest, coarsest),
        trunk=network.trunk_name,
        embedding_dim=recipe.embedding_dim,
        training=training_sources(data, range(len(data.images))),
        recipe={**recipe_facts(recipe), "temperature": round(temperature, 4)},
        figures=tuple(figures),
        intended_use="Research use only: to find regions worth a look on H&E slides of breast, "
        "and to try the software. Not for diagnosis.",
        limits=LIMITS,
        notes=(
            "The trunk is ImageNet's, unchanged, read at its last three stages; embedding and "
            "class head were learnt with a similarity loss.",
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
