"""Slides that show the same tissue in other files."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_smse.annotations import AnnotationSet, write_annotations
from napari_smse.datasets.alike_slides import (
    PICTURE_PX,
    compared_by,
    first_alike,
    has_small_picture,
    picture_of,
    slide_cases,
)
from napari_smse.datasets.readers.annotated_slides import slides_to_read
from napari_smse.slides import open_slide
from support.annotated_slides import annotate, write_red_slide
from support.slides import write_pyramid_tiff


def tissue(seed: int, width: int = 1536, height: int = 1024) -> np.ndarray:
    """Pink texture as coarse as glands."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(height // 4, width // 4)), 2)
    field = (field / field.std()).repeat(4, axis=0).repeat(4, axis=1)[..., np.newaxis]
    return np.clip(np.array([190, 120, 170]) + 25 * field, 0, 255).astype(np.uint8)


@pytest.fixture
def two(tmp_path):
    """A slide, and another one of the same shape."""
    return [write_pyramid_tiff(tmp_path / f"{n}.tif", tissue(n)) for n in range(2)]


def saved_anew(path, pixels):
    """The same slide brighter, as JPEG of low quality, at half the resolution."""
    brighter = np.clip(pixels[::2, ::2].astype(float) * 1.05 + 4, 0, 255).astype(np.uint8)
    return write_pyramid_tiff(path, brighter, mpp=1.0, levels=2, compression="jpeg")


def test_a_slide_saved_anew_is_the_same_and_another_is_not(two, tmp_path):
    copy = saved_anew(tmp_path / "copy.tif", tissue(0))
    pictures = []
    for path in (*two, copy):
        with open_slide(path) as slide:
            pictures.append(picture_of(slide))
    assert all(picture is not None for picture in pictures)
    assert first_alike(pictures) == [0, 1, 0]
    assert first_alike([None, *pictures, None]) == [0, 1, 2, 1, 4]


def test_a_neighbouring_section_is_not_the_same():
    """Its glands lie about where they did, its cells do not."""
    first = tissue(0)[:PICTURE_PX, :PICTURE_PX]
    moved = np.roll(first, (9, 7), axis=(0, 1))
    assert not compared_by(first).is_like(compared_by(moved))


def test_smooth_slides_of_the_same_outline_are_not_taken_for_the_same(tmp_path):
    for seed in range(2):
        with open_slide(write_red_slide(tmp_path, f"{seed}", seed)) as slide:
            assert picture_of(slide) is None


def test_another_shape_is_another_slide():
    wide, high = compared_by(tissue(0)[:128, :256]), compared_by(tissue(0)[:256, :128])
    assert not wide.is_like(high)
    assert compared_by(tissue(0)[:8]) is None


def test_slides_that_are_alike_are_one_case_and_so_are_their_cases_others(two, tmp_path):
    copy = saved_anew(tmp_path / "copy.tif", tissue(0))
    slides = [open_slide(path) for path in (*two, copy)]
    assert slide_cases(slides, ["P1", "P2", "P3"]) == ({"P1": "P1", "P2": "P2", "P3": "P1"}, [2])
    # A further slide of the copy's case is of the other case, too, and shows other tissue.
    fourth = open_slide(write_red_slide(tmp_path))
    joined, alike = slide_cases([*slides, fourth], ["P1", "P2", "P3", "P3"])
    assert (joined["P3"], alike) == ("P1", [2])
    assert slide_cases(slides[:2], ["P1", "P2"]) == ({"P1": "P1", "P2": "P2"}, [])
    # The same file twice.
    assert slide_cases([slides[0], slides[0]], ["P1", "P2"]) == ({"P1": "P1", "P2": "P1"}, [])


def test_a_folder_gives_each_slide_the_case_that_is_known_best(two, tmp_path):
    copy = saved_anew(tmp_path / "copy.tif", tissue(0))
    named = write_red_slide(tmp_path, "S19-1234_A1", 5)
    other = write_red_slide(tmp_path, "S19-1234_B1", 6)
    listed, stated = two
    for path in (*two, copy, named, other):
        annotate(path)
    write_annotations(stated.with_suffix(".geojson"), AnnotationSet(case="stated"))
    (tmp_path / "cases.csv").write_text("slide,case\n0,listed\n")
    found, _ = slides_to_read(tmp_path)
    assert {one.path.stem: one.case for one in found} == {
        listed.stem: "listed",
        stated.stem: "stated",
        copy.stem: "listed",
        named.stem: "S19-1234",
        other.stem: "S19-1234",
    }


def test_a_large_slide_without_levels_is_not_read_for_it(tmp_path):
    level = SimpleNamespace(width=60_000, height=50_000)
    large = SimpleNamespace(
        levels=[level], width=60_000, height=50_000, level_for=lambda _downsample: 0
    )
    assert not has_small_picture(large)
    with open_slide(write_red_slide(tmp_path)) as slide:
        assert has_small_picture(slide)
