"""Evaluate a saved model on labelled images it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.leakage import cases_among, data_set_name
from napari_smse.errors import DataError
from napari_smse.evaluation.scale_curve import SCALES, ScalePoint, at_scale, scale_curve
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import Summary, summarise
from napari_smse.models import Model, ModelCard
from napari_smse.models.card import require_classes
from napari_smse.progress import Progress, Task
from napari_smse.training.trainer import predict_images

_CHUNK: Final = 16


@dataclass(frozen=True)
class Overlap:
    """Images that the model was trained on, as far as its card records them.

    Attributes
    ----------
    cases, images
        Number that it is known to have been trained on, and that are left out.
    possible
        The card does not name its cases, but a source of the same name: the metrics may
        be optimistic.
    note
        Message for the user; empty if there is no overlap.
    """

    cases: int = 0
    images: int = 0
    possible: bool = False
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """A model's metrics on labelled images.

    Attributes
    ----------
    labelled_set
        The images measured, their labels in the order of the model's classes.
    warnings
        Scales the model was not trained at, and overlap with its training.
    """

    held_out: HeldOutPredictions
    labelled_set: LabelledSet
    summary: Summary
    overlap: Overlap
    warnings: tuple[str, ...]


def evaluate(model: Model, labelled_set: LabelledSet, *, device: str = "cpu") -> Task[Evaluation]:
    """Predict all images of cases that the model was not trained on, and measure.

    Raises
    ------
    DataError
        The classes are not the model's, or nothing is left to measure.
    """
    matched = match_classes(labelled_set, model.card)
    unseen, overlap = exclude_leaked(matched, model.card)
    total, parts = len(unseen.images), []
    model.network.to(device)
    for start in range(0, total, _CHUNK):
        yield Progress(start, total)
        chunk = unseen.images[start : start + _CHUNK]
        parts.append(_predict(model, chunk, device).float().cpu())
    held_out = HeldOutPredictions.from_fold(range(total), torch.cat(parts))
    warnings = [overlap.note] if overlap.note else []
    yield Progress(total, total)
    return Evaluation(
        held_out,
        unseen,
        summarise(held_out, unseen),
        overlap,
        (*warnings, *scale_notes(unseen, model.card)),
    )


def model_scale_curve(
    model: Model, labelled_set: LabelledSet, *, device: str = "cpu"
) -> Iterator[ScalePoint]:
    """Measure the AUC at each um/px that the model was trained for, and yield it.

    A network that takes whole images of one size, as the paper's, has no such curve.

    Parameters
    ----------
    model, labelled_set
        The model, and the images of an `Evaluation` of it.
    device
        Device to run on, as torch names it.
    """

    def predict_at(images: Sequence[LabelledImage], mpp: float) -> Tensor:
        return _predict(model, [at_scale(image, mpp) for image in images], device)

    if getattr(model.network, "input_size", None) is not None:
        return
    low, high = model.card.mpp_range
    indices = range(len(labelled_set.images))
    for mpp in SCALES:
        if low <= mpp <= high:
            yield from scale_curve(predict_at, labelled_set, indices, [mpp])


def _predict(model: Model, images: Sequence[LabelledImage], device: str) -> Tensor:
    return predict_images(model.network, images, tile_px=model.card.tile_px, device=device)


def match_classes(labelled_set: LabelledSet, card: ModelCard) -> LabelledSet:
    """Return the images with their labels in the order of the model's classes.

    Upper and lower case do not matter; classes of the model that the images lack are fine.

    Raises
    ------
    DataError
        The images have a class that the model does not know; the message names it.
    ModelError
        The model is an encoder alone, and knows none.
    """
    require_classes(card)
    if not labelled_set.images:
        raise DataError(
            f"No image can be used ({len(labelled_set.skipped)} skipped): check the folder."
        )
    label_by_name = {name.strip().casefold(): label for label, name in enumerate(card.classes)}
    used = {image.label for image in labelled_set.images}
    names = {label: labelled_set.classes[label] for label in used}
    strange = sorted(
        name for name in names.values() if name.strip().casefold() not in label_by_name
    )
    if strange:
        raise DataError(
            f"Model {card.name} tells {', '.join(card.classes)} apart and does not know "
            f"{', '.join(strange)}: name the classes of the images as the model does."
        )
    new_label = {label: label_by_name[name.strip().casefold()] for label, name in names.items()}
    images = tuple(replace(image, label=new_label[image.label]) for image in labelled_set.images)
    return replace(labelled_set, classes=card.classes, images=images)


def exclude_leaked(labelled_set: LabelledSet, card: ModelCard) -> tuple[LabelledSet, Overlap]:
    """Return the images of cases the model was not trained on, and what was left out.

    Raises
    ------
    DataError
        It was trained on all of them.
    """
    leaked = leaked_cases(labelled_set.images, card)
    if not leaked:
        return labelled_set, _possible_overlap(labelled_set, card)
    unseen = tuple(image for image in labelled_set.images if image.case not in leaked)
    if not unseen:
        raise DataError(
            f"Model {card.name} was trained on every case of these images, so they say nothing "
            "about it: give it images of other cases, or use `napari-smse crossval`."
        )
    dropped = len(labelled_set.images) - len(unseen)
    note = (
        f"{dropped} images of {len(leaked)} cases are left out: model {card.name} was trained on "
        "them"
    )
    return replace(labelled_set, images=unseen), Overlap(len(leaked), dropped, False, note)


def leaked_cases(images: Sequence[LabelledImage], card: ModelCard) -> frozenset[str]:
    """Return the cases of these images that a model's card says it was trained on."""
    hashes = {case_hash for source in card.training for case_hash in source.case_hashes}
    return cases_among(images, hashes)


def _possible_overlap(labelled_set: LabelledSet, card: ModelCard) -> Overlap:
    trained = {_first_word(source.name) for source in card.training if not source.case_hashes}
    used = {data_set_name(image) for image in labelled_set.images}
    same = sorted(name for name in used if _first_word(name) in trained)
    if not same:
        return Overlap()
    return Overlap(
        possible=True,
        note=f"model {card.name} was trained on cases of {', '.join(same)} and its card does not "
        "say which: if these are among them, the figures are too good",
    )


def _first_word(name: str) -> str:
    return (name.replace("_", " ").replace("-", " ").split() or [""])[0].casefold()


def scale_notes(labelled_set: LabelledSet, card: ModelCard) -> tuple[str, ...]:
    """Return a note on the images that support no scale that the model was trained at."""
    low, high = card.mpp_range
    outside = [
        image.mpp
        for image in labelled_set.images
        if image.mpp_range[0] > high * 1.05 or image.mpp_range[1] < low / 1.05
    ]
    if not outside:
        return ()
    scales = " and ".join(sorted({f"{mpp:g}" for mpp in (min(outside), max(outside))}))
    return (
        f"{len(outside)} images at {scales} µm/px support no scale within the "
        f"{card.trained_scales} µm/px that model {card.name} was trained at: their predictions "
        "mean little",
    )


def evaluation_json(evaluation: Evaluation, card: ModelCard) -> dict[str, Any]:
    """Return the evaluation as JSON values; what cannot be measured is null, with the reason."""
    summary, data = evaluation.summary, evaluation.labelled_set
    estimates = summary.estimates
    flat: dict[str, Any] = {name: metric.value for name, metric in estimates.items()}
    images, cases = data.count()
    auc = estimates["auc"]
    return {
        "model": card.name,
        "version": card.version,
        **flat,
        "auc_low": auc.low,
        "auc_high": auc.high,
        "auc_reason": auc.reason or None,
        "classes": list(data.classes),
        "positive": summary.positive or None,
        "images": summary.images,
        "cases": summary.cases,
        "images_by_class": images,
        "cases_by_class": cases,
        "intervals": {name: [metric.low, metric.high] for name, metric in estimates.items()},
        "magnifications": [asdict(row) for row in summary.magnifications],
        "overlap": asdict(evaluation.overlap),
        "warnings": list(evaluation.warnings),
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in data.skipped],
        "research_use_only": True,
    }
