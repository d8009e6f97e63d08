"""Slides of real scanners; see tests/conftest.py for where they are looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from napari_smse.slides import Region, ScaleSource, open_slide, pyramid_arrays

CASES = {
    "CMU-1-Small-Region.svs": ("tifffile", 1, 0.499, ScaleSource.VENDOR, (2220, 2967)),
    "cmu1_pyramid.ome.tif": ("tifffile", 4, 0.499, ScaleSource.VENDOR, (2220, 2967)),
    "cmu1_pyramid_generic.tif": ("tifffile", 4, 0.499, ScaleSource.TIFF, (2220, 2967)),
    "fluorescence-dapi.ndpi": ("openslide", 7, 0.228, ScaleSource.VENDOR, (3968, 4864)),
}


@pytest.fixture
def slides(shared_data: Path) -> Path:
    return shared_data / "slides"


@pytest.mark.parametrize("name", CASES)
def test_what_each_slide_offers(slides: Path, name: str) -> None:
    backend, levels, mpp, source, size = CASES[name]
    with open_slide(slides / name) as slide:
        assert (slide.backend_name, len(slide.levels)) == (backend, levels)
        assert slide.mpp == pytest.approx(mpp, abs=5e-4)
        assert slide.scale.source is source
        assert (slide.width, slide.height) == size
        assert [level.downsample for level in slide.levels] == [2**n for n in range(levels)]
        tile = slide.read(Region(1000, 1000, 448, 448), slide.mpp * 2)
        assert tile.shape == (224, 224, 3)
        assert len(pyramid_arrays(slide)) == max(levels, 3)


def test_associated_images_of_the_svs(slides: Path) -> None:
    with open_slide(slides / "CMU-1-Small-Region.svs") as slide:
        assert slide.associated_images == ("label", "macro", "thumbnail")
        assert slide.associated_image("label").shape == (463, 387, 3)
        assert slide.associated_image("macro").shape == (431, 1280, 3)
        assert slide.objective_power == 20.0


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "cmu1_pyramid_generic.tif"])
def test_decoded_tiles_are_openslides_pixels(slides: Path, name: str) -> None:
    with openslide.OpenSlide(slides / name) as peer, open_slide(slides / name) as slide:
        expected = np.asarray(peer.read_region((900, 1100), 0, (700, 500)))[..., :3]
        found = slide.read_level(0, 900, 1100, 700, 500)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_ome_levels_are_tifffiles_pixels(slides: Path) -> None:
    path = slides / "cmu1_pyramid.ome.tif"
    with tifffile.TiffFile(path) as peer, open_slide(path) as slide:
        for index, level in enumerate(slide.levels):
            expected = peer.series[0].levels[index].asarray()
            assert (slide.read_level(index, 0, 0, level.width, level.height) == expected).all()


def test_the_same_tissue_lies_in_the_same_place_in_each_file(slides: Path) -> None:
    """These pyramids were resized to a rounded size, so they are off by part of a level px."""
    with open_slide(slides / "CMU-1-Small-Region.svs") as slide:
        svs = slide.read(Region(600, 1200, 800, 800), 2.0).astype(int)
    for name in ("cmu1_pyramid.ome.tif", "cmu1_pyramid_generic.tif"):
        with open_slide(slides / name) as slide:
            difference = {
                (x, y): np.abs(
                    slide.read(Region(600 + x, 1200 + y, 800, 800), 2.0).astype(int) - svs
                ).mean()
                for x in range(-5, 6)
                for y in range(-5, 6)
            }
        x, y = min(difference, key=lambda place: difference[place])
        assert x == 0  # 2220 px halve evenly
        assert abs(y) < 4


@pytest.mark.parametrize("name", CASES)
def test_thumbnails_show_the_slide(slides: Path, name: str) -> None:
    with open_slide(slides / name) as slide:
        thumbnail = slide.thumbnail(256)
        assert max(thumbnail.shape) == 256
        assert thumbnail.std() > 2
