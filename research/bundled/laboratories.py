"""How good a recipe is on a laboratory that it never saw: each source is left out in turn.

    python -m research.bundled.laboratories --data DATA --recipe default --out FOLDER

This, over several seeds, is what recipes are chosen by. Each training leaves predictions and, if
the trunk learns, weights in the folder; one that was interrupted goes on. Several recipes, each in
a folder of its own, are compared on the same images by

    python -m research.bundled.laboratories --data DATA --compare FOLDER FOLDER ...
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydantic import BaseModel

from napari_smse.datasets.labelled_set import LabelledSet, join_sets
from napari_smse.datasets.loading import read_training_set
from napari_smse.evaluation.cross_validation import Learner, leave_source_out
from napari_smse.evaluation.learners import DEFAULT, FROZEN, create_learner, read_recipe
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, paired_difference
from napari_smse.training.recipe import Recipe
from research.bundled import MORE_SOURCES, SOURCES
from research.bundled.kept_networks import keeping_learner
from research.bundled.kept_predictions import keeping_predictions, read_predictions

BY_SUBTYPE: Final = frozenset({"ucsb"})
"""Sources whose images are alike within a subtype (its tissue microarray), not within a case."""
_log = logging.getLogger(__name__)


def main() -> None:
    """Train what is missing and print a table, or compare recipes."""
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    data = read_laboratories(options.data)
    if options.compare:
        print_comparison(options.compare, data, options.data)
        return
    sources = options.sources or list(data.sources)
    learner = chosen_learner(options)
    measure(learner, data, sources, options.seeds)
    print_table(options.out, data, options.data)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--recipe", default="default", help="default, frozen, or a JSON file")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--sources", nargs="*", help="to leave out; all by default")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="for the predictions")
    parser.add_argument("--compare", type=Path, nargs="*", metavar="FOLDER")
    options = parser.parse_args()
    if not options.compare and options.out is None:
        parser.error("give --out, or folders to --compare")
    return options


def read_laboratories(data: Path) -> LabelledSet:
    """Return all sources, those of the bundled model and more."""
    return join_sets([read_training_set(path, base=data) for path in (SOURCES, MORE_SOURCES)])


def chosen_learner(options: argparse.Namespace) -> Learner:
    """Return the learner of a recipe, which leaves its predictions, and weights, in the folder."""
    recipe: BaseModel | str = FROZEN
    if options.recipe != FROZEN:
        recipe = read_recipe(options.recipe, steps=options.steps)
    if isinstance(recipe, Recipe) and options.recipe != DEFAULT:
        learner = keeping_learner(recipe, options.device, options.out)
    else:
        learner = create_learner(options.recipe, device=options.device, steps=options.steps)
    return keeping_predictions(learner, described(recipe), options.out, options.data)


def described(recipe: BaseModel | str) -> str:
    """Write a recipe as what identifies its trainings; a field that is new later changes none."""
    if isinstance(recipe, str):
        return recipe
    return recipe.model_dump_json(by_alias=True, exclude_defaults=True)


def measure(learner: Learner, data: LabelledSet, sources: Sequence[str], seeds: int) -> None:
    """Train without each source, with each seed, unless that was done before."""
    for seed in range(seeds):
        for source in sources:
            held_out = leave_source_out(learner, data, source, validation_fraction=0, seed=seed)
            _log.info("%s, seed %d: %s", source, seed, describe(of_source(held_out, data, source)))


def by_alike(data: LabelledSet) -> LabelledSet:
    """Return the same images, those that are drawn together in a bootstrap as one case."""
    images = (
        replace(image, case=f"{image.source} {image.subtype}")
        if image.source in BY_SUBTYPE
        else image
        for image in data.images
    )
    return replace(data, images=tuple(images))


def of_source(held_out: HeldOutPredictions, data: LabelledSet, source: str) -> Estimate:
    """Return the AUC on a source, by the mean over seeds."""
    return estimate(held_out, by_alike(data), "auc")


def subtype_pairs(
    held_out: HeldOutPredictions, data: LabelledSet
) -> Iterator[tuple[str, Estimate]]:
    """Yield the AUC of each pair of subtypes of the two classes."""
    images = by_alike(data)
    subtypes = np.array([images.images[i].subtype for i in held_out.images.tolist()])
    labels = np.array([images.images[i].label for i in held_out.images.tolist()])
    for benign in sorted(set(subtypes[labels == 0])):
        for malignant in sorted(set(subtypes[labels == 1])):
            rows = np.flatnonzero(
                ((subtypes == benign) & (labels == 0)) | ((subtypes == malignant) & (labels == 1))
            )
            yield f"{benign} / {malignant}", estimate(taken(held_out, rows), images, "auc")


def taken(held_out: HeldOutPredictions, rows: np.ndarray) -> HeldOutPredictions:
    """Return some rows of predictions."""
    return HeldOutPredictions(
        held_out.images[rows],
        held_out.logits[torch.from_numpy(rows)],
        held_out.folds[rows],
        held_out.repeats[rows],
    )


def print_table(folder: Path, data: LabelledSet, root: Path) -> None:
    """Print the AUC on each source left out, and by pair of subtypes."""
    print("| left out | images | cases | AUC (95 %) |\n|---|---|---|---|")
    for source in data.sources:
        held_out = read_predictions(folder, source, data, root)
        if held_out is None:
            continue
        found = of_source(held_out, data, source)
        print(f"| {source} | {len(set(held_out.images))} | {found.cases} | {describe(found)} |")
        if source in BY_SUBTYPE:
            continue
        for pair, one in subtype_pairs(held_out, data):
            if one.value is not None:
                print(f"| - {pair} | {one.n} | {one.cases} | {describe(one)} |")


def print_comparison(folders: Sequence[Path], data: LabelledSet, root: Path) -> None:
    """Print each recipe's AUC on each source, and how much better it is than the first one."""
    names = [folder.name for folder in folders]
    print(f"| left out | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for source in data.sources:
        found = seeds_of_all([read_predictions(folder, source, data, root) for folder in folders])
        cells = []
        for one in found:
            cell = "" if one is None else describe(of_source(one, data, source))
            if one is not None and found[0] is not None and one is not found[0]:
                cell += (
                    f"; {describe(paired_difference(one, found[0], by_alike(data), 'auc'), '+')}"
                )
            cells.append(cell)
        print(f"| {source} | {' | '.join(cells)} |")


def seeds_of_all(
    found: Sequence[HeldOutPredictions | None],
) -> list[HeldOutPredictions | None]:
    """Return predictions by those seeds alone that all recipes have."""
    common = min((len(set(one.repeats.tolist())) for one in found if one is not None), default=0)
    return [None if one is None else one.part(one.repeats < common) for one in found]


def describe(found: Estimate, sign: str = "") -> str:
    """Write a figure and its interval."""
    if found.value is None:
        return found.reason or "-"
    value = f"{found.value:{sign}.3f}"
    return (
        value if found.low is None else f"{value} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"
    )


if __name__ == "__main__":
    main()
