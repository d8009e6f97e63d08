"""A fine-tuned network as a model on disk, with a card that names its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_smse.atomic_write import atomic_files
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, paired_difference
from napari_smse.models import Metric, ModelCard, read_card, save_model
from napari_smse.models.card import TRAINING_IMAGES, Colour
from napari_smse.models.model_files import model_stem
from napari_smse.similarity.bank_file import model_bank_path, save_bank
from napari_smse.similarity.ood.reference import ood_reference_path, save_ood_reference
from napari_smse.training.train_model import recipe_facts, training_sources

METRICS: Final = ("auc", "accuracy", "balanced_accuracy")
_LIMITS: Final = (
    "Research use only; not a medical device, not for diagnosis.",
    "Fine-tuned for the images named under training; the figures of the model it comes from do "
    "not hold for it.",
)
_BAND_OF_BASE: Final = (
    "The probabilities between which nothing is called are those of the model it comes from."
)


def save_fine_tuned(
    tuning: FineTuner,
    tuned: FineTuneResult,
    out: Path,
    *,
    label: tuple[str, str] | None = None,
    colours: Mapping[str, Colour] | None = None,
) -> Path:
    """Write weights, card, exemplars and reference: all of them or, if one cannot be, none.

    Parameters
    ----------
    tuning, tuned
        What was learnt.
    out
        The weights, the card, or their common stem.
    label
        Name and version of the new model; that of the file, and 1, if not given.
    colours
        Of the classes, as for `fine_tuned_card`.

    Returns
    -------
    Path
        Of the weights.

    Raises
    ------
    ModelError
        A weight is not finite.
    BankError
        The exemplars cannot be written.
    OutputError
        The files cannot be written.
    OSError
        The folder cannot be made.
    """
    name, version = label or (model_stem(out).name, "1")
    card = fine_tuned_card(tuning, tuned, name, version=version, colours=colours)
    stem = model_stem(out)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with atomic_files(stem) as part:
        made = save_model(tuned.network, card, part / stem.name)
        weights = read_card(made).weights_sha256
        save_bank(replace(tuned.exemplars, model=weights), model_bank_path(made))
        if tuned.ood_reference is not None:
            save_ood_reference(
                tuned.ood_reference.model_copy(update={"model": weights}), ood_reference_path(made)
            )
    path = stem.with_name(made.name)
    if tuned.ood_reference is None:
        # Those of a model that lay here before are not of this one.
        ood_reference_path(path).unlink(missing_ok=True)
    return path


def fine_tuned_card(
    tuning: FineTuner,
    tuned: FineTuneResult,
    name: str,
    *,
    version: str = "1",
    colours: Mapping[str, Colour] | None = None,
) -> ModelCard:
    """Describe a fine-tuned model: its parent, its training data, and its metrics.

    Parameters
    ----------
    tuning, tuned
        What was learnt.
    name, version
        Of the new model.
    colours
        RGB 0..255 by class name, upper and lower case alike; other classes are left out. The
        model tuned gives the colours of the classes that lack one.
    """
    base, data = tuning.model.card, tuning.labelled_set
    # Its parent's is of other laboratories; without one, what was learnt from a few tiles would be
    # called boldly.
    same = data.classes == base.classes and base.undecided is not None
    undecided = base.undecided if same else tuned.undecided
    return ModelCard(
        name=name,
        version=version,
        classes=data.classes,
        class_colours=_colours_of(data.classes, base.class_colours, colours or {}),
        tile_px=base.tile_px,
        mpp_range=base.mpp_range,
        trunk=base.trunk,
        embedding_dim=base.embedding_dim,
        encoder=base.encoder,
        training=(*base.training, *training_sources(data, tuning.training)),
        recipe=recipe_facts(tuning.recipe)
        | {
            TRAINING_IMAGES: len(tuning.training),
            "crops an image": tuning.crops,
            "temperature": round(tuned.temperature, 4),
        },
        figures=_figures(tuning, tuned),
        intended_use=base.intended_use,
        undecided=undecided,
        limits=(*_LIMITS, *((_BAND_OF_BASE,) if same else ()), *tuning.warnings),
        parent=f"{base.name} {base.version}, weights {base.weights_sha256[:16]}",
    )


def differences(tuning: FineTuner, tuned: FineTuneResult) -> dict[str, Estimate]:
    """Return how much better held-out images are called than before, with paired intervals."""
    after, before = tuned.after.held_out, tuned.before.held_out
    return {name: paired_difference(after, before, tuning.labelled_set, name) for name in METRICS}


def estimates(tuning: FineTuner, held_out: HeldOutPredictions) -> dict[str, Estimate]:
    """Return the figures of held-out images."""
    return {name: estimate(held_out, tuning.labelled_set, name) for name in METRICS}


def _colours_of(
    classes: Sequence[str], older: Mapping[str, Colour], given: Mapping[str, Colour]
) -> dict[str, Colour]:
    # Case does not tell classes apart in a fine-tuning either.
    known = {name.strip().casefold(): colour for name, colour in [*older.items(), *given.items()]}
    found = {name: known.get(name.strip().casefold()) for name in classes}
    return {name: colour for name, colour in found.items() if colour is not None}


def _figures(tuning: FineTuner, tuned: FineTuneResult) -> tuple[Metric, ...]:
    images = len(tuning.testing)
    cases = len({tuning.labelled_set.images[i].case for i in tuning.testing})
    how = f"{images} held-out images of {cases} cases; 95 % interval from 1,000 bootstraps of cases"
    found = [
        _figure(f"held out, {when}", name, value, how)
        for when, assessment in (("after", tuned.after), ("before", tuned.before))
        for name, value in estimates(tuning, assessment.held_out).items()
    ]
    found += [
        _figure("held out, after minus before", f"{name} difference", value, how)
        for name, value in differences(tuning, tuned).items()
    ]
    if tuned.exemplar_accuracy is not None:
        old = "share of the exemplars of the model it comes from that are called right"
        found += [
            _figure(f"exemplars, {when}", "accuracy", value, f"{old}, of {value.n:,}")
            for when, value in zip(("before", "after"), tuned.exemplar_accuracy, strict=True)
        ]
    return tuple(figure for figure in found if figure is not None)


def _figure(data: str, metric: str, found: Estimate, how: str) -> Metric | None:
    if found.value is None:
        return None
    low, high = (None if bound is None else round(bound, 3) for bound in (found.low, found.high))
    metric = metric.replace("_", " ")
    return Metric(
        data=data, metric=metric, value=round(found.value, 3), low=low, high=high, how=how
    )
