"""How far slides differ, against how far classes do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_smse.workflows.batch_effect import compared_tiles, measure_batch_effect
from support.annotated_slides import PINK_BOXES, RED_BOXES, drawn, red_slide

pytestmark = pytest.mark.usefixtures("redness")
BOTH = {"benign": PINK_BOXES, "malignant": RED_BOXES}


def stated(one, case):
    return replace(one, annotations=replace(one.annotations, case=case))


def test_the_class_is_told_by_other_cases_only(tmp_path):
    """Two slides of one case say nothing of each other's classes, but are told apart as slides."""
    one = red_slide(tmp_path, "S19-1234_A1", annotations=drawn(**BOTH))
    two = red_slide(tmp_path, "S19-1234_B1", 1, annotations=drawn(**BOTH))
    assert set(compared_tiles([one, two]).cases) == {"S19-1234"}
    found = measure_batch_effect([one, two]).effect
    assert found.of_class is None
    assert found.slide.groups == 2
    apart = measure_batch_effect([one, stated(two, "P2")]).effect
    assert apart.of_class.accuracy > 0.9
