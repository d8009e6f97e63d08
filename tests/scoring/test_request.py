from pathlib import Path
from types import SimpleNamespace

import pytest
import shapely

from napari_smse.errors import ModelError, ScaleError
from napari_smse.scoring import (
    ScoreRequest,
    describe_scale,
    parse_scale,
    require_tiles,
    scale_warnings,
)
from support.models import redness_model

CARD = redness_model().card


def slide(mpp):
    return SimpleNamespace(mpp=mpp, name="slide", path=Path("slide.svs"))


@pytest.mark.parametrize(
    ("text", "mpp"), [("0.5", 0.5), ("20x", 0.5), (" 40X ", 0.25), ("10x", 1), ("1e-1", 0.1)]
)
def test_scales_are_um_per_px_or_objective_powers(text, mpp):
    assert parse_scale(text) == pytest.approx(mpp)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "0x", "nan", "inf", "twenty", "20xx", "0,5"])
def test_other_words_are_refused_with_both_ways_to_say_it(text):
    with pytest.raises(ScaleError, match=r"0\.5.*20x"):
        parse_scale(text)


def test_a_scale_is_told_both_ways():
    assert describe_scale(0.5) == "20x, 0.5 µm/px"


def test_scales_outside_the_training_are_told():
    assert scale_warnings(slide(0.25), CARD, (0.25, 0.5)) == []
    (warning,) = scale_warnings(slide(0.25), CARD, (0.5, 1.0))
    assert "1 µm/px lies outside" in warning
    assert "unknown" in warning


def test_a_network_for_whole_images_is_refused():
    paper = CARD.model_copy(update={"trunk": "smse_cnn"})
    with pytest.raises(ModelError, match=r"judges whole images .* choose a model for tiles"):
        ScoreRequest((0.5,)).plan(slide(0.25), paper)
    require_tiles(CARD)


def test_magnifying_is_told():
    (warning,) = scale_warnings(slide(0.499), CARD, (0.25,))
    assert "magnified 2.0 times" in warning


def test_the_same_region_has_the_same_facts_however_it_is_drawn():
    box = shapely.box(0, 0, 10, 10)
    turned = shapely.Polygon(list(box.exterior.coords)[2:-1] + list(box.exterior.coords)[:2])
    facts = ScoreRequest((0.5,), roi=box).facts()
    assert facts == ScoreRequest((0.5, 0.5), roi=turned).facts()
    assert facts != ScoreRequest((0.5,), roi=shapely.box(0, 0, 10, 11)).facts()
    assert facts != ScoreRequest((0.5,)).facts()
