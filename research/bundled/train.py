"""Make the bundled model from the data folder, with its figures, in one command.

    python -m research.bundled.train --data ../shared/data --out src/napari_smse/models/bundled

Everything that is measured is measured on whole cases that the network in question
never saw; the external test set is measured once, at the very end, and chooses nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.splits import Fold, grouped_folds
from napari_smse.evaluation.cross_validation import (
    Learner,
    cross_validation,
    leave_scale_out,
    leave_source_out,
)
from napari_smse.evaluation.linear_probe import LinearProbe
from napari_smse.evaluation.scale_curve import ScalePoint, held_out_scale_curve
from napari_smse.metrics.calibration import apply_temperature, fit_temperature
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.models import (
    Metric,
    SmseNetwork,
    load_model,
    read_card,
    save_model,
)
from napari_smse.models.trunk import DEFAULT_TRUNK
from napari_smse.scoring.device import computes_bfloat16
from napari_smse.similarity.bank_file import model_bank_path, save_bank
from napari_smse.training.exemplar_selection import choose_exemplars, table_tiles
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import HeadLearner, fresh_heads, train_heads
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import Recipe, default_recipe
from research.bundled import SOURCES
from research.bundled.abstention import abstain_band
from research.bundled.bach import bach_probabilities
from research.bundled.card import (
    card_of,
    cross_validated_figures,
    difference_figures,
    external_figure,
    left_out_figure,
    magnification_figures,
    scale_figures,
    unseen_scale_figures,
)

NAME = "smse_v0"
VALIDATED = "breakhis"
REPEATS = 3
CROPS_PER_IMAGE = 8
# Chosen by cross-validation and by leaving sources out: research/EXPERIMENTS.md.
# Where a CPU has no bfloat16, computing in it takes several times as long as in float32.
RECIPE = default_recipe().model_copy(
    update={"precision": "bfloat16" if computes_bfloat16() else "float32"}
)
_log = logging.getLogger(__name__)


def main() -> None:
    """Measure, train, save."""
    options = parse()
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = read_training_set(SOURCES, base=options.data)
    table = filled_table(data)
    held_out = measure(data, table)
    temperature, labels = held_out_temperature(held_out, data)
    calibrated = replace(held_out, logits=held_out.logits / temperature)
    figures = [
        *cross_validated_figures("this recipe, all sources", held_out, data),
        *cross_validated_figures("this recipe, after calibration", calibrated, data, ["ece"]),
        *magnification_figures(held_out, data),
        *left_out(data, table),
        *compare(data, table),
        *scale_figures(scale_points(data, table)),
        *scales_left_out(data, table),
    ]
    network = final_network(data, table, temperature)
    card = card_of(
        NAME,
        data,
        RECIPE,
        network,
        figures,
        temperature=temperature,
        band=abstain_band(calibrated.probabilities, labels, weights=case_weights(data, calibrated)),
    )
    path = save_model(network, card, options.out / NAME)
    if options.external:
        found = bach_probabilities(load_model(path).network, options.data / "breast_bach_eval")
        save_model(network, external_figure(card, *found), path)
    exemplars = choose_exemplars(table_tiles(network, table, data))
    weights = read_card(path).weights_sha256
    save_bank(replace(exemplars, model=weights), model_bank_path(path))
    for figure in load_model(path).card.figures:
        _log.info("%s", json.dumps(figure.model_dump(exclude={"how"})))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="where to put the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--external", action="store_true", help="measure BACH at the end")
    return parser.parse_args()


def filled_table(data: LabelledSet) -> FeatureCache:
    """Compute the frozen trunk's features of all images."""
    network, _ = new_network(RECIPE, len(data.classes))
    assert isinstance(network, SmseNetwork)
    table = FeatureCache(network, RECIPE, crops_per_image=CROPS_PER_IMAGE)
    for progress in table.fill(data.images):
        if progress.done % 200 == 0:
            _log.info("features of %d of %d images", progress.done, progress.total)
    return table


def divided(data: LabelledSet, seed: int, *, joined: bool) -> list[Fold]:
    """Return folds by case over `VALIDATED`; the other sources join every training side."""
    own = np.array([i for i, image in enumerate(data.images) if image.source == VALIDATED])
    others = np.setdiff1d(np.arange(len(data.images)), own) if joined else own[:0]
    return [
        Fold(fold.name, np.concatenate([own[fold.training], others]), own[fold.test])
        for fold in grouped_folds([data.images[i] for i in own], 5, seed)
    ]


def repeated(learner: Learner, data: LabelledSet, *, joined: bool) -> HeldOutPredictions:
    """Cross-validate with folds dealt anew in each repeat."""
    parts = []
    for repeat in range(REPEATS):
        running = cross_validation(
            learner, data, divided(data, repeat, joined=joined), seed=1000 * repeat
        )
        parts += [
            replace(done.held_out, repeats=np.full(len(done.held_out), repeat)) for done in running
        ]
    return join(parts)


def compare(data: LabelledSet, table: FeatureCache) -> Iterator[Metric]:
    """Yield figures of the recipe and its controls, learning from BreakHis alone."""
    frozen, _ = new_network(Recipe(network=DEFAULT_TRUNK), len(data.classes))
    assert isinstance(frozen, SmseNetwork)
    without = RECIPE.model_copy(update={"similarity": "none"})
    learners: dict[str, Learner] = {
        "frozen ImageNet features with logistic regression (control)": LinearProbe(frozen),
        "no similarity loss, cross-entropy alone (control)": HeadLearner(table, without),
        "this recipe, BreakHis alone": HeadLearner(table, RECIPE),
    }
    found = {name: repeated(learner, data, joined=False) for name, learner in learners.items()}
    for name, held_out in found.items():
        _log.info("%s: measured", name)
        yield from cross_validated_figures(name, held_out, data)
    *controls, own = found
    for control in controls:
        yield from difference_figures(control, found[own], found[control], data)


def left_out(data: LabelledSet, table: FeatureCache) -> Iterator[Metric]:
    """Yield figures of each source, learning from the others."""
    for name in data.sources:
        yield left_out_figure(leave_source_out(HeadLearner(table, RECIPE), data, name), data, name)


def scales_left_out(data: LabelledSet, table: FeatureCache) -> Iterator[Metric]:
    """Yield what it costs not to have trained at the very magnification that is judged."""
    own = [image for image in data.images if image.source == VALIDATED]
    folds = divided(data, 0, joined=True)
    for magnification in sorted({image.magnification for image in own if image.magnification}):
        without, with_it = leave_scale_out(HeadLearner(table, RECIPE), data, magnification, folds)
        yield from unseen_scale_figures(magnification, without, with_it, data)


def measure(data: LabelledSet, table: FeatureCache) -> HeldOutPredictions:
    """Cross-validate the recipe as it is bundled."""
    learner = HeadLearner(table, RECIPE)
    parts = []
    for repeat in range(REPEATS):
        for fold in divided(data, repeat, joined=True):
            predictor = learner(data, fold.training.tolist(), [], 1000 * repeat)
            test = fold.test.tolist()
            logits = predictor(data.select(test))
            parts.append(HeldOutPredictions.from_fold(test, logits, int(fold.name) - 1, repeat))
    return join(parts)


def scale_points(data: LabelledSet, table: FeatureCache) -> list[ScalePoint]:
    """Measure each scale, every image by the network of its own held-out fold."""
    done = list(cross_validation(HeadLearner(table, RECIPE), data, divided(data, 0, joined=True)))
    return list(held_out_scale_curve(done, data))


def held_out_temperature(
    held_out: HeldOutPredictions, data: LabelledSet
) -> tuple[float, list[int]]:
    """Fit the temperature with both classes weighted alike; also return the labels."""
    labels = [data.images[i].label for i in held_out.images]
    truth = torch.tensor(labels)
    return fit_temperature(held_out.logits, truth, 1 / torch.bincount(truth).float()), labels


def case_weights(data: LabelledSet, held_out: HeldOutPredictions) -> list[float]:
    """Weigh images so that both classes, and the cases of a class, count alike."""
    cases = [data.images[i].case for i in held_out.images]
    labels = [data.images[i].label for i in held_out.images]
    sizes = {case: cases.count(case) for case in set(cases)}
    numbers = [
        len({c for c, label in zip(cases, labels, strict=True) if label == k}) for k in (0, 1)
    ]
    return [1 / sizes[case] / numbers[label] for case, label in zip(cases, labels, strict=True)]


def final_network(data: LabelledSet, table: FeatureCache, temperature: float) -> SmseNetwork:
    """Train on everything that may train."""
    network = fresh_heads(table.network, RECIPE, len(data.classes))
    everything: Sequence[int] = range(len(data.images))
    for _ in train_heads(network, table, data, everything, RECIPE):
        pass
    apply_temperature(network, temperature)
    return network


if __name__ == "__main__":
    main()
