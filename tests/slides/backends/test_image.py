from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_smse.errors import NotASlideError
from napari_smse.slides import open_slide
from napari_smse.slides.backends import image
from support.slides import noise_image, write_pyramid_tiff

IMAGE = noise_image(120, 90)


def _open_pixels(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        assert slide.backend_name == "image"
        assert slide.associated_images == ()
        return slide.read_level(0, 0, 0, slide.width, slide.height)


def test_rgb(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    assert (_open_pixels(tmp_path / "a.png") == IMAGE).all()


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(IMAGE).convert(mode)
    picture.save(tmp_path / "a.png")
    assert (_open_pixels(tmp_path / "a.png") == np.asarray(picture.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["P", "CMYK"])
def test_tiff_in_other_colours(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(IMAGE).convert(mode)
    picture.save(tmp_path / "a.tif")
    assert (_open_pixels(tmp_path / "a.tif") == np.asarray(picture.convert("RGB"))).all()


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.full(IMAGE.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    Image.fromarray(np.dstack([IMAGE, alpha])).save(tmp_path / "a.png")
    pixels = _open_pixels(tmp_path / "a.png")
    assert (pixels[:40] == 255).all()
    assert (pixels[40:] == IMAGE[40:]).all()


def test_16_bit_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(NotASlideError, match="8-bit RGB"):
        open_slide(tmp_path / "deep.png")


@pytest.mark.parametrize("limit", [10_000, 5_000])
def test_too_large_a_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    monkeypatch.setattr(image, "PIXEL_LIMIT", limit)
    usual = Image.MAX_IMAGE_PIXELS
    with pytest.raises(NotASlideError, match="pyramidal TIFF"):
        open_slide(tmp_path / "a.png")
    assert usual == Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert (_open_pixels(tmp_path / "a.png") == IMAGE).all()


def test_large_tiff_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "PIXEL_LIMIT", 100)
    with open_slide(write_pyramid_tiff(tmp_path / "a.tif", IMAGE)) as slide:
        assert slide.backend_name == "tifffile"
