"""Matching a model with labelled images: classes, cases it knows, scales."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.errors import DataError
from napari_smse.evaluation.evaluate import (
    evaluate,
    evaluation_json,
    exclude_leaked,
    match_classes,
    model_scale_curve,
    scale_notes,
)
from napari_smse.models import ModelCard, TrainingSource
from napari_smse.models.card import case_hash
from napari_smse.progress import run_task
from support.datasets import image, labelled_set, random_set, write_picture
from support.models import redness_model
from support.tasks import run_and_record

CARD = redness_model().card


def trained_on(*cases: str, name: str = "made up") -> ModelCard:
    source = TrainingSource(
        name=name,
        organ="breast",
        scanner="s",
        licence="l",
        case_hashes=tuple(case_hash(case) for case in cases),
    )
    return CARD.model_copy(update={"training": (source,)})


class TestClasses:
    def test_labels_follow_the_models_order_and_ignore_case(self) -> None:
        data = labelled_set([image("a", 0), image("b", 1)], ("MALIGNANT", " Benign"))
        matched = match_classes(data, CARD)
        assert matched.classes == ("benign", "malignant")
        assert [one.label for one in matched.images] == [1, 0]

    def test_a_class_the_model_lacks_is_named(self) -> None:
        data = labelled_set([image("a", 0), image("b", 1)], ("benign", "in situ"))
        with pytest.raises(DataError, match=r"tells benign, malignant apart and does not know in"):
            match_classes(data, CARD)

    def test_an_unused_class_does_not_matter(self) -> None:
        data = labelled_set([image("a", 1)], ("in situ", "benign"))
        assert match_classes(data, CARD).images[0].label == 0

    def test_no_image_is_an_error(self) -> None:
        with pytest.raises(DataError, match="No image can be used"):
            match_classes(labelled_set([]), CARD)


class TestOverlap:
    def test_cases_trained_on_are_left_out_and_counted(self) -> None:
        data = random_set(6)
        kept, overlap = exclude_leaked(data, trained_on("made up 1", "made up 4", "other 2"))
        assert kept.cases == data.cases - {"made up 1", "made up 4"}
        assert overlap.cases == 2
        assert overlap.images == len(data.images) - len(kept.images)
        assert "left out" in overlap.note

    def test_nothing_left_is_an_error(self) -> None:
        data = random_set(4)
        with pytest.raises(DataError, match="trained on every case"):
            exclude_leaked(data, trained_on(*data.cases))

    def test_a_source_of_the_same_name_without_hashes_is_told(self) -> None:
        data = random_set(4, source="breakhis")
        kept, overlap = exclude_leaked(data, trained_on(name="BreakHis (part: 52 of 82 cases)"))
        assert kept == data
        assert overlap.possible
        assert "too good" in overlap.note

    def test_another_source_is_nothing_to_speak_of(self) -> None:
        _, overlap = exclude_leaked(random_set(4), trained_on(name="BreakHis"))
        assert (overlap.possible, overlap.note, overlap.cases) == (False, "", 0)

    def test_hashes_of_other_cases_settle_the_matter(self) -> None:
        data = random_set(4, source="breakhis")
        card = trained_on("breakhis 99", name="breakhis")
        assert exclude_leaked(data, card)[1].note == ""

    def test_breakhis_is_known_by_its_names_wherever_it_lies(self) -> None:
        name = "SOB_M_DC-14-22549AB-100-001.png"
        data = labelled_set([image("x", 1, name, source="my folder"), image("y", 0)])
        kept, overlap = exclude_leaked(data, trained_on("breakhis 22549", name="breakhis"))
        assert [one.case for one in kept.images] == ["made up y"]
        assert overlap.cases == 1
        _, overlap = exclude_leaked(data, trained_on(name="BreakHis (part)"))
        assert overlap.possible
        assert "breakhis" in overlap.note


class TestScales:
    def test_images_far_from_the_models_scales_are_told(self) -> None:
        near, far = image("a", 0), replace(image("b", 1), mpp=2.0, mpp_range=(2.0, 4.0))
        assert scale_notes(labelled_set([near]), CARD) == ()
        (note,) = scale_notes(labelled_set([near, far]), CARD)
        assert note.startswith("1 images at 2 µm/px support no scale within the 0.2-0.6")


def redness_predictions(
    network: object, images: object, *, tile_px: int, device: str
) -> torch.Tensor:
    """What `predict_images` gives, from whole pictures."""
    arrays = [np.asarray(Image.open(one.path).convert("RGB")) for one in images]
    tensor = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    return network(tensor).logits


@pytest.fixture
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    folder = tmp_path_factory.mktemp("pictures")
    made = [
        replace(image(str(i // 3), i // 3 % 2), path=write_picture(folder / f"{i}.png", i // 3, i))
        for i in range(24)
    ]
    return labelled_set(made)


class TestEvaluating:
    @pytest.fixture(autouse=True)
    def predictions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("napari_smse.evaluation.evaluate.predict_images", redness_predictions)

    def test_red_pictures_are_malignant(self, pictures: LabelledSet) -> None:
        seen, evaluation = run_and_record(evaluate(redness_model(), pictures))
        assert [(progress.done, progress.total) for progress in seen] == [
            (0, 24),
            (16, 24),
            (24, 24),
        ]
        values = evaluation_json(evaluation, CARD)
        assert values["auc"] == 1
        assert values["auc_low"] == values["auc_high"] == 1
        assert (values["images"], values["cases"]) == (24, 8)
        assert values["positive"] == "malignant"
        assert values["images_by_class"] == {"benign": 12, "malignant": 12}
        json.dumps(values, allow_nan=False)

    def test_classes_in_another_order_give_the_same(self, pictures: LabelledSet) -> None:
        turned = replace(
            pictures,
            classes=("malignant", "benign"),
            images=tuple(replace(one, label=1 - one.label) for one in pictures.images),
        )
        found = run_task(evaluate(redness_model(), turned))
        assert evaluation_json(found, CARD)["auc"] == 1

    def test_one_class_has_no_auc_and_says_why(self, pictures: LabelledSet) -> None:
        some = tuple(one for one in pictures.images if one.label == 1)
        found = run_task(evaluate(redness_model(), replace(pictures, images=some)))
        values = evaluation_json(found, CARD)
        assert values["auc"] is None
        assert values["auc_reason"] == (
            "each class needs 10 images of 2 cases; benign lacks 10 images and 2 cases"
        )
        assert values["accuracy"] is not None
        assert values["specificity"] is None
        json.dumps(values, allow_nan=False)

    def test_what_was_seen_in_training_is_not_measured(self, pictures: LabelledSet) -> None:
        model = redness_model()
        model.card = trained_on("made up 0", "made up 1")
        found = run_task(evaluate(model, pictures))
        values = evaluation_json(found, model.card)
        assert values["overlap"]["cases"] == 2
        assert (values["images"], values["cases"]) == (18, 6)
        assert len(values["warnings"]) == 1

    def test_the_scale_curve_has_the_models_scales(self, pictures: LabelledSet) -> None:
        points = list(model_scale_curve(redness_model(), pictures))
        assert [point.mpp for point in points] == [0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6]
        assert all((point.auc, point.images) == (1, 24) for point in points)
        model = redness_model()
        model.card = CARD.model_copy(update={"mpp_range": (0.25, 0.35)})
        assert [one.mpp for one in model_scale_curve(model, pictures)] == [0.25, 0.3, 0.35]

    def test_each_scale_is_judged_at_that_scale(
        self, pictures: LabelledSet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[set[tuple[float, float]]] = []

        def spy(
            network: object, images: Sequence[LabelledImage], **options: object
        ) -> torch.Tensor:
            seen.append({one.mpp_range for one in images})
            return redness_predictions(network, images, **options)

        monkeypatch.setattr("napari_smse.evaluation.evaluate.predict_images", spy)
        list(model_scale_curve(redness_model(), pictures))
        assert seen[0] == {(0.2, 0.2)}
        assert seen[-1] == {(0.6, 0.6)}
