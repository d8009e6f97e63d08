"""What features are worth with few labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.datasets.leakage import training_hashes
from napari_smse.errors import DataError, UnknownEncoderError
from napari_smse.evaluation.few_shot import compare_encoders, few_shot_auc
from napari_smse.evaluation.report.few_shot import comparison_json, write_comparison
from napari_smse.models import save_model
from napari_smse.models.card import TrainingSource
from napari_smse.progress import run_task
from support.encoders import empty_hub, tiny_weights
from support.training import mini_model, mini_set

__all__ = ["empty_hub", "tiny_weights"]  # fixtures


def labelled_set(cases: int = 4, images: int = 3, classes: int = 2) -> LabelledSet:
    found = tuple(
        LabelledImage(
            Path(f"{label}-{case}-{number}.png"),
            label,
            f"{label} {case}",
            0.5,
            (0.4, 0.7),
            "a",
            "a",
        )
        for label in range(classes)
        for case in range(cases)
        for number in range(images)
    )
    names = tuple(f"class {label}" for label in range(classes))
    return LabelledSet(names, found, {"a": Source("a")})


def random_features(data: LabelledSet, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(len(data.images), 4)).astype(np.float32)


def with_labels(data: LabelledSet) -> NDArray[np.float32]:
    labels = [image.label for image in data.images]
    known = np.eye(len(data.classes), dtype=np.float32)[labels]
    return np.hstack([known, random_features(data)])


@pytest.mark.parametrize("classes", [2, 3])
def test_features_that_tell_classes_apart_need_few_labels(classes: int) -> None:
    data = labelled_set(classes=classes)
    count = 6 * classes - 2
    known, blind = (
        np.nanmean(few_shot_auc(features, data, count, divisions=20))
        for features in (with_labels(data), random_features(data))
    )
    assert known > 0.95
    assert blind < 0.8


def test_no_case_is_both_learnt_from_and_judged() -> None:
    """Features that know the case alone are worth nothing on other cases."""
    data = labelled_set(cases=12, images=6)
    cases = np.unique([image.case for image in data.images], return_inverse=True)[1]
    own = np.eye(24, dtype=np.float32)[cases]
    areas = few_shot_auc(own, data, 60, divisions=20)
    assert abs(np.nanmean(areas) - 0.5) < 0.15


def test_too_few_images_give_no_figure() -> None:
    data = labelled_set()
    assert np.isnan(few_shot_auc(with_labels(data), data, 25, divisions=5)).all()


def test_a_model_and_an_encoder_are_compared_on_what_neither_saw(
    tmp_path: Path, tiny_weights: Path
) -> None:
    (tmp_path / "data").mkdir()
    data = mini_set(tmp_path / "data", cases=5, images=2)
    model = mini_model(tmp_path)
    learnt = [image for image in data.images if image.case in ("0-4", "1-4")]
    source = TrainingSource(
        name="one", organ="", scanner="", licence="", case_hashes=tuple(training_hashes(learnt))
    )
    card = model.card.model_copy(update={"training": (source,)})
    path = save_model(model.network, card, tmp_path / "learnt")
    task = compare_encoders(
        [str(path), "A-tiny-one"], data, (4, 50), weights={"A-tiny-one": tiny_weights}, divisions=6
    )
    found = run_task(task)
    assert found.left_out == len(learnt) == 4
    assert {image.case for image in learnt}.isdisjoint(found.labelled_set.cases)
    first, second, *too_many = found.rows
    assert (first.model, second.model) == (str(path), "A-tiny-one")
    assert first.difference is None
    assert second.difference is not None
    assert second.difference.value == pytest.approx(second.auc.value - first.auc.value)
    assert all(row.auc.value is None and row.auc.reason for row in too_many)
    write_comparison(tmp_path / "page.html", "Encoders on x<y", found)
    page = (tmp_path / "page.html").read_text()
    assert "Encoders on x&lt;y" in page
    assert "4 images are left out" in page
    rows = comparison_json(found)["rows"]
    assert [row["labels"] for row in rows] == [4, 4, 50, 50]


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = mini_set(tmp_path / "data", cases=1)
    one_class = replace(data, images=tuple(i for i in data.images if i.label == 0))
    with pytest.raises(DataError):
        run_task(compare_encoders(["bundled"], one_class))
    with pytest.raises(UnknownEncoderError, match="timm has no weights called 'resnet5000'"):
        run_task(compare_encoders(["timm/resnet5000"], data))
