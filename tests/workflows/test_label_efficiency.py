from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_smse.active_learning.learning_curve import Curve, LabelEfficiency
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import QueryError
from napari_smse.metrics.estimate import Estimate
from napari_smse.models.card import TRAINING_IMAGES
from napari_smse.progress import run_task
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.widgets.suggest.messages import about, verdict
from napari_smse.workflows import label_efficiency
from napari_smse.workflows.label_efficiency import (
    LabelEfficiencyResult,
    evenly,
    measure_label_efficiency,
    not_overlapping,
)
from support.annotated_slides import PINK_BOXES, RED_BOXES, drawn, red_slide

pytestmark = pytest.mark.usefixtures("redness")
BOTH = {"benign": PINK_BOXES, "malignant": RED_BOXES}


def comparison(*slides):
    steps = []
    found = run_task(measure_label_efficiency(slides), steps.append)
    assert (steps[-1].done, steps[-1].total) == (10, 10)
    return found


def correction(one, x, y, says, class_name=""):
    return TileCorrection(TilePlace(one.slide.quick_hash, 0.5, x, y, 64, 64), says, class_name)


# -- what is taken ----------------------------------------------------------------------


def test_of_one_slide_other_regions_are_held_out(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH))
    found = comparison(one)
    assert not found.by_case
    # A box is five tiles by three.
    assert found.taken == {"benign": 30, "malignant": 30}
    assert (found.units, found.fewest_units, found.labelled) == (4, 2, 60)
    # Each split learns from two regions of fifteen tiles.
    assert found.efficiency.budgets.tolist() == [2, 4, 8, 16]
    assert found.efficiency.verdict == "full"
    # Pink is red enough for this model.
    assert found.model_right.value == pytest.approx(0.5)
    assert (found.model_right.n, found.model_right.cases) == (60, 4)
    # Two regions of a class, one of which is held out, tell nothing, whatever the curve looks like.
    assert found.verdict == "untold"
    assert plain(verdict(found)).startswith(
        "Too few to tell whether further labels help: each class needs 20 labelled tiles in 4 "
        "regions; one class lacks 2 regions. So far, with 16 labelled tiles"
    )
    assert "Regions of one case are more alike" in about(found)


def test_of_two_slides_one_is_held_out(tmp_path):
    first = red_slide(tmp_path, annotations=drawn(**BOTH))
    fewer = drawn(benign=PINK_BOXES[:1], malignant=RED_BOXES[:1])
    second = red_slide(tmp_path, "other", 1, annotations=fewer)
    found = comparison(first, second)
    assert found.by_case
    assert found.units == 2
    assert found.taken == {"benign": 45, "malignant": 45}
    # The second slide has 30 labelled tiles.
    assert found.efficiency.budgets.tolist() == [2, 4, 8, 16]
    assert "60" not in about(found)
    assert "90 labelled tiles of 2 cases (benign 45, malignant 45)" in about(found)


def test_two_slides_of_one_case_are_never_held_out_from_each_other(tmp_path):
    first = red_slide(tmp_path, "S19-1234_A1", annotations=drawn(**BOTH))
    second = red_slide(tmp_path, "S19-1234_B2", 1, annotations=drawn(**BOTH))
    assert not comparison(first, second).by_case
    apart = replace(second, annotations=replace(second.annotations, case="another patient"))
    assert comparison(first, apart).by_case


def test_a_slide_without_labels_does_not_count(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH))
    bare = red_slide(tmp_path, "bare", 2, mpp=0.4)
    assert comparison(one, bare).units == 4


def test_remarks_count_and_tiles_that_are_ignored_do_not(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH))
    said = [
        correction(one, 0, 0, "class", "malignant"),
        correction(one, 64, 0, "ignore"),
        correction(one, 960, 256, "class", "malignant"),
        correction(one, 128, 0, "exemplar"),
    ]
    found = comparison(replace(one, annotations=drawn(corrections=said, **BOTH)))
    assert found.taken == {"benign": 28, "malignant": 32}


def test_classes_in_one_region_are_left_out_and_told(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH, stroma=[(320, 256, 512, 384)]))
    found = comparison(one)
    assert list(found.left_out) == ["stroma"]
    assert "stroma" not in found.taken
    assert "Left out: stroma, which lies in one region only." in about(found)


def test_classes_that_the_model_does_not_know_are_measured_all_the_same(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(pale=PINK_BOXES, red=RED_BOXES))
    found = comparison(one)
    assert found.model_right is None
    assert "The model as it is" not in about(found)


def test_tiles_that_overlap_are_taken_once(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH), overlap=0.5)
    assert comparison(one).taken == {"benign": 30, "malignant": 30}


def test_a_tile_that_was_meant_goes_before_its_neighbours():
    """Grid positions a half tile apart; the third is the one that was labelled."""
    grid = TileGrid(TileSpec(64, 0.5, 0.5, 0.5), Region(0, 0, 640, 640), 1)
    columns, rows = np.array([4, 4, 5, 7, 5], np.int32), np.array([4, 5, 5, 5, 8], np.int32)
    tiles = ScaleTiles(grid, columns, rows, np.ones(5, np.float32))
    assert not_overlapping(tiles, np.array([2, 0, 1, 3, 4])).tolist() == [2, 3, 4]
    apart = TileGrid(TileSpec(64, 0.5, 0.5, 0.0), Region(0, 0, 640, 640), 1)
    every = not_overlapping(ScaleTiles(apart, columns, rows, tiles.tissue), np.arange(5))
    assert every.tolist() == [0, 1, 2, 3, 4]


def test_of_very_many_labels_some_of_each_region_are_taken_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(label_efficiency, "MOST", 24)
    found = comparison(red_slide(tmp_path, annotations=drawn(**BOTH)))
    assert found.taken == {"benign": 12, "malignant": 12}
    assert found.labelled == 60
    assert "24 labelled tiles of 60, taken evenly, in 4 regions" in about(found)


def test_evenly_takes_all_of_small_groups():
    groups = ["large"] * 50 + ["small"] * 3 + ["middle"] * 20
    rows = evenly(groups, 23)
    assert len(set(rows.tolist())) == 23
    taken = [groups[row] for row in rows]
    assert [taken.count(name) for name in ("large", "small", "middle")] == [10, 3, 10]
    assert evenly(groups, 100).tolist() == list(range(73))


# -- what cannot be measured ------------------------------------------------------------


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ({}, "Nothing is labelled yet: label tiles here"),
        ({"benign": PINK_BOXES}, "Only benign is labelled so far: label a second class"),
        ({"benign": PINK_BOXES[:1]}, "Only benign is labelled so far and in one place only"),
        (
            {"benign": PINK_BOXES, "malignant": RED_BOXES[:1]},
            "malignant is labelled in one place only: label more of it elsewhere",
        ),
        (
            {"benign": PINK_BOXES[:1], "malignant": RED_BOXES[:1]},
            "benign and malignant are each labelled in one place only",
        ),
        (
            {
                "benign": [(0, 0, 64, 64), (0, 448, 64, 512)],
                "malignant": [(576, 0, 640, 64), (576, 448, 640, 512)],
            },
            "label some more tiles of each class",
        ),
        (
            {"benign": [(0, 0, 64, 64), (64, 64, 128, 128)], "malignant": RED_BOXES},
            "further away from each other",
        ),
    ],
)  # fmt: skip
def test_it_says_which_labels_are_missing(tmp_path, regions, says):
    one = red_slide(tmp_path, annotations=drawn(**regions))
    with pytest.raises(QueryError, match=says):
        comparison(one)


def test_slides_of_two_scales_or_models_are_not_mixed(tmp_path):
    one = red_slide(tmp_path, annotations=drawn(**BOTH))
    finer = red_slide(tmp_path, "finer", 1, mpp=0.4, annotations=drawn(**BOTH))
    with pytest.raises(QueryError, match="different scales"):
        comparison(one, finer)
    card = one.run.card.model_copy(update={"weights_sha256": "f" * 64})
    with pytest.raises(QueryError, match="different models"):
        comparison(one, replace(one, run=replace(one.run, card=card)))
    with pytest.raises(QueryError, match="Score a slide first"):
        run_task(measure_label_efficiency([]))


# -- what is said -----------------------------------------------------------------------


def said_of(random, queue=None, **facts):
    random = np.asarray(random, float)
    curves = (Curve(one, one) for one in (random if queue is None else np.asarray(queue), random))
    efficiency = LabelEfficiency(2 ** np.arange(1, random.shape[1] + 1), *curves)
    usual = {
        "by_case": True, "labelled": 40, "taken": {"benign": 20, "malignant": 20}, "units": 8,
        "fewest_units": 4, "left_out": [], "model_right": None, "tuned": False,
    }  # fmt: skip
    return LabelEfficiencyResult(efficiency, **(usual | facts))


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("random", "says"),
    [
        (
            [[0.5, 0.6, 0.7], [0.5, 0.6, 0.72]],
            "Further labels still help: with 8 labelled tiles instead of 4, 71 % of held-out tiles "
            "are called right instead of 60 %.",
        ),
        (
            [[0.5, 0.8, 0.81], [0.5, 0.8, 0.81]],
            "Further labels like these hardly help: with 8 labelled tiles instead of 4, 81 %",
        ),
        ([[0.5, 0.8, 0.8], [0.5, 0.8, 0.8]], "hardly help: with 8 labelled tiles as with 4, 80 %"),
        ([[0.5, 0.9, 0.99], [0.5, 0.9, 0.99]], "can hardly help: with 8 labelled tiles, 99 %"),
        (
            [[0.5, 0.6, 0.9], [0.5, 0.9, 0.7]],
            "Too few to tell whether further labels help: with 8 labelled tiles instead of 4, "
            "80 % of held-out tiles are called right instead of 75 %, but from split to split that "
            "differs by ± 35 %. Labels of more cases would tell.",
        ),
    ],
)
def test_the_verdict_is_one_plain_sentence(random, says):
    assert says in plain(verdict(said_of(random)))


@pytest.mark.parametrize(
    ("facts", "lacking"),
    [
        ({"taken": {"benign": 19, "malignant": 20}}, "cases; benign lacks 1 tile."),
        ({"fewest_units": 3}, "one class lacks 1 case."),
        ({"fewest_units": 2, "by_case": False}, "one class lacks 2 regions."),
    ],
)
def test_too_few_to_tell_says_what_is_missing(facts, lacking):
    helps = [[0.5, 0.6, 0.7], [0.5, 0.6, 0.72]]
    assert said_of(helps).too_few == ""
    found = said_of(helps, **facts)
    assert found.verdict == "untold"
    assert lacking in plain(verdict(found))


def test_of_regions_a_second_slide_is_asked_for():
    found = said_of([[0.6, 0.9], [0.9, 0.7]], by_case=False)
    assert "Labels in more regions, or of a second case, would tell." in verdict(found)


def test_what_speaks_against_it_is_said(tmp_path):
    right = Estimate(0.714, 0.5, 0.875, 40, 8)
    text = plain(about(said_of([[0.6, 0.9]] * 2, fewest_units=2, tuned=True, model_right=right)))
    assert "calls 71 % (95 % interval 50 % to 88 %) of them right." in text
    assert "With so few cases of a class, the bands say little." in text
    assert "The model was fine-tuned" in text
    assert "fine-tuned" not in about(said_of([[0.6, 0.9]] * 2))
    one = red_slide(tmp_path, annotations=drawn(**BOTH))
    card = one.run.card.model_copy(update={"recipe": {TRAINING_IMAGES: 40}})
    assert comparison(replace(one, run=replace(one.run, card=card))).tuned


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        ([[0.5, 0.9, 0.9]] * 3, "labels teach more than in random order (by 10 % on average)"),
        ([[0.9, 0.7, 0.7]] * 3, "labels teach less than in random order (by 10 % on average)"),
        ([[0.9, 0.9, 0.9], [0.5, 0.6, 0.6], [0.5, 0.9, 0.9]], "makes no clear difference"),
        ([[0.1, 0.805, 0.805]] * 3, "makes no clear difference"),
    ],
)
def test_whether_the_queue_helps_is_said(queue, says):
    assert says in plain(about(said_of([[0.5, 0.8, 0.8]] * 3, queue)))
