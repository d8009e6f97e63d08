"""From annotations on scored slides to a tuned network and new maps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shapely import MultiPolygon
from shapely.geometry import box

from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError
from napari_smse.finetuning.annotated_slide import AnnotatedSlide
from napari_smse.finetuning.annotated_tiles import AnnotatedTiles, annotated_tiles
from napari_smse.finetuning.exemplar_tiles import ExemplarTile
from napari_smse.finetuning.fine_tuner import SAME_CASE_WARNING, FineTuner
from napari_smse.finetuning.learnable_classes import learnable_tiles
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.finetuning.tuned_maps import maps_by_heads, store_by_heads
from napari_smse.metrics.classification import roc_auc
from napari_smse.models import Model, ModelCard, load_model, save_model
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan
from napari_smse.training.embeddings import embed_images
from support.slides import write_pyramid_tiff
from support.training import TRUNK, mini_network

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


def finished(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


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
    tiles, logits = run_task(embed_images(model.network, found.labelled_set, some, EDGE))
    stored = torch.cat([found.outputs[images[i]].embedding for i in some])
    assert len(tiles) == len(some)
    assert (tiles.embeddings * stored).sum(dim=1).min() > 0.98
    told = torch.cat([found.outputs[images[i]].logits for i in some]).softmax(dim=1)
    torch.testing.assert_close(told, logits.softmax(dim=1), atol=0.05, rtol=0)


def test_nothing_is_read_again(
    scored: list[Scored], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of_all(scored)
    monkeypatch.setattr(
        "napari_smse.training.prediction.read_pixels", lambda _: pytest.fail("read a tile")
    )
    tuning = FineTuner(
        model, found.labelled_set, fine_tune_recipe(steps=3), precomputed=found.outputs
    )
    assert finished(tuning).heads is not None
    assert not tuning.warnings


def test_whole_slides_are_held_out_and_told_apart_better(
    scored: list[Scored], model: Model, tmp_path: Path
) -> None:
    found = of_all(scored)
    recipe = fine_tune_recipe("triplet", steps=150, learning_rate=0.02)
    tuning = FineTuner(model, found.labelled_set, recipe, precomputed=found.outputs)
    cases = [
        {found.labelled_set.images[i].case for i in part}
        for part in (tuning.training, tuning.testing)
    ]
    assert cases[0].isdisjoint(cases[1])
    tuned = finished(tuning)
    after = tuned.after.held_out
    labels = [found.labelled_set.images[i].label for i in after.images]
    assert roc_auc(labels, after.probabilities[:, 1]) > 0.95
    # The maps of the run, by the tuned heads, without reading or scoring anything.
    one = scored[0]
    maps = maps_by_heads(one.store, one.plan, tuned.heads, CLASSES, [0])
    (scores,) = maps.scores()
    store = store_by_heads(tmp_path / "t.zarr", one.store, one.plan, tuned.heads, CLASSES, {})
    np.testing.assert_array_equal(store.scale(0).probability, scores.probability)
    head = tuned.network.class_head
    with torch.inference_mode():
        logits = head(torch.from_numpy(store.scale(0).embedding.astype(np.float32)))
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), scores.probability, atol=5e-3)
    red = (scores.tiles.x >= 512) & (scores.tiles.x < 1024)
    assert roc_auc(red, scores.probability[:, 1]) > 0.95
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
    tuning = FineTuner(
        model, found.labelled_set, fine_tune_recipe(steps=5), precomputed=found.outputs
    )
    assert tuning.warnings == [SAME_CASE_WARNING]


def test_conflicts_are_counted_and_other_classes_left_out(scored: list[Scored]) -> None:
    both = scored[0].annotated(benign=LEFT, malignant=LEFT)
    with pytest.raises(DataError, match="No scored tile lies in a region"):
        annotated_tiles([both], CLASSES)
    some = annotated_tiles([both, scored[1].annotated(benign=LEFT, fat=RIGHT)], CLASSES)
    assert some.conflicts > 0
    assert {image.label for image in some.labelled_set.images} == {0}
    assert all(image.region.x < 512 for image in some.labelled_set.images)


def place_of(one: Scored, image: LabelledImage) -> TilePlace:
    assert image.region is not None
    region = image.region
    return TilePlace(one.slide.quick_hash, 0.5, region.x, region.y, region.width, region.height)


def test_what_is_said_of_a_tile_goes_before_its_region(scored: list[Scored]) -> None:
    one = scored[0]
    plain = one.annotated(benign=LEFT, malignant=MIDDLE)
    images = annotated_tiles([plain], CLASSES).labelled_set.images
    wrong, ignored, kept, strange = [image for image in images if image.label == 0][:4]
    outside = TilePlace(one.slide.quick_hash, 0.5, 10_000_000, 0, 64, 64)
    corrections = (
        TileCorrection(place_of(one, wrong), "class", "malignant"),
        TileCorrection(place_of(one, ignored), "ignore"),
        TileCorrection(place_of(one, kept), "exemplar"),
        TileCorrection(outside, "ignore"),
        TileCorrection(place_of(one, strange), "class", "nobody"),
    )
    found = annotated_tiles([replace(plain, corrections=corrections)], CLASSES)
    labels = {image.region: image.label for image in found.labelled_set.images}
    assert labels[wrong.region] == 1
    assert ignored.region not in labels
    # Of a class that is not learnt, it is not of its region's class either.
    assert strange.region not in labels
    assert len(labels) == len(images) - 2
    assert [image.region for image in found.exemplars] == [kept.region]
    assert found.unmatched == 2
    # Held out by itself: it is of no region of its new class.
    (corrected,) = (one for one in found.labelled_set.images if one.region == wrong.region)
    assert corrected.drawn.startswith("tile ")


def test_a_class_said_of_a_tile_holds_outside_all_regions_and_in_a_conflict(
    scored: list[Scored],
) -> None:
    one = scored[0]
    drawn = annotated_tiles([one.annotated(benign=LEFT, malignant=MIDDLE)], CLASSES)
    some = [image for image in drawn.labelled_set.images if image.label == 0][:2]
    corrections = tuple(
        TileCorrection(place_of(one, image), "class", "malignant") for image in some
    )
    bare = annotated_tiles([replace(one.annotated(), corrections=corrections)], CLASSES)
    claimed = replace(one.annotated(benign=LEFT, malignant=LEFT), corrections=corrections)
    both = annotated_tiles([claimed], CLASSES)
    for found in (bare, both):
        images = found.labelled_set.images
        assert {image.region for image in images} == {image.region for image in some}
        assert {image.label for image in images} == {1}
        assert found.unmatched == 0
    without = [one.annotated(benign=LEFT, malignant=LEFT), scored[1].annotated(benign=LEFT)]
    assert both.conflicts == annotated_tiles(without, CLASSES).conflicts - len(some)


def test_a_tile_said_to_be_of_its_own_class_stays_in_its_region(scored: list[Scored]) -> None:
    plain = scored[0].annotated(benign=LEFT, malignant=MIDDLE)
    found = annotated_tiles([plain], CLASSES)
    image = found.labelled_set.images[0]
    correction = TileCorrection(place_of(scored[0], image), "class", CLASSES[image.label])
    confirmed = annotated_tiles([replace(plain, corrections=(correction,))], CLASSES)
    assert confirmed.labelled_set.images == found.labelled_set.images


def test_an_exemplar_of_no_class_is_told(scored: list[Scored]) -> None:
    one = scored[0]
    plain = one.annotated(benign=LEFT, malignant=MIDDLE)
    images = annotated_tiles([plain], CLASSES).labelled_set.images
    outside = next(image for image in images if image.label == 1)
    ignored = next(image for image in images if image.label == 0)
    corrections = (
        TileCorrection(place_of(one, outside), "exemplar"),
        TileCorrection(place_of(one, ignored), "exemplar"),
        TileCorrection(place_of(one, ignored), "ignore"),
    )
    found = annotated_tiles([replace(one.annotated(benign=LEFT), corrections=corrections)], CLASSES)
    assert found.exemplars == ()
    assert found.unmatched == 2
    # Once it has a class, it is one, whichever was said first.
    also = (*corrections[:1], TileCorrection(place_of(one, outside), "class", "malignant"))
    found = annotated_tiles([replace(one.annotated(benign=LEFT), corrections=also)], CLASSES)
    assert [(image.region, image.label) for image in found.exemplars] == [(outside.region, 1)]
    assert found.unmatched == 0


def test_a_slide_under_two_names_is_one_case(scored: list[Scored], tmp_path: Path) -> None:
    one = scored[0]
    path = Path(shutil.copy(one.slide.path, tmp_path / "copy.tif"))
    plain = one.annotated(benign=LEFT, malignant=MIDDLE)
    with open_slide(path) as copy:
        again = replace(plain, slide=copy, case="copy")
        found = annotated_tiles([plain, again], CLASSES)
        assert found.labelled_set.images == annotated_tiles([plain], CLASSES).labelled_set.images
        assert found.duplicates == ("copy.tif",)
        assert "copy.tif show a slide that is open under another name" in " ".join(found.messages)
        # What is drawn and said of the copy counts, and contradictions are conflicts.
        image = found.labelled_set.images[0]
        correction = TileCorrection(place_of(one, image), "class", "malignant")
        half = replace(
            one.annotated(malignant=MIDDLE), slide=copy, case="copy", corrections=(correction,)
        )
        found = annotated_tiles([one.annotated(benign=LEFT), half], CLASSES)
        labels = {image.region: image.label for image in found.labelled_set.images}
        assert labels[image.region] == 1
        assert set(labels.values()) == {0, 1}
        assert found.unmatched == 0
        against = replace(one.annotated(malignant=LEFT), slide=copy)
        with pytest.raises(DataError, match="No scored tile"):
            annotated_tiles([one.annotated(benign=LEFT), against], CLASSES)


def test_known_tiles_of_a_copy_are_of_its_case(scored: list[Scored], model: Model) -> None:
    one = scored[0].annotated(benign=LEFT)
    images = annotated_tiles([scored[0].annotated(malignant=MIDDLE)], CLASSES).outputs
    image, judged = next(iter(images.items()))
    assert image.region is not None
    tile = ExemplarTile(
        judged.embedding[0],
        judged.logits[0],
        "malignant",
        0.5,
        one.slide.quick_hash,
        "its older name",
        Path("elsewhere.tif"),
        0.5,
        image.region,
    )
    found = annotated_tiles([one], CLASSES, added=[tile])
    assert found.labelled_set.cases == {"annotations slide0"}
    assert {one.path for one in found.labelled_set.images} == {one.slide.path}


def test_a_link_that_two_files_hold_counts_once(scored: list[Scored]) -> None:
    slide = scored[0].annotated(benign=LEFT, malignant=MIDDLE)
    images = annotated_tiles([slide], CLASSES).labelled_set.images
    link = PairConstraint(place_of(scored[0], images[0]), place_of(scored[0], images[1]), False)
    found = annotated_tiles([slide], CLASSES, [link, replace(link)])
    assert found.constraints is not None
    assert len(found.constraints) == 1
    assert found.unmatched == 0


def test_links_carry_the_stored_embeddings_also_across_slides(scored: list[Scored]) -> None:
    slides = [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored[:2]]
    sets = [annotated_tiles([slide], CLASSES) for slide in slides]
    ends = [
        place_of(one, found.labelled_set.images[0])
        for one, found in zip(scored[:2], sets, strict=True)
    ]
    nowhere = replace(ends[0], mpp=3.0)
    links = [PairConstraint(ends[0], ends[1], True), PairConstraint(ends[0], nowhere, False)]
    found = annotated_tiles(slides, CLASSES, links)
    assert found.constraints is not None
    assert found.constraints.must_link.tolist() == [True]
    assert found.unmatched == 1
    for end, one in zip((found.constraints.first, found.constraints.second), sets, strict=True):
        torch.testing.assert_close(end, one.outputs[one.labelled_set.images[0]].embedding)


def test_an_ignored_wrong_label_changes_what_is_learnt(scored: list[Scored], model: Model) -> None:
    slides = [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored]
    image = annotated_tiles(slides, CLASSES).labelled_set.images[0]
    correction = TileCorrection(place_of(scored[0], image), "class", "malignant")
    heads = []
    for corrections in ((), (correction,), (replace(correction, action="ignore"),)):
        found = annotated_tiles([replace(slides[0], corrections=corrections), *slides[1:]], CLASSES)
        tuning = FineTuner(
            model,
            found.labelled_set,
            fine_tune_recipe(steps=20, learning_rate=0.02),
            precomputed=found.outputs,
        )
        tuned = finished(tuning).heads
        assert tuned is not None
        heads.append(tuned.class_head.weight)
    assert not torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])


def test_marked_exemplars_and_links_reach_the_tuned_model(
    scored: list[Scored], model: Model
) -> None:
    slides = [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored]
    plain = annotated_tiles(slides, CLASSES)
    recipe = fine_tune_recipe(steps=10, learning_rate=0.02)
    tuning = FineTuner(model, plain.labelled_set, recipe, precomputed=plain.outputs)
    image = plain.labelled_set.images[tuning.training[-1]]
    other = plain.labelled_set.images[tuning.training[0]]
    by_path = {one.slide.path: one for one in scored}
    which, whose = by_path[image.path], by_path[other.path]
    link = PairConstraint(place_of(which, image), place_of(whose, other), True)
    found = annotated_tiles(slides, CLASSES, [link])
    tuning = FineTuner(
        model,
        found.labelled_set,
        recipe,
        precomputed=found.outputs,
        constraints=found.constraints,
        exemplars=(image,),
    )
    tuned = finished(tuning)
    assert tuned.constraints_satisfied is not None
    assert tuned.constraints_satisfied[2] == 1
    place = tuned.heads.embed(found.outputs[image].embedding)  # type: ignore[union-attr]
    assert (np.linalg.norm(tuned.exemplars.embeddings - place.numpy(), axis=1) < 1e-5).any()


def test_links_are_told_to_be_left_out_where_the_trunk_learns(
    scored: list[Scored], model: Model
) -> None:
    slides = [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored]
    images = annotated_tiles(slides[:1], CLASSES).labelled_set.images
    link = PairConstraint(place_of(scored[0], images[0]), place_of(scored[0], images[1]), True)
    found = annotated_tiles(slides, CLASSES, [link])
    recipe = fine_tune_recipe("pair", "stage")
    tuning = FineTuner(
        model, found.labelled_set, recipe, precomputed=found.outputs, constraints=found.constraints
    )
    assert any("Links between tiles" in warning for warning in tuning.warnings)


def test_links_to_held_out_tiles_are_left_out_and_told(scored: list[Scored], model: Model) -> None:
    slides = [one.annotated(benign=LEFT, malignant=MIDDLE) for one in scored]
    plain = annotated_tiles(slides, CLASSES)
    tuning = FineTuner(
        model, plain.labelled_set, fine_tune_recipe(steps=3), precomputed=plain.outputs
    )
    by_path = {one.slide.path: one for one in scored}
    inside, outside = (
        [plain.labelled_set.images[i] for i in part[:2]]
        for part in (tuning.training, tuning.testing)
    )

    def link(*images: LabelledImage) -> PairConstraint:
        first, second = (place_of(by_path[image.path], image) for image in images)
        return PairConstraint(first, second, True)

    links = [link(*inside), link(inside[0], outside[0]), link(*outside)]
    found = annotated_tiles(slides, CLASSES, links)
    tuning = FineTuner(
        model,
        found.labelled_set,
        fine_tune_recipe(steps=3),
        precomputed=found.outputs,
        constraints=found.constraints,
    )
    assert any("2 links lead to tiles that are held out" in warning for warning in tuning.warnings)
    tuned = finished(tuning)
    assert tuned.constraints_satisfied is not None
    assert tuned.constraints_satisfied[2] == 1


def test_a_class_that_no_tile_takes_is_left_out_and_named(scored: list[Scored]) -> None:
    regions = {"stroma": LEFT, "tumour": MIDDLE, "fat": RIGHT}
    slides = [one.annotated(**regions) for one in scored[:2]]

    def collect(classes: Sequence[str]) -> AnnotatedTiles:
        return annotated_tiles(slides, classes)

    found = learnable_tiles(CLASSES, list(regions), collect)
    assert found.labelled_set.classes == ("stroma", "tumour")
    assert found.labelled_set.empty_classes == ()
    assert found.untrained_classes == ("fat",)
    assert found.messages[0].startswith("No tile takes the class fat, which was left out")
    assert not annotated_tiles(slides, ("stroma", "tumour")).messages


def test_a_class_that_the_model_knows_is_never_left_out(scored: list[Scored]) -> None:
    slides = [scored[0].annotated(benign=LEFT, malignant=RIGHT)]
    found = learnable_tiles(
        CLASSES, list(CLASSES), lambda classes: annotated_tiles(slides, classes)
    )
    assert found.labelled_set.classes == CLASSES
    assert found.untrained_classes == ()
    with pytest.raises(DataError, match="No image of class malignant"):
        found.labelled_set.require_classes()


def test_of_one_class_with_tiles_nothing_can_be_learnt(scored: list[Scored]) -> None:
    slides = [scored[0].annotated(stroma=LEFT, fat=RIGHT)]
    found = learnable_tiles(
        CLASSES, ["stroma", "fat"], lambda classes: annotated_tiles(slides, classes)
    )
    with pytest.raises(DataError, match="No image of class fat"):
        found.labelled_set.require_classes()
