"""Make the bundled model from the data folder, with its figures, in one command.

    python training/train_bundled.py --data ../shared/data --out src/napari_smse/network/bundled

Cross-validates on BreakHis first (frozen baseline and recipe, same case-grouped
folds), leaves each source out once, fits the temperature on the held-out logits,
trains on everything that may train, and measures BACH once at the very end.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import torch

from napari_smse.learning.activations import Activations, Tail, compute_activations
from napari_smse.learning.baseline import frozen_baseline
from napari_smse.learning.calibration import apply_temperature, fit_temperature
from napari_smse.learning.crossval import (
    Estimate,
    HeldOut,
    cross_validate,
    fit,
    leave_source_out,
    of_sources,
    summarise,
)
from napari_smse.learning.external import bach_probabilities
from napari_smse.learning.imagenet_start import PARENT, start_from_imagenet
from napari_smse.learning.labelled_set import LabelledImage, LabelledSet
from napari_smse.learning.metrics import auc, case_bootstrap
from napari_smse.learning.sources import (
    CLASSES,
    COLON_MPP,
    MPP_RANGE,
    ORAL_400X_MPP,
    read_sources,
)
from napari_smse.learning.trainer import Recipe
from napari_smse.network import (
    Figure,
    ModelCard,
    SmseNetwork,
    TrainingSource,
    load_model,
    save_model,
)

SOURCES = {
    "breakhis": {
        "name": "BreakHis (part: 52 of 82 cases)",
        "organ": "breast",
        "scanner": "Olympus BX-50 microscope with Samsung SCC-131AN camera",
        "licence": "CC BY 4.0 (as stated by kaiko-ai/eva)",
        "citation": "Spanhol et al., IEEE TBME 2016",
        "mpp_range": (0.2, 0.6),
        "scale_note": "um/px from optics. About half of the images are 224-px copies with "
        "detail of 0.3 um.",
    },
    "colon": {
        "name": "EBHI-Seg",
        "organ": "colon and rectum",
        "scanner": "not stated",
        "licence": "CC BY 4.0",
        "citation": "figshare 21540159",
        "mpp_range": (0.5, 0.6),
        "scale_note": f"Not stated; estimated at {COLON_MPP} um/px from crypts, and enlarged to "
        "0.5-0.6 um/px, so fine detail is missing.",
    },
    "oral": {
        "name": "Oral squamous cell carcinoma images, 400x part",
        "organ": "oral mucosa",
        "scanner": "Leica ICC50 HD camera",
        "licence": "CC0 (as stated with the copy used)",
        "citation": "Rahman et al., Data in Brief 2020",
        "mpp_range": (0.45, 0.6),
        "scale_note": f"Estimated at {ORAL_400X_MPP} um/px from nuclei, and enlarged to "
        "0.45-0.6 um/px. No patient ids: cases are blocks of consecutive numbers.",
    },
}

NAME, VERSION = "smse_v0", "0.1.0"
# All three: each source more made breast in an unseen laboratory better (docs/experiments.md),
# at a small price on unseen cases of the same laboratory.
TRAINED_ON = tuple(SOURCES)
RECIPE = Recipe(similarity="triplet", gamma=2.0, train_trunk=False, steps=300)
AUGMENTED = {"breakhis": 6, "colon": 3, "oral": 3}
_log = logging.getLogger("train_bundled")

LIMITS = (
    "Research use only; not a medical device, not for diagnosis.",
    "Only 11 benign breast cases were trained on; intervals over cases are wide.",
    "On unseen BreakHis cases it is no better than logistic regression on frozen ImageNet "
    "features.",
    "Two classes only: in situ, dysplastic and inflamed tissue was hardly or not trained on, "
    "nor was stroma, fat or blood labelled as such.",
    "Outside 0.2-0.6 um/px, or on organs other than those trained on, results mean nothing.",
)
NOTES = (
    "First training: the trunk is ImageNet's, unchanged; only embedding and class head were "
    "learnt. A better training follows.",
)


def main() -> None:
    """Train, measure, save."""
    options = parse()
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    records = read_sources(options.data)
    pooled = activations(records, options.cache)
    baseline = summarise(frozen_baseline(records, pooled), records)
    held_out = cross_validate(new_tail, records, pooled, RECIPE, joining=TRAINED_ON[1:])
    figures = [
        *cv_figures("frozen ImageNet features with logistic regression (control)", baseline),
        *cv_figures("this recipe", summarise(held_out, records)),
        *(source_figure(name, records, pooled) for name in SOURCES),
    ]
    tail = fit(new_tail, records, pooled, of_sources(records, TRAINED_ON), RECIPE)
    temperature = held_out_temperature(held_out, records)
    apply_temperature(tail.network, temperature)
    card = make_card(records, figures, temperature)
    path = save_model(tail.network, card, options.out / NAME)
    if options.external:
        external = bach_figure(load_model(path).network, options.data)
        save_model(tail.network, with_external(card, external), path)
    for figure in load_model(path).card.figures:
        _log.info("%s", json.dumps(figure.model_dump()))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="where to put the model")
    parser.add_argument("--cache", type=Path, help="file to keep the trunk's features in")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--external", action="store_true", help="measure BACH at the end")
    return parser.parse_args()


def new_tail() -> Tail:
    """Build a network with ImageNet's trunk and fresh heads."""
    network = SmseNetwork()
    start_from_imagenet(network)
    return Tail(network)


def activations(records: list[LabelledImage], cache: Path | None) -> Activations:
    """Compute the features of all crops, or read them from an earlier run."""
    if cache is not None and cache.is_file():
        return Activations(**torch.load(cache, weights_only=False))
    found = compute_activations(new_tail(), records, [AUGMENTED[r.source] for r in records])
    if cache is not None:
        torch.save(vars(found), cache)
    return found


def cv_figures(what: str, found: dict[str, Estimate]) -> list[Figure]:
    """Describe cross-validated figures."""
    return [
        Figure(
            data=f"BreakHis, {what}",
            metric=name,
            **rounded(estimate),
            how="5 folds grouped by case and stratified by class; image = mean over plain crops at "
            "0.25 and 0.5 um/px (200X copies: 0.4); "
            + (
                "mean, smallest and largest of the folds"
                if name == "auc by fold"
                else "all held-out images pooled, 95 % interval from 1,000 bootstraps of cases"
            ),
        )
        for name, estimate in found.items()
    ]


def source_figure(name: str, records: list[LabelledImage], pooled: Activations) -> Figure:
    """Train on the other sources trained on and measure on this one."""
    others = [other for other in TRAINED_ON if other != name]
    held_out = leave_source_out(new_tail, records, pooled, RECIPE, name, trained_on=others)
    return Figure(
        data=f"{SOURCES[name]['name']}, left out as a whole",
        metric="auc",
        **rounded(summarise(held_out, records)["auc"]),
        how=f"trained on {' and '.join(others)} only; 95 % interval from 1,000 bootstraps of cases",
    )


def held_out_temperature(held_out: HeldOut, records: list[LabelledImage]) -> float:
    """Fit the temperature with both classes weighted alike."""
    labels = torch.tensor([records[i].label for i in held_out.records])
    return fit_temperature(held_out.logits, labels, 1 / torch.bincount(labels).float())


def bach_figure(network: torch.nn.Module, data: Path) -> list[Figure]:
    """Measure the external test set."""
    labels, scores = bach_probabilities(network, data / "breast_bach_eval")
    low, high = case_bootstrap(auc, labels, scores, [str(i) for i in range(len(labels))])
    return [
        Figure(
            data="BACH (48 images; another hospital and scanner)",
            metric="auc",
            **rounded(Estimate(auc(labels, scores), low, high)),
            how="external, measured once with the final weights; normal and benign against in situ "
            "and invasive; image = mean probability of its 224-px tiles at 0.5 um/px; 95 % "
            "interval from 1,000 bootstraps of images",
        )
    ]


def with_external(card: ModelCard, figures: list[Figure]) -> ModelCard:
    """Add the external figures to the card, and say first among the limits what they are."""
    found = "; ".join(f"{f.data}: AUC {f.value} ({f.low} to {f.high})" for f in figures)
    limit = f"On slides from a laboratory it never saw, trust it no further than this: {found}."
    return card.model_copy(
        update={"figures": (*card.figures, *figures), "limits": (limit, *card.limits)}
    )


def rounded(estimate: Estimate) -> dict[str, float]:
    """Return the estimate to three digits."""
    return {name: round(float(value), 3) for name, value in estimate._asdict().items()}


def make_card(records: list[LabelledImage], figures: list[Figure], temperature: float) -> ModelCard:
    """Say what the model is."""
    return ModelCard(
        name=NAME,
        version=VERSION,
        classes=CLASSES,
        tile_px=224,
        mpp_range=MPP_RANGE,
        trunk=SmseNetwork().trunk_name,
        embedding_dim=128,
        training=tuple(source_of(name, records) for name in TRAINED_ON),
        recipe={
            "similarity": RECIPE.similarity,
            "mining": str(RECIPE.mining),
            "margin": RECIPE.margin,
            "focal gamma": RECIPE.gamma,
            "steps": RECIPE.steps,
            "batch": "2 classes x 8 cases x 4 crops, sources drawn alike",
            "temperature": round(temperature, 4),
        },
        figures=tuple(figures),
        intended_use="Research use only: to find regions worth a look on H&E slides of breast, "
        "and to try the software. Not for diagnosis.",
        limits=LIMITS,
        notes=NOTES,
        parent=PARENT,
    )


def source_of(name: str, records: list[LabelledImage]) -> TrainingSource:
    """Describe a source and count what was used of it."""
    own = [record for record in records if record.source == name]
    images, cases = LabelledSet(CLASSES, tuple(own)).count()
    return TrainingSource.model_validate(
        {
            **SOURCES[name],
            "images": images,
            "cases": cases,
            "cases_total": len({record.case for record in own}),
        }
    )


if __name__ == "__main__":
    main()
