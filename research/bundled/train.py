"""Make the bundled model from the data folder, with its figures, in one command.

    python -m research.bundled.train --data DATA --work FOLDER --out src/napari_smse/models/bundled

The recipe is trained on everything; without each laboratory; and on five folds of BreakHis, dealt
anew three times, each joined by the other laboratories: 21 trainings of 2 to 10 minutes on two CPU
cores. Each leaves its weights in FOLDER, and one that was interrupted goes on.

Everything that is measured is measured on whole cases that the network in question never saw.
Temperature and the band of probabilities to abstain in are fitted on laboratories left out of an
organ that others taught, which is what the model will meet. The external test set is measured
once, at the very end, and chooses nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.evaluation.cross_validation import (
    FoldProgress,
    Learner,
    cross_validation,
    leave_source_out,
)
from napari_smse.evaluation.learners import FROZEN, create_learner, read_recipe
from napari_smse.evaluation.scale_curve import held_out_scale_curve
from napari_smse.metrics.abstention import AbstainBand, abstain_band
from napari_smse.metrics.calibration import apply_temperature, fit_temperature
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.models import Metric, SmseNetwork, load_model, read_card, save_model
from napari_smse.progress import run_task
from napari_smse.similarity.bank_file import load_bank, model_bank_path, save_bank
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.training.embeddings import embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from napari_smse.training.recipe import Recipe
from research.bundled.bach import bach_probabilities
from research.bundled.breakhis_folds import REPEATS, divided
from research.bundled.card import (
    band_figures,
    card_of,
    cross_validated_figures,
    difference_figures,
    external_figure,
    left_out_figure,
    magnification_figures,
    scale_figures,
)
from research.bundled.kept_networks import TILE_PX, keeping_learner, kept_network
from research.bundled.kept_predictions import keeping_predictions
from research.bundled.laboratories import by_alike, described, read_laboratories

NAME: Final = "smse_v1"
RECIPE_PATH: Final = Path(__file__).parent / "recipes" / "bundled.json"
PREDICTIONS: Final = Path(__file__).parent / "predictions"
TARGET: Final = 0.8
"""Of what is called in a laboratory that the model never saw, this share is to be right."""
LeftOut = Mapping[str, HeldOutPredictions]
"""Of each source, by a network that learnt from the others alone."""
_log = logging.getLogger(__name__)


def main() -> None:
    """Train, measure, save."""
    options = parse()
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = read_laboratories(options.data)
    alike = by_alike(data)
    recipe = bundled_recipe()
    network = kept_network(
        options.work / "all", recipe, data, range(len(data.images)), device=options.device
    )
    learner = keeping_predictions(
        keeping_learner(recipe, options.device, options.work),
        described(recipe),
        options.predictions / "bundled",
        options.data,
    )
    control = keeping_predictions(
        create_learner(FROZEN), FROZEN, options.predictions / "control", options.data
    )
    left_out = {name: without(learner, data, name) for name in data.sources}
    folds = cross_validated(learner, data, options.repeats)
    temperature, band = calibration(left_out, data)
    figures = [
        *left_out_figures(left_out, alike, temperature, band),
        *fold_figures(folds, data, temperature, options.repeats),
        *frozen_figures(control, folds, left_out, data, options.repeats),
    ]
    apply_temperature(network, temperature)
    if options.external:
        found = bach_probabilities(network, options.data / "breast_bach_eval")
        figures = [external_figure(*found), *figures]
    card = card_of(NAME, data, recipe, network, figures, temperature=temperature, band=band)
    path = save_model(network, card, options.out / NAME)
    exemplars = kept_exemplars(network, data, options.work / "all.safetensors")
    save_bank(replace(exemplars, model=read_card(path).weights_sha256), model_bank_path(path))
    for figure in load_model(path).card.figures:
        _log.info("%s", json.dumps(figure.model_dump(exclude={"how"})))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where networks are kept")
    parser.add_argument(
        "--predictions", type=Path, default=PREDICTIONS, help="where predictions are kept"
    )
    parser.add_argument("--out", type=Path, required=True, help="where to put the model")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="how often folds are dealt")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--external", action="store_true", help="measure BACH at the end")
    return parser.parse_args()


def bundled_recipe() -> Recipe:
    """Return the recipe of the bundled model."""
    recipe = read_recipe(str(RECIPE_PATH))
    assert isinstance(recipe, Recipe)
    return recipe


# -- predictions -----------------------------------------------------------------------


def without(learner: Learner, data: LabelledSet, source: str) -> HeldOutPredictions:
    """Judge a source by a network that learnt from the others."""
    held_out = leave_source_out(learner, data, source, validation_fraction=0)
    _log.info("%s left out: measured", source)
    return held_out


def cross_validated(learner: Learner, data: LabelledSet, repeats: int) -> list[FoldProgress]:
    """Train and test each fold, dealt anew in each repeat."""
    return [
        replace(done, held_out=replace(done.held_out, repeats=np.full(len(done.held_out), repeat)))
        for repeat in range(repeats)
        for done in cross_validation(
            learner,
            data,
            divided(data, repeat, joined=True),
            validation_fraction=0,
            seed=1000 * repeat,
        )
    ]


def joined_folds(folds: list[FoldProgress]) -> HeldOutPredictions:
    """Return the predictions of all folds."""
    return join([done.held_out for done in folds])


# -- calibration -----------------------------------------------------------------------


def calibration(left_out: LeftOut, data: LabelledSet) -> tuple[float, AbstainBand]:
    """Fit temperature and band on laboratories left out, which weigh alike, as do their classes.

    Another laboratory is what the model will meet; an organ that it never saw is not what it is
    for, and so what it says of one sets nothing.
    """
    found = join([left_out[name] for name in of_known_organs(data)])
    labels = torch.tensor([data.images[i].label for i in found.images])
    weights = torch.tensor(even_weights(found, data))
    temperature = fit_temperature(found.logits, labels, weights)
    probabilities = torch.softmax(found.logits.double() / temperature, dim=1).numpy()
    band = abstain_band(probabilities, labels.numpy(), TARGET, weights=weights.numpy())
    return temperature, band


def of_known_organs(data: LabelledSet) -> list[str]:
    """Return the sources whose organ another source teaches, too; all if there are none."""
    organs = Counter(source.organ for source in data.sources.values())
    known = [name for name, source in data.sources.items() if organs[source.organ] > 1]
    return known or list(data.sources)


def even_weights(found: HeldOutPredictions, data: LabelledSet) -> list[float]:
    """Weigh images so that the sources count alike, and the classes of each."""
    kinds = [(data.images[i].source, data.images[i].label) for i in found.images]
    return [1 / kinds.count(kind) for kind in kinds]


# -- figures ---------------------------------------------------------------------------


def left_out_figures(
    left_out: LeftOut, data: LabelledSet, temperature: float, band: AbstainBand
) -> Iterator[Metric]:
    """Yield what is reached on each source left out, and what the band is worth there."""
    for name, held_out in left_out.items():
        yield left_out_figure(held_out, data, name)
        calibrated = replace(held_out, logits=held_out.logits / temperature)
        yield from band_figures(calibrated, data, name, band)


def fold_figures(
    folds: list[FoldProgress], data: LabelledSet, temperature: float, repeats: int
) -> Iterator[Metric]:
    """Yield what is reached on BreakHis cases, its laboratory known."""
    held_out = joined_folds(folds)
    calibrated = replace(held_out, logits=held_out.logits / temperature)
    yield from cross_validated_figures("this recipe, all sources", held_out, data)
    yield from cross_validated_figures("this recipe, after calibration", calibrated, data, ["ece"])
    yield from magnification_figures(held_out, data)
    first_deal = folds[: len(folds) // repeats]
    yield from scale_figures(list(held_out_scale_curve(first_deal, data)))


def frozen_figures(
    control: Learner,
    folds: list[FoldProgress],
    left_out: LeftOut,
    data: LabelledSet,
    repeats: int,
) -> Iterator[Metric]:
    """Yield the control's figures: logistic regression on ImageNet's features."""
    name = "frozen ImageNet features with logistic regression (control)"
    probe = joined_folds(cross_validated(control, data, repeats))
    yield from cross_validated_figures(name, probe, data)
    yield from difference_figures(name, joined_folds(folds), probe, data)
    for source in left_out:
        probe = without(control, data, source)
        yield left_out_figure(probe, by_alike(data), source, recipe=name)


def kept_exemplars(network: SmseNetwork, data: LabelledSet, weights: Path) -> ExemplarBank:
    """Choose exemplars from all that was learnt from, or take those chosen before.

    Parameters
    ----------
    network
        That learnt from all; a temperature does not move its embeddings.
    data
        All images.
    weights
        The file that the network was kept in; its exemplars are kept in a folder beside it.
    """
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    path = weights.parent / "exemplars" / weights.name
    if path.exists() and (kept := load_bank(path)).model == sha256:
        return kept
    tiles, _ = run_task(embed_images(network, data, range(len(data.images)), TILE_PX))
    chosen = replace(choose_exemplars(tiles), model=sha256)
    path.parent.mkdir(exist_ok=True)
    save_bank(chosen, path)
    return chosen


if __name__ == "__main__":
    main()
