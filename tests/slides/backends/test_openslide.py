from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image as Picture

from napari_smse.errors import DamagedSlideError
from napari_smse.slides import Region
from napari_smse.slides.backends import openslide as backend_module
from napari_smse.slides.backends.openslide import OpenSlideBackend, number, stated_properties
from support.slides import noise_image, pyramid, write_pyramid_tiff

IMAGE = noise_image(1203, 901, seed=7)


@pytest.fixture
def backend(tmp_path: Path) -> OpenSlideBackend:
    return OpenSlideBackend(write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=4, tile=128))


def test_levels_have_the_step_they_were_made_with(backend: OpenSlideBackend) -> None:
    assert any(step != round(step) for step in backend._steps)
    assert [level.downsample for level in backend.levels] == [1, 2, 4, 8]
    assert {(level.tile_width, level.tile_height) for level in backend.levels} == {(128, 128)}


def test_level_0_is_exact(backend: OpenSlideBackend) -> None:
    assert (backend.read_level(0, 0, 0, 1203, 901) == IMAGE).all()
    found = backend.read_level(0, 333, 222, 100, 50)
    assert (found == IMAGE[222:272, 333:433]).all()
    assert found.flags.writeable


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_pixel_is_the_same_in_every_read(backend: OpenSlideBackend, level: int) -> None:
    size = backend.levels[level]
    whole = backend.read_level(level, 0, 0, size.width, size.height)
    stored = pyramid(IMAGE, 4)[level]
    assert np.abs(whole.astype(int) - stored).max() <= 1
    for x, y in ((1, 1), (37, 51), (size.width - 41, size.height - 31)):
        found = backend.read_level(level, x, y, 40, 30)
        assert (found == whole[y : y + 30, x : x + 40]).all()


def test_threads_read_what_one_thread_reads(backend: OpenSlideBackend) -> None:
    rng = np.random.default_rng(0)
    boxes = [(int(x), int(y), 90, 70) for x, y in rng.integers(0, 300, (100, 2))]
    boxes = [(level, *box) for level in (0, 1) for box in boxes]
    expected = [backend.read_level(*box) for box in boxes]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda box: backend.read_level(*box), boxes))
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))
    assert backend._idle.qsize() <= backend_module.MAX_HANDLES


def test_one_threads_damaged_tile_leaves_the_others_alone(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1, tile=128)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    backend = OpenSlideBackend(path)

    def outcome(index: int) -> bool:
        x = 0 if index % 3 == 0 else 200
        try:
            pixels = backend.read_level(0, x, 200 * (x > 0), 50, 50)
        except DamagedSlideError:
            return x == 0
        return x == 200 and bool((pixels == IMAGE[200:250, 200:250]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(outcome, range(120)))


class _FakeSlide:
    """Stands for a scan with holes: what OpenSlide hands out for .mrxs."""

    level_dimensions = ((8, 4),)
    level_downsamples = (1.0,)
    associated_images: Mapping[str, Picture.Image] = {}
    color_profile = None
    properties: Mapping[str, str] = {
        "openslide.vendor": "mirax",
        "openslide.background-color": "0A141E",
        "openslide.bounds-x": "1",
        "openslide.bounds-y": "2",
        "openslide.bounds-width": "5",
        "openslide.bounds-height": "2",
        "openslide.mpp-x": "0.25",
        "openslide.mpp-y": "0.25",
    }

    def __init__(self, path: str) -> None:
        self.path = path

    def set_cache(self, cache: object) -> None:
        pass

    def close(self) -> None:
        pass

    def read_region(
        self, location: tuple[int, int], level: int, size: tuple[int, int]
    ) -> Picture.Image:
        pixels = np.zeros((4, 8, 4), np.uint8)
        pixels[:, 4:] = (200, 100, 50, 255)
        x, y = location
        return Picture.fromarray(pixels[y : y + size[1], x : x + size[0]])


def test_transparent_is_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openslide, "OpenSlide", _FakeSlide)
    backend = OpenSlideBackend(Path("scan.mrxs"))
    assert backend.facts.background == (10, 20, 30)
    assert backend.facts.bounds == Region(1, 2, 5, 2)
    assert backend.facts.stated_scale.vendor == 0.25
    pixels = backend.read_level(0, 2, 0, 4, 4)
    assert (pixels[:, :2] == (10, 20, 30)).all()
    assert (pixels[:, 2:] == (200, 100, 50)).all()


@pytest.mark.parametrize(
    ("text", "value"), [("0.25", 0.25), ("0,25", 0.25), ("", None), ("x", None), (None, None)]
)
def test_number(text: str | None, value: float | None) -> None:
    assert number(text) == value


def test_a_property_with_a_damaged_name_is_left_out() -> None:
    class Properties(dict[str, str]):
        """As OpenSlide's: a name that is listed may have no value."""

        def __getitem__(self, name: str) -> str:
            if name == "aperio.App\ufffdMag":
                raise KeyError
            return super().__getitem__(name)

    found = stated_properties(Properties({"aperio.App\ufffdMag": "", "aperio.MPP": "0.499"}))
    assert found == {"aperio.MPP": "0.499"}
