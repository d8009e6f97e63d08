"""The bundled model, fine-tuned on annotated slides of some cases, calls slides of others better.

The slides are made of real images, seen through a scanner that the model does not know. It was
trained on these very cases, so that "before" is better than it would be elsewhere;
research/fine_tuning/measure.py measures what this cannot.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_smse.annotations import read_annotations
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.metrics.summary import paired_difference
from napari_smse.models import Model, load_model
from napari_smse.progress import run_task
from napari_smse.slides import open_slide
from napari_smse.training.prediction import TileOutputs, tile_outputs
from research.fine_tuning.mosaic_slides import MOST_IMAGES, MPP, OTHER_SCANNER, compose_slides

pytestmark = pytest.mark.slow

# A deal holds out two benign cases only, so a single one says little.
DEALS = range(8)


@pytest.fixture(scope="module")
def images(shared_data: Path) -> LabelledSet:
    """BreakHis at 100X, where nothing but the tissue tells the classes apart."""
    found = read_training_set(shared_data / "breakhis")
    return replace(
        found, images=tuple(image for image in found.images if image.magnification == "100X")
    )


@pytest.fixture(scope="module")
def folder(images: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    compose_slides(images, folder, scanner=OTHER_SCANNER)
    return folder


@pytest.fixture(scope="module")
def fields(folder: Path) -> LabelledSet:
    return read_training_set(folder)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("bundled")


@pytest.fixture(scope="module")
def known(model: Model, fields: LabelledSet) -> dict[LabelledImage, TileOutputs]:
    """What the untouched model says of the slides, as if they had been scored."""
    found = tile_outputs(model.network, fields.images)
    return dict(zip(fields.images, found, strict=True))


def finished(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


def of_deal(held_out: HeldOutPredictions, deal: int) -> HeldOutPredictions:
    return replace(held_out, repeats=np.full(len(held_out), deal))


def class_mean_loss(held_out: HeldOutPredictions, data: LabelledSet) -> float:
    """The cross-entropy of held-out fields, both classes weighing the same."""
    labels = torch.tensor([data.images[i].label for i in held_out.images])
    losses = functional.cross_entropy(held_out.logits, labels, reduction="none")
    return float(torch.stack([losses[labels == k].mean() for k in (0, 1)]).mean())


def test_slides_of_images_are_slides(
    folder: Path, images: LabelledSet, fields: LabelledSet
) -> None:
    slides = sorted(folder.glob("*.tif"))
    assert len(slides) == len(images.cases)
    with open_slide(slides[0]) as slide:
        assert slide.mpp == pytest.approx(MPP)
        drawn = read_annotations(slides[0].with_suffix(".geojson"))
        own = [one for one in images.images if slides[0].stem == one.case.replace(" ", "_")]
        assert len(drawn.annotations) == min(len(own), MOST_IMAGES)
    # A field shows one image, and is of the class that was drawn around it.
    label_of = {image.case.replace(" ", "_"): image.label for image in images.images}
    assert all(label_of[one.path.stem] == one.label for one in fields.images)
    assert len({(one.path, one.drawn) for one in fields.images}) == len(fields.images)
    numbers = [len(read_annotations(one.with_suffix(".geojson")).annotations) for one in slides]
    assert sum(numbers) / 2 < len(fields.images) <= sum(numbers)


@pytest.mark.parametrize("similarity", ["pair", "triplet"])
def test_fine_tuned_heads_call_other_cases_better(
    model: Model,
    fields: LabelledSet,
    known: dict[LabelledImage, TileOutputs],
    similarity: str,
) -> None:
    before, after = [], []
    for deal in DEALS:
        recipe = fine_tune_recipe(similarity, seed=deal)
        tuning = FineTuner(model, fields, recipe, precomputed=known)
        cases = [{fields.images[i].case for i in s} for s in (tuning.training, tuning.testing)]
        assert cases[0].isdisjoint(cases[1])
        tuned = finished(tuning)
        before.append(of_deal(tuned.before.held_out, deal))
        after.append(of_deal(tuned.after.held_out, deal))
    better = paired_difference(join(after), join(before), fields, "balanced_accuracy", draws=10)
    assert better.value is not None
    assert better.value > 0


def test_a_last_stage_learns_from_slides_and_the_model_stays_as_it_is(
    model: Model, fields: LabelledSet, known: dict[LabelledImage, TileOutputs]
) -> None:
    held = {name: value.clone() for name, value in model.network.state_dict().items()}
    recipe = fine_tune_recipe("triplet", "stage", steps=4, warm_up=1)
    some = replace(fields, images=fields.images[::4])
    tuned = finished(FineTuner(model, some, recipe, precomputed=known))
    now = tuned.network.state_dict()
    trunk = [name for name in held if name.startswith("trunk.")]
    assert any(not torch.equal(now[name], held[name]) for name in trunk)
    # After so few steps, calls say little yet; probabilities already do. By pairs, which draw
    # distances first, the loss rises slightly.
    assert class_mean_loss(tuned.after.held_out, some) < class_mean_loss(
        tuned.before.held_out, some
    )
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, held[name]), name
