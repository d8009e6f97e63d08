"""The pixels of labelled images."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_smse.datasets import pixels
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.pixels import close_slides, read_pixels
from napari_smse.errors import DataError
from napari_smse.slides import Region, open_slide
from support.icc_profiles import wide_profile
from support.slides import coordinate_image, cut, noise_image, write_pyramid_tiff


def labelled(path: Path, region: Region | None = None, mpp: float = 0.5) -> LabelledImage:
    return LabelledImage(path, 0, "a", mpp, (0.45, 0.6), "mine", "mine", region=region)


def saved(path: Path, picture: Image.Image) -> LabelledImage:
    picture.save(path)
    return labelled(path)


def test_a_field_is_read_by_the_profile_of_its_slide(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "a.tif", noise_image(300, 200), iccprofile=wide_profile())
    region = Region(10, 20, 64, 48)
    with open_slide(path) as slide:
        plain, converted = slide.read(region, 0.5), slide.with_icc().read(region, 0.5)
    field = labelled(path, region)
    assert np.array_equal(np.asarray(read_pixels(field)), plain)
    assert np.array_equal(np.asarray(read_pixels(replace(field, icc=True))), converted)
    assert not np.array_equal(plain, converted)


def test_rgb_comes_as_it_is(tmp_path: Path) -> None:
    rgb = noise_image(40, 30)
    read = read_pixels(saved(tmp_path / "ä b.png", Image.fromarray(rgb)))
    assert read.mode == "RGB"
    assert np.array_equal(np.asarray(read), rgb)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_colours_become_rgb(tmp_path: Path, mode: str) -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    read = read_pixels(saved(tmp_path / "a.tif", red))
    assert read.mode == "RGB"
    expected = red.convert("RGB").getpixel((3, 3))
    assert read.getpixel((3, 3)) == expected


def test_transparent_is_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (200, 0, 100, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    read = read_pixels(saved(tmp_path / "a.png", picture))
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 100), (255, 255, 255)]
    half = Image.new("LA", (1, 1), (0, 128))
    (value, *_) = read_pixels(saved(tmp_path / "b.png", half)).getpixel((0, 0))
    assert value == pytest.approx(127, abs=1)


def test_deeper_pixels_are_refused_by_name(tmp_path: Path) -> None:
    image = saved(tmp_path / "deep.png", Image.new("I;16", (8, 8)))
    with pytest.raises(DataError, match=r"deep\.png has I;16 pixels, not 8-bit RGB"):
        read_pixels(image)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_files_cut_short_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise_image(200, 200)).save(path)
    cut(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=rf"cut\.{suffix}"):
        read_pixels(labelled(path))


def test_missing_and_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png is missing"):
        read_pixels(labelled(tmp_path / "none.png"))
    (tmp_path / "text.png").write_text("x")
    with pytest.raises(DataError, match=r"text\.png is no image"):
        read_pixels(labelled(tmp_path / "text.png"))


def test_a_field_of_a_slide_is_what_lies_there(tmp_path: Path) -> None:
    image = coordinate_image(600, 500)
    path = write_pyramid_tiff(tmp_path / "slide.tif", image)
    read = read_pixels(labelled(path, Region(100, 50, 224, 200)))
    assert np.array_equal(np.asarray(read), image[50:250, 100:324])
    # What reaches over the edge is background.
    over = np.asarray(read_pixels(labelled(path, Region(500, 400, 200, 200))))
    assert np.array_equal(over[:100, :100], image[400:, 500:])
    assert (over[150:, 150:] == 255).all()
    close_slides()


def test_a_slide_without_a_scale_of_its_own_is_read_as_well(tmp_path: Path) -> None:
    image = coordinate_image(300, 300)
    path = write_pyramid_tiff(tmp_path / "slide.tif", image, mpp=None)
    read = read_pixels(labelled(path, Region(10, 20, 30, 40), mpp=0.3))
    assert np.array_equal(np.asarray(read), image[20:60, 10:40])
    close_slides()


def test_a_damaged_slide_is_named(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", noise_image(600, 600))
    cut(path, 2000)
    with pytest.raises(DataError, match=r"A field of .*slide\.tif cannot be read"):
        read_pixels(labelled(path, Region(0, 0, 500, 500)))


def test_slides_are_shared_between_threads_and_few_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [noise_image(300, 300, seed) for seed in range(6)]
    paths = [
        write_pyramid_tiff(tmp_path / f"{seed}.tif", image, levels=1)
        for seed, image in enumerate(images)
    ]
    slides = pixels._OpenSlides(max_open=2)
    monkeypatch.setattr(pixels, "_slides", slides)
    rng = np.random.default_rng(0)
    asked = [(int(i), int(x), int(y)) for i, x, y in rng.integers(0, (6, 200, 200), (200, 3))]

    def is_right(place: tuple[int, int, int]) -> bool:
        index, x, y = place
        read = read_pixels(labelled(paths[index], Region(x, y, 64, 64)))
        return np.array_equal(np.asarray(read), images[index][y : y + 64, x : x + 64])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_right, asked))
    assert len(slides) <= 2
    close_slides()
    assert len(slides) == 0


def test_a_slide_that_is_read_is_not_closed(tmp_path: Path) -> None:
    image = noise_image(300, 300)
    paths = [write_pyramid_tiff(tmp_path / f"{i}.tif", image, levels=1) for i in range(3)]
    slides = pixels._OpenSlides(max_open=1)
    with slides.borrow(paths[0]) as first:
        for path in paths[1:]:
            with slides.borrow(path):
                pass
        slides.close_idle(max_open=0)
        assert len(slides) == 1
        assert np.array_equal(first.read_level(0, 0, 0, 300, 300), image)
    slides.close_idle(max_open=0)
    assert len(slides) == 0


def test_images_are_read_from_any_thread(tmp_path: Path) -> None:
    image = saved(tmp_path / "a.png", Image.new("RGB", (5, 4), "red"))
    sizes: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: sizes.append(read_pixels(image).size))
    thread.start()
    thread.join()
    assert sizes == [(5, 4)]
