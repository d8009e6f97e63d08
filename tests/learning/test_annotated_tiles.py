"""From annotations on scored slides to a tuned network and new maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shapely import MultiPolygon
from shapely.geometry import box

from generated import write_pyramid_tiff
from mini_training import TRUNK, mini_network
from napari_smse.errors import DataError
from napari_smse.learning.annotated_tiles import AnnotatedSlide, AnnotatedTiles, annotated_tiles
from napari_smse.learning.embedded_tiles import embed_images
from napari_smse.learning.fine_tuning import FLATTERS, FineTuned, FineTuning, tuning_recipe
from napari_smse.learning.metrics import auc
from napari_smse.learning.recolouring import tuned_maps
from napari_smse.network import Model, ModelCard, load_model, save_model
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan

CLASSES = ("benign", "malignant")
EDGE = 64
GLASS, PINK, RED = (240, 240, 240), (205, 150, 190), (200, 60, 120)
# Pink tissue, red tissue, glass.
LEFT, MIDDLE, RIGHT = (0, 0, 512, 768), (512, 0, 1024, 768), (1024, 0, 1536, 768)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    card = ModelCard(
        name="mini",
        version="1",
        classes=CLASSES,
        tile_px=EDGE,
        mpp_range=(0.2, 0.6),
        trunk=TRUNK,
        embedding_dim=4,
    )
    folder = tmp_path_factory.mktemp("model")
    return load_model(save_model(mini_network(), card, folder / "mini"))


class Scored:
    """A slide, and a run on it."""

    def __init__(self, folder: Path, model: Model, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rgb = np.full((768, 1536, 3), PINK, np.float64)
        rgb[:, 512:1024] = RED
        rgb[:, 1024:] = GLASS
        rgb = np.clip(rgb + rng.normal(scale=6, size=rgb.shape), 0, 255).astype(np.uint8)
        path = folder / f"{name}.tif"
        write_pyramid_tiff(path, rgb, mpp=0.5)
        self.slide: Slide = open_slide(path)
        request, device = ScoreRequest((0.5,), min_tissue=0.0), choose_device("cpu")
        self.plan: TilePlan = request.plan(self.slide, model.card)
        self.store: ScoreStore = open_run(
            folder / f"{name}.zarr", self.slide, model.card, request, self.plan, device
        )
        for _ in score(self.slide, model, self.plan, self.store, device):
            pass

    def annotated(self, **regions: tuple[int, int, int, int]) -> AnnotatedSlide:
        drawn = {name: MultiPolygon([box(*place)]) for name, place in regions.items()}
        return AnnotatedSlide(self.slide, drawn, self.plan.mask, self.store, self.slide.name)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, model: Model) -> list[Scored]:
    folder = tmp_path_factory.mktemp("slides")
    return [Scored(folder, model, f"slide{n}", n) for n in range(4)]


def finished(tuning: FineTuning) -> FineTuned:
    running = tuning.run()
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


def of_all(scored: list[Scored]) -> AnnotatedTiles:
    return annotated_tiles(
        [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored], CLASSES
    )


def test_tiles_take_the_class_they_lie_in_and_their_stored_embedding(
    scored: list[Scored], model: Model
) -> None:
    found = of_all(scored[:1])
    images = found.labelled_set.images
    assert found.conflicts == 0
    for image in images:
        assert image.region is not None
        assert image.label == (1 if 512 <= image.region.x < 1024 else 0)
        assert image.region.x < 1024
    assert {image.label for image in images} == {0, 1}
    # What a run stored is what reading the very tile again gives.
    some = list(range(0, len(images), 17))
    running = embed_images(model.network, found.labelled_set, some, EDGE)
    while True:
        try:
            next(running)
        except StopIteration as end:
            tiles, logits = end.value
            break
    stored = torch.cat([found.known[images[i]].embedding for i in some])
    assert len(tiles) == len(some)
    assert (tiles.embeddings * stored).sum(dim=1).min() > 0.98
    told = torch.cat([found.known[images[i]].logits for i in some]).softmax(dim=1)
    torch.testing.assert_close(told, logits.softmax(dim=1), atol=0.05, rtol=0)


def test_nothing_is_read_again(
    scored: list[Scored], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of_all(scored)
    monkeypatch.setattr(
        "napari_smse.learning.prediction.read_pixels", lambda _: pytest.fail("read a tile")
    )
    tuning = FineTuning(model, found.labelled_set, tuning_recipe(steps=3), known=found.known)
    assert finished(tuning).heads is not None
    assert not tuning.warnings


def test_whole_slides_are_held_out_and_told_apart_better(
    scored: list[Scored], model: Model
) -> None:
    found = of_all(scored)
    recipe = tuning_recipe("triplet", steps=150, rate=0.02)
    tuning = FineTuning(model, found.labelled_set, recipe, known=found.known)
    cases = [
        {found.labelled_set.images[i].case for i in part}
        for part in (tuning.training, tuning.testing)
    ]
    assert cases[0].isdisjoint(cases[1])
    tuned = finished(tuning)
    after = tuned.after.held_out
    labels = [found.labelled_set.images[i].label for i in after.images]
    assert auc(labels, after.probabilities[:, 1]) > 0.95
    # The maps of the run, by the tuned heads, without reading or scoring anything.
    one = scored[0]
    maps = tuned_maps(one.store, one.plan, tuned.heads, CLASSES, [0])
    (scores,) = maps.scores()
    red = (scores.tiles.x >= 512) & (scores.tiles.x < 1024)
    assert auc(red, scores.probability[:, 1]) > 0.95
    with torch.inference_mode():
        tiles = torch.from_numpy(scores.probability)
    np.testing.assert_allclose(tiles.sum(dim=1), 1, atol=1e-5)


def test_a_single_slide_holds_out_regions_and_says_so(scored: list[Scored], model: Model) -> None:
    one = scored[0]
    drawn = {
        "benign": MultiPolygon([box(0, 0, 256, 256), box(0, 512, 256, 768)]),
        "malignant": MultiPolygon([box(576, 0, 832, 256), box(576, 512, 832, 768)]),
    }
    slide = replace(one.annotated(), regions=drawn)
    found = annotated_tiles([slide], CLASSES)
    tuning = FineTuning(model, found.labelled_set, tuning_recipe(steps=5), known=found.known)
    assert tuning.warnings == [FLATTERS]


def test_conflicts_are_counted_and_other_classes_left_out(scored: list[Scored]) -> None:
    both = scored[0].annotated(benign=LEFT, malignant=LEFT)
    with pytest.raises(DataError, match="No scored tile lies in a region"):
        annotated_tiles([both], CLASSES)
    some = annotated_tiles([both, scored[1].annotated(benign=LEFT, fat=RIGHT)], CLASSES)
    assert some.conflicts > 0
    assert {image.label for image in some.labelled_set.images} == {0}
    assert all(image.region.x < 512 for image in some.labelled_set.images)
