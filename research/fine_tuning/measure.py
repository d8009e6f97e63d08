"""Measure fine-tuning on annotated slides, on the cases that were not learnt from.

    python -m research.fine_tuning.measure --data ../shared/data --networks FOLDER --out DIR

FOLDER is one that `bundled.train` or `bundled.laboratories` wrote: strangers come from there.
Slides are composed from labelled images, and every fine-tuning goes through what
`napari-smse finetune DIR/slides/...` does. A run that is on disk is not done again, so that the
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.pixels import close_slides
from napari_smse.evaluation.cross_validation import Learner
from napari_smse.evaluation.linear_probe import LinearProbe
from napari_smse.finetuning.fine_tuner import HELD_OUT_FRACTION, FineTuner
from napari_smse.finetuning.result import FineTuneProgress, FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe, split_for_fine_tuning
from napari_smse.models import Model, SmseNetwork, load_model
from napari_smse.models.trunk import DEFAULT_TRUNK
from napari_smse.progress import run_task
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import HeadLearner
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import Recipe, Similarity, Trainable
from research.bundled.frozen_trunk import CROPS_PER_IMAGE, RECIPE
from research.bundled.laboratories import read_laboratories
from research.bundled.leave_source_out import left_out_model
from research.fine_tuning.mosaic_slides import (
    MOST_IMAGES,
    OTHER_SCANNER,
    Scanner,
    compose_slides,
)
from research.fine_tuning.tables import (
    HEAD,
    ON_FEATURES,
    Run,
    feature_gains,
    read_runs,
    rows,
    run_path,
    save_run,
)

FEW_OF_A_CLASS: Final = 50
COLON_CASES: Final = 60
COLON_IMAGES: Final = 4
LOSSES: Final[tuple[Similarity, ...]] = ("pair", "triplet")
TRAINED_THERE: Final = "heads on ImageNet's stages, all"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What is fine-tuned on what.

    Attributes
    ----------
    name
        For folders and tables.
    source
        That the slides are made of.
    stranger
        The model never saw that source; else it is the bundled one, which did.
    scanner
        The slides are seen through.
    """

    name: str
    source: str
    stranger: bool
    scanner: Scanner | None = None

    @property
    def slides(self) -> str:
        """What its slides are called; settings may have the same."""
        return self.source if self.scanner is None else f"{self.source}-scanner"


SETTINGS: Final = (
    Setting("breast-stranger", "breakhis", True),
    Setting("breast-bundled-scanner", "breakhis", False, OTHER_SCANNER),
    Setting("breast-bundled", "breakhis", False),
    Setting("colon-stranger", "colon", True),
)


@dataclass(frozen=True)
class Deal:
    """One division of cases into those to learn from and others.

    Attributes
    ----------
    number
        Its seed.
    held_out_fraction
        Of the cases that is held out.
    few, every
        Images to learn from: about a hundred, or all of these cases.
    held
        Images of the other cases.
    """

    number: int
    share: float
    few: list[int]
    every: list[int]
    held: list[int]


def main() -> None:
    """Compose, fine-tune, compare."""
    options = parse()
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    everything = read_laboratories(options.data)
    for setting in SETTINGS:
        if setting.name in options.settings:
            lines = measured(setting, everything, options)
            print(setting.name, *lines, sep="\n", flush=True)
            close_slides()


def measured(setting: Setting, everything: LabelledSet, options: argparse.Namespace) -> list[str]:
    """Return the table of a setting, and write it."""
    data = slides_of(everything, setting, options.out / "slides" / setting.slides)
    model = model_of(everything, setting, options)
    runs = options.out / f"runs-{options.share:g}"
    deals = [deal_cases(data, number, options.share) for number in range(options.deals)]
    assert isinstance(model.network, SmseNetwork)
    table = empty_table(model.network)
    fine_tune(model, data, runs / setting.name, "head", deals)
    fine_tune(model, data, runs / setting.name, "head", deals, table)
    fine_tune(model, data, runs / setting.name, "stage", deals[: options.stage_deals])
    train_there(data, runs / f"there-{setting.slides}", deals)
    done = read_runs(runs / setting.name) | read_runs(runs / f"there-{setting.slides}")
    lines = [HEAD, *rows(data, done, TRAINED_THERE), *feature_gains(data, done)]
    (runs / f"{setting.name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def parse() -> argparse.Namespace:
    """Read the command line."""
    names = [setting.name for setting in SETTINGS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--networks", type=Path, help="with one that learnt without each source")
    parser.add_argument("--out", type=Path, required=True, help="for slides, models and figures")
    parser.add_argument("--settings", nargs="+", choices=names, default=names)
    parser.add_argument("--share", type=float, default=HELD_OUT_FRACTION, help="of cases held out")
    parser.add_argument("--deals", type=int, default=10, help="of cases, for heads")
    parser.add_argument("--stage-deals", type=int, default=3, help="the first of them")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def slides_of(everything: LabelledSet, setting: Setting, folder: Path) -> LabelledSet:
    """Compose a setting's slides, and read them as a user's are read."""
    chosen = chosen_images(everything, setting.source)
    if not folder.is_dir():
        most = COLON_IMAGES if setting.source == "colon" else MOST_IMAGES
        compose_slides(chosen, folder, scanner=setting.scanner, most=most)
    data = read_training_set(folder)
    _log.info("%s: %s of %d images", setting.name, data.count(), len(chosen.images))
    return data


def chosen_images(everything: LabelledSet, source: str) -> LabelledSet:
    """Return the images of a source that slides are made of.

    Of BreakHis those at 100X: nothing but the tissue tells its classes apart then, and an image
    is about as large as a field. Of the colon some cases, which is enough.
    """
    data = everything.select_sources([source])
    if source == "breakhis":
        images = [image for image in data.images if image.magnification == "100X"]
    else:
        cases = sorted(data.cases)
        some = {cases[i] for i in np.linspace(0, len(cases) - 1, COLON_CASES).astype(int)}
        images = [image for image in data.images if image.case in some]
    return replace(data, images=tuple(images))


def model_of(everything: LabelledSet, setting: Setting, options: argparse.Namespace) -> Model:
    """Return the model that a setting fine-tunes."""
    if setting.stranger:
        folder = options.out / "models"
        return left_out_model(everything, setting.source, options.networks, folder)
    return load_model("bundled")


def empty_table(network: SmseNetwork) -> FeatureCache:
    """Return a table for the features of a network's trunk, nothing computed yet."""
    return FeatureCache(network, RECIPE, crops_per_image=CROPS_PER_IMAGE)


def deal_cases(data: LabelledSet, number: int, share: float) -> Deal:
    """Divide cases as a fine-tuning of that seed does."""
    every, held, only_regions = split_for_fine_tuning(data, share, number)
    assert not only_regions
    few = []
    for label in range(len(data.classes)):
        own = [i for i in every if data.images[i].label == label]
        few += by_turns(data, own, FEW_OF_A_CLASS, number)
    return Deal(number, share, sorted(few), every, held)


def by_turns(data: LabelledSet, indices: Sequence[int], most: int, seed: int) -> list[int]:
    """Return at most so many images, one of each case after the other."""
    rng = np.random.default_rng(seed)
    waiting: dict[str, list[int]] = defaultdict(list)
    for i in rng.permutation(np.asarray(indices)).tolist():
        waiting[data.images[i].case].append(i)
    found: list[int] = []
    while any(waiting.values()) and len(found) < most:
        found += [own.pop() for own in waiting.values() if own]
    return found[:most]


def fine_tune(
    model: Model,
    data: LabelledSet,
    folder: Path,
    learns: Trainable,
    deals: Sequence[Deal],
    table: FeatureCache | None = None,
) -> None:
    """Fine-tune with both losses on a hundred images of every deal.

    With a table, the heads learn from the trunk's features, computed once for all deals: the time
    of the first deal is the one that a user waits.
    """
    for deal in deals:
        for loss in LOSSES:
            what = f"{loss}, {learns}{'' if table is None else ON_FEATURES}"
            if not run_path(folder, what, deal.number).is_file():
                run = tuned_run(model, data, deal, loss, learns, table)
                save_run(replace(run, what=what), folder)
                _log.info("%s: %s, deal %d", folder.name, what, deal.number)


def tuned_run(
    model: Model,
    data: LabelledSet,
    deal: Deal,
    loss: Similarity,
    learns: Trainable,
    table: FeatureCache | None = None,
) -> Run:
    """Fine-tune once, by the clock."""
    recipe = fine_tune_recipe(loss, learns, seed=deal.number)
    crops = 0 if table is None else table.crops_per_image
    tuning = FineTuner(model, data, recipe, held_out_fraction=deal.share, crops=crops, table=table)
    assert sorted(tuning.testing) == sorted(deal.held)
    assert tuning.labelled_set.classes == data.classes
    # Of the cases learnt from, only so many regions were annotated.
    tuning.training = deal.few
    began = time.monotonic()
    tuned, learning = finished(tuning)
    held = tuned.after.held_out
    assert np.array_equal(held.images, tuned.before.held_out.images)
    return Run(
        f"{loss}, {learns}",
        deal.number,
        len(deal.few),
        held.images.tolist(),
        held.logits.tolist(),
        tuned.before.held_out.logits.tolist(),
        _accuracies(tuned),
        time.monotonic() - began,
        learning,
    )


def finished(tuning: FineTuner) -> tuple[FineTuneResult, float]:
    """Run to the end; also return how many seconds were spent learning."""
    learning, last = 0.0, time.monotonic()

    def add_time(progress: FineTuneProgress) -> None:
        nonlocal learning, last
        now = time.monotonic()
        learning += now - last if progress.stage == "learning" else 0.0
        last = now

    return run_task(tuning.run(), add_time), learning


def train_there(data: LabelledSet, folder: Path, deals: Sequence[Deal]) -> None:
    """Train on the slides themselves, which is what a fine-tuning is to come near to."""
    frozen, _ = new_network(Recipe(network=DEFAULT_TRUNK), len(data.classes))
    assert isinstance(frozen, SmseNetwork)
    stages, _ = new_network(RECIPE, len(data.classes))
    assert isinstance(stages, SmseNetwork)
    learners: dict[str, Learner] = {
        "frozen ImageNet": LinearProbe(frozen),
        "heads on ImageNet's stages": HeadLearner(empty_table(stages), RECIPE),
    }
    sides: dict[str, Callable[[Deal], list[int]]] = {
        "few": lambda deal: deal.few,
        "all": lambda deal: deal.every,
    }
    for (name, learner), (side, chosen), deal in product(learners.items(), sides.items(), deals):
        what = f"{name}, {side}"
        if not run_path(folder, what, deal.number).is_file():
            save_run(trained_run(what, learner, data, deal, chosen(deal)), folder)
            _log.info("%s: %s, deal %d", folder.name, what, deal.number)


def trained_run(
    what: str, learner: Learner, data: LabelledSet, deal: Deal, learnt: list[int]
) -> Run:
    """Train once from the start."""
    began = time.monotonic()
    predictor = learner(data, learnt, [], deal.number)
    logits = predictor(data.select(deal.held)).tolist()
    seconds = time.monotonic() - began
    return Run(what, deal.number, len(learnt), deal.held, logits, seconds=seconds)


def _accuracies(tuned: FineTuneResult) -> tuple[float, float] | None:
    """Return the share of the model's exemplars called right before and after."""
    if tuned.exemplar_accuracy is None:
        return None
    before, after = (one.value for one in tuned.exemplar_accuracy)
    assert before is not None
    assert after is not None
    return before, after


if __name__ == "__main__":
    main()
