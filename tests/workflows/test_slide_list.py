"""What a list says of slides."""

from __future__ import annotations

import numpy as np

from napari_smse.progress import run_task
from napari_smse.slides import open_slide
from napari_smse.workflows.slide_list import (
    SlideToList,
    copies_among,
    indexed_slides,
    label_and_macro,
    list_slides,
)
from support.annotated_slides import write_red_slide
from support.slides import noise_image, write_pyramid_tiff


def listed(*paths):
    found = []
    slides = [SlideToList(path.name, path) for path in paths]
    run_task(list_slides(slides, None), lambda step: found.append(step.detail))
    assert [key for key, _ in found] == [path.name for path in paths]
    return [facts for _, facts in found]


def test_a_slide_has_a_picture_and_a_scale_and_a_bad_one_a_reason(tmp_path):
    good, bad = write_red_slide(tmp_path), tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0")
    one, other = listed(good, bad)
    assert (one.name, one.mpp, one.problem) == ("slide", 0.5, "")
    assert one.thumbnail.shape == (128, 256, 3)
    assert other.problem
    assert not other.quick_hash


def test_a_file_under_two_names_is_told_and_others_are_not(tmp_path):
    first = write_red_slide(tmp_path, "first")
    copy = tmp_path / "copy.tif"
    copy.write_bytes(first.read_bytes())
    textured = write_pyramid_tiff(tmp_path / "noise.tif", noise_image(1024, 512), mpp=0.5)
    assert copies_among(listed(first, textured, copy)) == [(0, 2)]


def test_an_index_that_cannot_be_read_holds_nothing(tmp_path):
    assert indexed_slides(None) == indexed_slides(tmp_path / "gone") == frozenset()


def test_label_and_macro_come_first_and_may_be_missing(tmp_path, shared_data):
    with open_slide(write_red_slide(tmp_path)) as slide:
        assert label_and_macro(slide) == {}
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        found = label_and_macro(slide)
    assert list(found)[:2] == ["label", "macro"]
    assert all(picture.ndim == 3 and picture.dtype == np.uint8 for picture in found.values())
