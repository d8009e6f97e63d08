from __future__ import annotations

import colorsys

import numpy as np
import pytest

from napari_smse.palette import (
    ANNOTATION_COLOURS,
    CLASS_COLOURS,
    USUAL_CLASSES,
    class_colours,
    class_ramp,
    diverging_ramp,
    map_colours,
)


def test_known_classes_keep_their_colour_whatever_the_order() -> None:
    usual = {name: CLASS_COLOURS[name] for name in ("benign", "malignant")}
    assert class_colours(["malignant", "benign"]) == usual


def test_other_classes_get_colours_of_their_own() -> None:
    colours = class_colours(["normal", "benign", "in situ", "malignant"])
    assert list(colours) == ["normal", "benign", "in situ", "malignant"]
    assert len(set(colours.values())) == 4


def test_given_colours_come_first_and_are_not_given_twice() -> None:
    green = class_colours(["first"])["first"]
    colours = class_colours(["first", "benign", "second"], {"second": green, "benign": (1, 2, 3)})
    assert colours["second"] == green
    assert colours["benign"] == (1, 2, 3)
    assert len(set(colours.values())) == 3


def test_many_classes_share_colours_rather_than_fail() -> None:
    names = [f"class {i}" for i in range(12)]
    assert len(class_colours(names, dict.fromkeys(names[:2], (0, 158, 115)))) == 12


def test_the_low_end_of_a_ramp_is_transparent() -> None:
    ramp = class_ramp(CLASS_COLOURS["malignant"])
    assert ramp.shape == (256, 4)
    assert ramp[0, 3] == 0
    np.testing.assert_allclose(ramp[-1], [213 / 255, 94 / 255, 0, 1], atol=1e-6)
    assert (np.diff(ramp[:, 3]) >= 0).all()


def test_the_diverging_ramp_is_opaque_and_palest_in_the_middle() -> None:
    ramp = diverging_ramp(101)
    assert (ramp[:, 3] == 1).all()
    assert ramp[:, :3].sum(axis=1).argmax() == pytest.approx(50, abs=1)
    assert ramp[0, 2] > ramp[0, 0]
    assert ramp[-1, 0] > ramp[-1, 2]


def test_with_two_classes_a_map_goes_from_one_colour_to_the_other() -> None:
    ramp = map_colours(("a", "b"), "b", {"a": (200, 0, 0), "b": (0, 200, 0)}).ramp(101)
    assert ramp[20, 0] > ramp[20, 1]
    assert ramp[80, 1] > ramp[80, 0]
    assert (ramp[:, 3] == 1).all()


def test_with_more_classes_a_map_shows_one_of_them() -> None:
    colours = map_colours(("a", "b", "c"), "b")
    assert colours.other is None
    assert colours.ramp()[0, 3] == 0


def test_the_usual_two_classes_have_the_usual_ramp() -> None:
    np.testing.assert_array_equal(
        map_colours(("benign", "malignant"), "malignant").ramp(), diverging_ramp()
    )


def test_the_band_is_grey_and_its_ends_are_not() -> None:
    ramp = map_colours(("benign", "malignant"), "malignant", None, (0.25, 0.75)).ramp(101)
    grey = np.ptp(ramp[:, :3], axis=1) < 0.01
    assert grey[26:75].all()
    assert not grey[:26].any()
    assert not grey[75:].any()


@pytest.mark.parametrize("name", USUAL_CLASSES)
def test_outlines_are_in_hues_that_no_map_of_these_classes_has(name):
    ramp = diverging_ramp(9)[:, :3]
    strong = [tuple(rgb) for rgb in ramp if max(rgb) - min(rgb) > 0.3]
    outline, *maps = (
        colorsys.rgb_to_hsv(*rgb)[0] * 360
        for rgb in (np.divide(ANNOTATION_COLOURS[name], 255), *strong)
    )
    apart = [min(abs(outline - hue), 360 - abs(outline - hue)) for hue in maps]
    assert len(maps) >= 4
    assert min(apart) > 40
