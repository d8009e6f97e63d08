from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_smse.errors import NotBrightfieldError
from napari_smse.slides import open_slide
from napari_smse.tiles import is_brightfield, require_brightfield


def plain(colour, shape=(100, 120)):
    return np.full((*shape, 3), colour, dtype=np.uint8)


def test_glass_and_stained_tissue_are_brightfield():
    assert is_brightfield(plain((240, 240, 238)))
    assert is_brightfield(plain((190, 110, 170)))


def test_a_black_border_around_a_section_is_brightfield():
    rgb = plain((0, 0, 0))
    rgb[30:70, 30:80] = 235
    rgb[40:60, 40:60] = (180, 100, 160)
    assert is_brightfield(rgb)


@pytest.mark.parametrize("signal", [(20, 40, 255), (0, 255, 0), (255, 255, 255)])
def test_sparse_signal_on_black_is_not_brightfield(signal):
    rgb = plain((2, 2, 6))
    rgb[::12, ::12] = signal
    assert not is_brightfield(rgb)


def test_a_black_image_is_not_brightfield_and_the_message_says_what_can_be_scored():
    with pytest.raises(NotBrightfieldError, match=r"dapi\.ndpi.*H&E"):
        require_brightfield(plain((0, 0, 0)), Path("dapi.ndpi"))


def test_real_slides(shared_data):
    slides = shared_data / "slides"
    with open_slide(slides / "fluorescence-dapi.ndpi") as fluorescence:
        assert not is_brightfield(fluorescence.thumbnail(512))
    with open_slide(slides / "CMU-1-Small-Region.svs") as stained:
        assert is_brightfield(stained.thumbnail(512))


@pytest.mark.parametrize("colour", [(120, 60, 130), (140, 30, 120), (90, 60, 110)])
def test_a_field_full_of_dense_dark_tissue_is_brightfield(colour):
    noise = np.random.default_rng(0).integers(-20, 20, (100, 120, 1))
    assert is_brightfield((plain(colour) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("signal", [(10, 20, 200), (4, 100, 4), (180, 8, 10)])
def test_a_pure_colour_all_over_is_not_brightfield(signal):
    assert not is_brightfield(plain(signal))


def test_no_image_of_the_data_is_taken_for_fluorescence(shared_data):
    refused = [
        path.name
        for folder in ("colon_ebhi", "oral_oscc")
        for path in sorted((shared_data / folder).rglob("*.jp*g"))[::8]
        if not is_brightfield(np.asarray(Image.open(path).convert("RGB"))[::4, ::4])
    ]
    assert refused == []
