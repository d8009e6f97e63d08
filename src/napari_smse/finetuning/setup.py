"""What a fine-tuning is set up with: its recipe, its images, and what is held out of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.spatial_split import hold_out_regions
from napari_smse.datasets.splits import hold_out
from napari_smse.errors import DataError, ModelError, TrainingError
from napari_smse.evaluation.evaluate import leaked_cases, match_classes
from napari_smse.models import Model
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.tiles.places import one_per_place
from napari_smse.training.recipe import Recipe, Similarity, Trainable, why_impossible

_MIN_TRAINING_IMAGES: Final = 10

PAIR_MARGIN: Final = 1.0
"""Distance that unlike tiles are to have at least; embeddings have length 1."""


def fine_tune_recipe(
    similarity: Similarity = "pair", trainable: Trainable = "head", **changes: object
) -> Recipe:
    """Return the recipe of a fine-tuning.

    Parameters
    ----------
    similarity
        Similarity loss; the cross-entropy is added to it.
    trainable
        The heads (seconds, from embeddings), also the trunk's last stage, or all.
    **changes
        Fields of `Recipe`; None leaves them as they are.

    Raises
    ------
    TrainingError
        A value is impossible.
    """
    head = trainable == "head"
    defaults: dict[str, object] = {
        "similarity": similarity,
        "trainable": trainable,
        "classification": "cross-entropy",
        "pca_start": False,
        "steps": 200 if head else 60,
        "warm_up": 0 if head else 5,
        "cases_per_class": 8 if head else 4,
        "stain": 0.3,
        "colour": 0.0,
        "blur": 0.0,
        "ema_decay": 0.0 if head else 0.9,
        "distillation_weight": 0.0 if head else 1.0,
    }
    if similarity == "pair":
        defaults["margin"] = PAIR_MARGIN
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return Recipe.model_validate(defaults | given)
    except ValidationError as error:
        why = why_impossible(error).replace("similarity: ", "similarity loss: ", 1)
        raise TrainingError(f"Such a fine-tuning is impossible: {why}; correct it.") from error


def split_for_fine_tuning(
    labelled_set: LabelledSet, fraction: float, seed: int
) -> tuple[list[int], list[int], bool]:
    """Divide images into those to learn from and held-out ones of other cases.

    Where a class has one case only, whole regions of slides are held out instead.

    Returns
    -------
    tuple[list[int], list[int], bool]
        Indices to learn from, held out, and whether these are regions only.

    Raises
    ------
    DataError
        Nothing of a class can be held out; the message says what to add.
    """
    images = labelled_set.images
    if _has_cases_for_both(images):
        return *hold_out(images, range(len(images)), fraction, seed), False
    if all(image.region is not None for image in images):
        return *hold_out_regions(images, fraction, seed, labelled_set.classes), True
    lonely = [
        name
        for label, name in enumerate(labelled_set.classes)
        if len({image.case for image in images if image.label == label}) < 2
    ]
    raise DataError(
        f"Class {' and '.join(lonely)} has one case only, so nothing of it can be held out and "
        "no figure would mean anything: add images of another case."
    )


def one_a_place(labelled_set: LabelledSet, indices: Sequence[int]) -> list[int]:
    """Return those of some images that are to be judged: of a place on a slide, one.

    Of tiles of several scales at one place, the finest stands for it; the others would count the
    same tissue again.
    """
    images = labelled_set.select(indices)
    slides = ["" if image.region is None else str(image.path) for image in images]
    places = [
        (0, 0, 0, 0) if (at := image.region) is None else (at.x, at.y, at.width, at.height)
        for image in images
    ]
    return [indices[row] for row in one_per_place(slides, places).tolist()]


def data_warnings(
    model: Model, labelled_set: LabelledSet, training: Sequence[int], testing: Sequence[int]
) -> list[str]:
    """Return what the user must know of the images.

    Parameters
    ----------
    model
    To be tuned.
    labelled_set, training, testing
    The images, and which are learnt from and held out.
    """
    warnings = []
    if len(training) < _MIN_TRAINING_IMAGES:
        warnings.append(
            f"Only {len(training)} tiles or images are left to learn from beside those "
            "held out: add more; regions further apart lose fewer."
        )
    if labelled_set.classes != model.card.classes:
        known = ", ".join(model.card.classes)
        does = f"tells {known} apart" if model.card.knows_classes else "knows no classes yet"
        warnings.append(
            f"Model {model.card.name} {does}: it gets a new class head for "
            f"{', '.join(labelled_set.classes)}, and 'before' is the nearest class mean in its "
            "embedding."
        )
    if seen := leaked_cases(labelled_set.select(testing), model.card):
        warnings.append(
            f"{len(seen)} of the held-out cases are among those that model {model.card.name} "
            "was trained on: its figures 'before' are too good, and the difference too small."
        )
    return warnings


def tunable_network(model: Model, trainable: Trainable) -> SmseNetwork:
    """Return the network of a model that can be tuned so far.

    Raises
    ------
    TrainingError
        It has no heads to tune, or stands on an encoder, which stays as it is.
    """
    network = model.network
    if not isinstance(network, SmseNetwork):
        reason = "takes whole images" if isinstance(network, SmseCnn) else "is made by others"
        raise TrainingError(
            f"Model {model.card.name} {reason} and cannot be fine-tuned on tiles: use the bundled "
            "one or one made by `napari-smse train`."
        )
    if network.trunk.is_stored_apart and trainable != "head":
        raise TrainingError(
            f"Model {model.card.name} stands on an encoder, which stays as it is: choose heads as "
            "what is trained."
        )
    return network


def with_model_classes(labelled_set: LabelledSet, model: Model) -> LabelledSet:
    """Return the images with the model's classes, if it knows all of theirs."""
    try:
        return match_classes(labelled_set, model.card)
    except (DataError, ModelError):
        if not labelled_set.images:
            raise
        return labelled_set


def _has_cases_for_both(images: Sequence[LabelledImage]) -> bool:
    """Tell whether every class has a case to learn from and another to hold out.

    Cases are held out by the classes and the source they are of, and the only one of a kind is
    learnt from.
    """
    kinds: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for image in images:
        kinds[image.case].add((image.source, image.label))
    numbers: dict[tuple[tuple[str, int], ...], int] = defaultdict(int)
    for kind in kinds.values():
        numbers[tuple(sorted(kind))] += 1
    divided = {label for kind, number in numbers.items() if number > 1 for _, label in kind}
    return divided == {image.label for image in images}
