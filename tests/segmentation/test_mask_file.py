"""Tissue as somebody drew it, of any program."""

from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import MaskError
from napari_smse.progress import run_task
from napari_smse.segmentation import weights
from napari_smse.segmentation.mask_file import (
    choose_mask,
    drawn_ground,
    ground_named,
    is_drawn,
    mask_from,
)
from napari_smse.segmentation.networks import GRANDQC_ARTEFACTS
from napari_smse.segmentation.weights import Segmenter
from napari_smse.slides import Region
from napari_smse.tiles import ARTEFACTS, Ground, TissueMask
from support.tissue_masks import ColourNetwork, write_mask

ALL = frozenset(ARTEFACTS.values())
BY_COLOUR = TissueMask(np.full((60, 80), Ground.TISSUE, np.uint8), Region(0, 0, 800, 600))


class _Slide:
    name, path, width, height, mpp = "case 1", Path("case 1.svs"), 800, 600, 0.5
    bounds = Region(0, 0, 800, 600)


SLIDE = _Slide()


def test_outlines_without_a_class_are_tissue(tmp_path):
    """As TRIDENT and HEST write contours."""
    path = write_mask(tmp_path / "a.geojson", [("", (100, 200, 300, 500))], tissue_id=0)
    ground = drawn_ground(path, SLIDE, BY_COLOUR)
    assert (ground[20:50, 10:30] == Ground.TISSUE).all()
    assert (ground == Ground.TISSUE).sum() == 20 * 30


def test_artefacts_lie_over_tissue_and_what_is_ignored_is_none(tmp_path):
    boxes = [
        ("Fold", (0, 0, 200, 100)),
        ("Tissue", (0, 0, 400, 300)),
        ("Ignore*", (300, 0, 400, 300)),
        ("PenMarking", (100, 200, 200, 300)),
    ]
    ground = drawn_ground(write_mask(tmp_path / "a.geojson", boxes), SLIDE, BY_COLOUR)
    assert (ground[:10, :20] == Ground.FOLD).all()
    assert (ground[20:30, 10:20] == Ground.PEN).all()
    assert (ground[:, 30:] == Ground.GLASS).all()
    assert (ground[12:18, :30] == Ground.TISSUE).all()


def test_artefacts_alone_lie_over_tissue_by_colour(tmp_path):
    path = write_mask(tmp_path / "a.geojson", [("Out of focus", (0, 0, 100, 100))])
    ground = drawn_ground(path, SLIDE, BY_COLOUR)
    assert (ground[:10, :10] == Ground.BLUR).all()
    assert (ground[10:] == Ground.TISSUE).all()


def test_qupath_counts_from_the_corner_of_the_bounds(tmp_path):
    slide = _Slide()
    slide.bounds = Region(200, 100, 600, 500)
    mask = TissueMask(np.zeros((50, 60), np.uint8), slide.bounds)
    boxes = [("Tissue", (0, 0, 100, 100))]
    by_qupath = write_mask(tmp_path / "a.geojson", boxes, objectType="annotation")
    assert (drawn_ground(by_qupath, slide, mask)[:10, :10] == Ground.TISSUE).all()
    with_boxes = [("Tissue", (200, 100, 300, 200))]
    level_0 = write_mask(tmp_path / "b.geojson", with_boxes)
    assert np.array_equal(drawn_ground(level_0, slide, mask), drawn_ground(by_qupath, slide, mask))


@pytest.mark.parametrize("box", [(0, 0, 1600, 600), (-100, 0, 300, 300), (0, 0, 300, 700)])
def test_a_mask_of_another_slide_is_refused(box, tmp_path):
    path = write_mask(tmp_path / "other.geojson", [("", box)])
    with pytest.raises(MaskError, match=r"other\.geojson is a mask of another slide"):
        drawn_ground(path, SLIDE, BY_COLOUR)


def test_a_mask_without_tissue_and_a_broken_one_are_refused(tmp_path):
    path = write_mask(tmp_path / "glass.geojson", [("Background", (0, 0, 100, 100))])
    with pytest.raises(MaskError, match=r"glass\.geojson holds no outline of tissue"):
        drawn_ground(path, SLIDE, BY_COLOUR)
    (tmp_path / "broken.geojson").write_text("{")
    with pytest.raises(MaskError, match=r"broken\.geojson is not JSON"):
        drawn_ground(tmp_path / "broken.geojson", SLIDE, BY_COLOUR)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", Ground.TISSUE),
        ("Tumor", Ground.TISSUE),
        ("appendix", Ground.TISSUE),
        ("penile tissue", Ground.TISSUE),
        ("whole tissue", Ground.TISSUE),
        ("tumour focus", Ground.TISSUE),
        ("invasive edge", Ground.TISSUE),
        ("biomarker positive", Ground.TISSUE),
        ("fold", Ground.FOLD),
        ("Tissue fold", Ground.FOLD),
        ("PenMarking", Ground.PEN),
        ("pen_marking", Ground.PEN),
        ("Out of Focus", Ground.BLUR),
        ("OOF", Ground.BLUR),
        ("Edge & Air Bubble", Ground.BUBBLE),
        ("Darkspot & Foreign Object", Ground.FOREIGN),
        ("Background", Ground.GLASS),
        ("Ignore*", Ground.GLASS),
    ],
)
def test_kinds_of_ground_are_known_by_the_words_of_other_programs(name, kind):
    assert ground_named(name) == kind


def test_a_folder_holds_a_mask_for_each_slide_by_its_name(tmp_path):
    with pytest.raises(MaskError, match=r"no tissue mask of case 1\.svs: name it case 1\.geojson"):
        choose_mask(tmp_path, SLIDE, ALL)
    path = write_mask(tmp_path / "case 1.geojson", [("", (0, 0, 10, 10))])
    assert choose_mask(tmp_path, SLIDE, ALL) == choose_mask(path, SLIDE, ALL)
    with pytest.raises(MaskError, match="cannot be read"):
        choose_mask(tmp_path / "gone.geojson", SLIDE, ALL)


def test_weights_are_run_at_the_scale_of_their_name_unless_somebody_says_another(tmp_path):
    path = tmp_path / "GrandQC_MPP15.pth"
    path.write_bytes(b"weights")
    assert not is_drawn(path)
    assert choose_mask(path, SLIDE, ALL).mpp == 1.5
    assert choose_mask(path, SLIDE, ALL, 2.0).facts()["mask_mpp"] == 2.0


def test_a_network_finds_tissue_and_its_licence_is_told(tmp_path, slide_path, monkeypatch):
    from napari_smse.slides import open_slide
    from napari_smse.tiles import find_tissue

    monkeypatch.setattr(
        weights,
        "load_segmenter",
        lambda path, mpp, device: Segmenter(GRANDQC_ARTEFACTS, mpp, ColourNetwork(), device),
    )
    path = tmp_path / "GrandQC_MPP1.pth"
    path.write_bytes(b"weights")
    with open_slide(slide_path) as slide:
        by_colour = find_tissue(slide)
        choice = choose_mask(path, slide, frozenset({Ground.FOLD}))
        mask = run_task(mask_from(choice, slide, by_colour, "cpu"))
    assert mask.ground.shape == by_colour.ground.shape
    assert mask.region == by_colour.region
    assert mask.tissue.any()
    assert "CC BY-NC-SA 4.0" in mask.notice
