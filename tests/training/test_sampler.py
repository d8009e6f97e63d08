"""Batches whose scale, source and stratum say nothing of the class."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import TrainingError
from napari_smse.training.sampler import BalancedBatchSampler

RANGES = {"40X": (0.5, 0.6), "100X": (0.2, 0.6), "400X": (0.2, 0.25)}


def image(
    label: int,
    case: str,
    mpp_range: tuple[float, float] = (0.2, 0.6),
    source: str = "here",
    stratum: str = "",
) -> LabelledImage:
    name = Path(f"{source}-{case}-{label}.png")
    return LabelledImage(name, label, f"{source} {case}", 0.2, mpp_range, source, source + stratum)


def breakhis_like() -> list[LabelledImage]:
    """Few benign cases, many malignant; the mix of magnifications differs by class."""
    rng = np.random.default_rng(0)
    chances = {0: (0.2, 0.7, 0.1), 1: (0.02, 0.38, 0.6)}
    found = [
        image(label, str(1000 * label + case), RANGES[kind], stratum=kind)
        for label, cases in ((0, 5), (1, 20))
        for case in range(cases)
        for kind in rng.choice(list(RANGES), size=rng.integers(3, 30), p=chances[label])
    ]
    colon = [image(label, str(case), (0.5, 0.6), "colon") for label in (0, 1) for case in range(8)]
    return found + colon


def mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """In nats, of two discrete variables."""
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)
    joint = table / table.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    held = joint > 0
    return float((joint[held] * np.log(joint[held] / apart[held])).sum())


def test_scale_and_source_say_nothing_of_the_class() -> None:
    images = breakhis_like()
    batches = BalancedBatchSampler(images, range(len(images)), cases_per_class=6, crops_per_case=2)
    crops = [crop for step in range(150) for crop in batches.draw(step)]
    labels = np.tile(batches.labels, 150)
    assert (labels == [images[crop.image].label for crop in crops]).all()
    bins = np.digitize(np.log([crop.mpp for crop in crops]), np.log(np.geomspace(0.2, 0.6, 9)))
    sources = np.array([images[crop.image].source == "colon" for crop in crops], dtype=np.int64)
    # In the images themselves, magnification does tell something of the class.
    tied = [list(RANGES.values()).index(one.mpp_range) for one in images if one.source == "here"]
    own = np.array([one.label for one in images if one.source == "here"])
    assert mutual_information(own, np.array(tied)) > 0.05
    assert mutual_information(labels, bins) < 1e-3
    assert mutual_information(labels, sources) < 1e-3


def test_every_crop_is_at_a_scale_its_image_supports() -> None:
    images = breakhis_like()
    batches = BalancedBatchSampler(images, range(len(images)))
    for step, crop in itertools.chain.from_iterable(
        ((step, crop) for crop in batches.draw(step)) for step in range(30)
    ):
        low, high = images[crop.image].mpp_range
        assert low / 1.011 <= crop.mpp <= high * 1.011, step


def test_scales_are_log_uniform_and_mixed_within_a_batch() -> None:
    images = [image(label, str(case)) for label in (0, 1) for case in range(6)]
    batches = BalancedBatchSampler(images, range(12), cases_per_class=4, crops_per_case=4)
    drawn = [[np.log(crop.mpp) for crop in batches.draw(step)] for step in range(200)]
    low, high = np.log(0.2), np.log(0.6)
    quarters = np.quantile(drawn, [0.25, 0.5, 0.75])
    assert quarters == pytest.approx(low + (high - low) * np.array([0.25, 0.5, 0.75]), abs=0.04)
    # 16 scales a batch, the same for both classes.
    assert all(len(set(np.round(batch, 9))) == 16 for batch in drawn)


def test_p_cases_with_k_crops_of_each_class() -> None:
    images = [image(c % 2, str(c), source="ab"[c // 2 % 2]) for c in range(40) for _ in range(3)]
    batches = BalancedBatchSampler(images, range(len(images)), cases_per_class=5, crops_per_case=3)
    for step in range(40):
        crops = batches.draw(step)
        assert len(crops) == 30
        assert (batches.labels == [0] * 15 + [1] * 15).all()
        for label in (0, 1):
            cases = [images[crop.image].case for crop in crops[15 * label : 15 * label + 15]]
            assert sorted(Counter(cases).values()) == [3] * 5
            # Five places over two sources.
            sources = Counter(case[0] for case in set(cases))
            assert sorted(sources.values()) == [2, 3]


def test_no_case_dominates() -> None:
    # One case has fifty times the images of the others.
    images = [image(0, "0") for _ in range(100)] + [
        image(label, str(case)) for label in (0, 1) for case in range(1, 8) for _ in range(2)
    ]
    batches = BalancedBatchSampler(images, range(len(images)), cases_per_class=3, crops_per_case=2)
    counts = Counter(
        images[crop.image].case
        for step in range(300)
        for crop in batches.draw(step)[: len(batches.labels) // 2]
    )
    assert len(counts) == 8
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_one_place_of_a_case_is_seen_at_scales_spread_over_what_all_support() -> None:
    images = breakhis_like()
    batches = BalancedBatchSampler(
        images, range(len(images)), cases_per_class=6, crops_per_case=2, one_place=True
    )
    ratios = []
    for step in range(60):
        crops = batches.draw(step)
        for fine, coarse in zip(crops[::2], crops[1::2], strict=True):
            assert fine.image == coarse.image
            assert fine.place == coarse.place is not None
            assert all(0 <= part <= 1 for part in fine.place)
            low, high = images[fine.image].mpp_range
            assert low / 1.011 <= fine.mpp <= coarse.mpp <= high * 1.011
            if (low, high) == RANGES["100X"]:
                ratios.append(coarse.mpp / fine.mpp)
    # One in each half of the range: half of it apart on average.
    assert np.mean(np.log(ratios)) == pytest.approx(np.log(0.6 / 0.2) / 2, abs=0.1)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_draw_depends_on_seed_and_step_only(seed: int, step: int) -> None:
    images = breakhis_like()[::5]
    first, second = (BalancedBatchSampler(images, range(len(images)), seed=seed) for _ in range(2))
    first.draw(step + 1)
    assert first.draw(step) == second.draw(step)
    assert first.draw(step) != first.draw(step + 1)
    assert BalancedBatchSampler(images, range(len(images)), seed=seed + 1).draw(step) != first.draw(
        step
    )


def test_only_training_images_are_drawn() -> None:
    images = breakhis_like()
    training = [i for i in range(len(images)) if i % 3]
    batches = BalancedBatchSampler(images, training)
    assert {crop.image for step in range(40) for crop in batches.draw(step)} <= set(training)


def test_a_class_that_a_source_lacks_comes_from_another() -> None:
    images = [image(0, str(c), source="a") for c in range(3)]
    images += [image(label, str(c), source="b") for label in (0, 1) for c in range(3)]
    batches = BalancedBatchSampler(images, range(9), cases_per_class=4, crops_per_case=1)
    benign, malignant = np.split(np.array([c.image for c in batches.draw(0)]), 2)
    assert {images[i].source for i in benign} == {"a", "b"}
    assert {images[i].source for i in malignant} == {"b"}


def test_scales_that_the_classes_do_not_share_are_told(caplog: pytest.LogCaptureFixture) -> None:
    images = [image(0, "a", (0.2, 0.25)), image(1, "b", (0.5, 0.6))]
    batches = BalancedBatchSampler(images, range(2), cases_per_class=1)
    assert "no µm/px is supported by all classes" in caplog.text
    for crop in batches.draw(0):
        assert images[crop.image].mpp_range[0] / 1.02 <= crop.mpp


def test_limits_are_kept_and_what_lies_outside_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = [image(label, f"{label}{c}") for label in (0, 1) for c in range(2)]
    images.append(image(0, "far", (1.0, 2.0)))
    batches = BalancedBatchSampler(images, range(5), mpp_limits=(0.3, 0.4))
    crops = [crop for step in range(20) for crop in batches.draw(step)]
    assert all(0.3 / 1.011 <= crop.mpp <= 0.4 * 1.011 for crop in crops)
    assert 4 not in {crop.image for crop in crops}
    assert "1 images support no scale" in caplog.text


def test_a_class_without_images_is_refused() -> None:
    with pytest.raises(TrainingError, match="Class 1 has no image"):
        BalancedBatchSampler([image(0, "a")], [0])
