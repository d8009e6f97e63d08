from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.errors import RegionError, ScaleError, SlideError
from napari_smse.slides import Region, Slide, open_slide, slide
from napari_smse.slides.backends.base import level_downsample
from napari_smse.slides.backends.tiff_level import TiffLevel
from support.slides import (
    Image,
    coordinate_image,
    noise_image,
    ramp_image,
    write_ome_pyramid,
    write_pyramid_tiff,
)

WIDTH, HEIGHT = 1003, 777
COORDINATES = coordinate_image(WIDTH, HEIGHT)
MPP = 0.5


@pytest.fixture(scope="module")
def coordinates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    path = tmp_path_factory.mktemp("slides") / "coordinates.tif"
    with open_slide(write_pyramid_tiff(path, COORDINATES, MPP, levels=1, tile=128)) as opened:
        yield opened


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    path = tmp_path_factory.mktemp("slides") / "ramp.ome.tif"
    with open_slide(write_ome_pyramid(path, ramp_image(1024, 1024), MPP, levels=4)) as opened:
        yield opened


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    path = tmp_path_factory.mktemp("slides") / "noise.tif"
    image = noise_image(WIDTH, HEIGHT, seed=1)
    with open_slide(write_pyramid_tiff(path, image, MPP, levels=3, tile=128)) as opened:
        yield opened


def padded(image: Image, x: int, y: int, width: int, height: int) -> Image:
    """Cut a box out of an image that lies on endless white."""
    out = np.full((height, width, 3), 255, np.uint8)
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + width, image.shape[1]), min(y + height, image.shape[0])
    if x1 > x0 and y1 > y0:
        out[y0 - y : y1 - y, x0 - x : x1 - x] = image[y0:y1, x0:x1]
    return out


boxes = st.tuples(
    st.integers(-300, WIDTH + 50),
    st.integers(-300, HEIGHT + 50),
    st.integers(1, 400),
    st.integers(1, 400),
)


@given(box=boxes)
@settings(deadline=None, max_examples=150)
def test_every_pixel_comes_from_its_place(coordinates: Slide, box: tuple[int, ...]) -> None:
    expected = padded(COORDINATES, *box)
    assert (coordinates.read_level(0, *box) == expected).all()
    assert (coordinates.read(Region(*box), MPP) == expected).all()


@given(
    x=st.integers(-20, 900),
    y=st.integers(-20, 900),
    out=st.integers(8, 120),
    mpp=st.floats(0.4, 6.0),
)
@settings(deadline=None, max_examples=150)
def test_positions_hold_at_every_scale(ramp: Slide, x: int, y: int, out: int, mpp: float) -> None:
    """On a ramp a value says the position of its pixel's centre, whatever level it is from."""
    side = max(1, round(out * mpp / MPP))
    pixels = ramp.read(Region(x, y, side, side), mpp).astype(float)
    step = side / len(pixels)
    rows = y + (np.arange(pixels.shape[0]) + 0.5) * step
    columns = x + (np.arange(pixels.shape[1]) + 0.5) * step
    reach = 2 * step + 16
    down = (rows > reach) & (rows < 1024 - reach)
    across = (columns > reach) & (columns < 1024 - reach)
    if not (down.any() and across.any()):
        return
    expected = (columns[across] - 0.5) * 255 / 1023
    assert np.abs(pixels[down][:, across, 0] - expected).max() <= 1.5
    expected = (rows[down] - 0.5) * 255 / 1023
    assert np.abs(pixels[down][:, across, 1] - expected[:, np.newaxis]).max() <= 1.5


@given(data=st.data(), mpp=st.sampled_from([0.5, 0.7, 1.0, 1.3, 2.0, 3.1]))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_tile_from_a_large_window_equals_the_same_tile_read_alone(
    noise: Slide, data: st.DataObject, mpp: float
) -> None:
    big = Region(
        data.draw(st.integers(-100, 600)),
        data.draw(st.integers(-100, 400)),
        data.draw(st.integers(300, 700)),
        data.draw(st.integers(300, 700)),
    )
    side = data.draw(st.integers(1, 300))
    tile = Region(
        big.x + data.draw(st.integers(0, big.width - side)),
        big.y + data.draw(st.integers(0, big.height - side)),
        side,
        side,
    )
    alone = noise.read(tile, mpp)
    size = (alone.shape[1], alone.shape[0])
    cut = noise.window(big, mpp).crop(tile, size)
    assert np.abs(cut.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("mpp", [0.5, 1.3])
def test_what_is_read_may_be_written_to(noise: Slide, ramp: Slide, mpp: float) -> None:
    for opened in (noise, ramp):
        before = opened.read(Region(0, 0, 100, 100), mpp)
        opened.read(Region(0, 0, 100, 100), mpp)[:] = 0
        opened.read_level(0, 0, 0, 100, 100)[:] = 0
        opened.thumbnail(50)[:] = 0
        assert (opened.read(Region(0, 0, 100, 100), mpp) == before).all()


def test_tile_equals_the_same_area_of_a_big_read(noise: Slide) -> None:
    big = noise.read(Region(0, 0, 800, 600), 1.0)
    tile = noise.read(Region(200, 100, 200, 200), 1.0)
    assert np.abs(big[50:150, 100:200].astype(int) - tile).max() <= 1


@given(mpp=st.floats(0.3, 9.0), width=st.integers(1, 900), height=st.integers(1, 700))
@settings(deadline=None, max_examples=50)
def test_size_of_what_is_read(noise: Slide, mpp: float, width: int, height: int) -> None:
    pixels = noise.read(Region(10, 10, width, height), mpp)
    expected = (max(1, round(height * MPP / mpp)), max(1, round(width * MPP / mpp)), 3)
    assert pixels.shape == expected
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("downsample", "level"),
    [(0.5, 0), (1.0, 0), (1.9, 0), (1.99, 1), (2.0, 1), (3.9, 1), (4.0, 2), (50.0, 2)],
)
def test_nearest_finer_level(noise: Slide, downsample: float, level: int) -> None:
    assert noise.level_for(downsample) == level


@pytest.mark.parametrize(
    ("full", "level", "downsample"),
    [
        ((2220, 2967), (277, 370), 8.0),
        ((46000, 32914), (11500, 8228), 4.0),
        ((46001, 32915), (11501, 8229), 4.0),
        ((1000, 1000), (300, 300), 1000 / 300),
        ((1000, 500), (301, 150), 1000 / 301),
        ((1, 1), (1, 1), 1.0),
    ],
)
def test_step_between_levels_is_the_one_it_was_made_with(
    full: tuple[int, int], level: tuple[int, int], downsample: float
) -> None:
    assert level_downsample(full, level) == pytest.approx(downsample)


@given(width=st.integers(256, 10**6), height=st.integers(256, 10**6), halvings=st.integers(0, 6))
@settings(deadline=None)
def test_repeated_halving_is_recognised(width: int, height: int, halvings: int) -> None:
    step = 2**halvings
    for level in ((width // step, height // step), (-(-width // step), -(-height // step))):
        assert level_downsample((width, height), level) == step


def test_large_regions_are_read_in_pieces(noise: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    region = Region(-40, -30, 1100, 850)
    whole = noise.read(region, 0.8)
    thumbnail = noise.thumbnail(300)
    monkeypatch.setattr(slide, "_PIECE_SIDE", 245)
    monkeypatch.setattr(slide, "MAX_WINDOW_PIXELS", 700_000)
    assert np.abs(noise.read(region, 0.8).astype(int) - whole).max() <= 1
    assert np.abs(noise.thumbnail(300).astype(int) - thumbnail).max() <= 1
    with pytest.raises(RegionError, match="megapixels"):
        noise.window(region, 0.5)


def test_an_overview_decodes_few_tiles_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slide, "_PIECE_SIDE", 512)
    monkeypatch.setattr(slide, "MAX_WINDOW_PIXELS", 800 * 800)
    monkeypatch.setattr("napari_smse.slides.backends.tifffile.CACHE_BYTES", 20 * 64 * 64 * 3)
    decoded = []
    decode = TiffLevel.segment

    def counted(level: TiffLevel, row: int, column: int) -> np.ndarray | None:
        decoded.append((row, column))
        return decode(level, row, column)

    monkeypatch.setattr(TiffLevel, "segment", counted)
    path = write_pyramid_tiff(tmp_path / "a.tif", noise_image(4000, 1000, seed=3), MPP, 1, tile=64)
    with open_slide(path) as wide:
        assert len(wide.levels) == 1
        assert wide.thumbnail(200).shape == (50, 200, 3)
    assert len(set(decoded)) == 63 * 16
    assert len(decoded) < 2 * 63 * 16


def test_too_large_a_result_is_refused(noise: Slide) -> None:
    with pytest.raises(RegionError, match="too many"):
        noise.read(Region(0, 0, 200_000, 200_000), 0.5)


@pytest.mark.parametrize("side", [1, 64, 500, 5000])
def test_thumbnail_keeps_the_shape(ramp: Slide, side: int) -> None:
    thumbnail = ramp.thumbnail(side)
    assert thumbnail.shape == (min(side, 1024), min(side, 1024), 3)
    if side > 10:
        assert (
            np.abs(np.diff(thumbnail[5:-5, 5:-5, 0].astype(int), axis=1)).max() <= 512 // side + 2
        )


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_scales_are_refused(noise: Slide, mpp: float) -> None:
    with pytest.raises(ScaleError):
        noise.read(Region(0, 0, 10, 10), mpp)


def test_empty_boxes_and_missing_levels_are_refused(noise: Slide) -> None:
    for call in (
        lambda: noise.read(Region(0, 0, 0, 10), 0.5),
        lambda: noise.window(Region(0, 0, 10, 0), 0.5),
        lambda: noise.read_level(0, 0, 0, 0, 5),
        lambda: noise.read_level(3, 0, 0, 5, 5),
        lambda: noise.read_level(-1, 0, 0, 5, 5),
    ):
        with pytest.raises(RegionError):
            call()


def test_enlarging_is_told_once(noise: Slide, caplog: pytest.LogCaptureFixture) -> None:
    fresh = noise.with_mpp(MPP)
    with caplog.at_level(logging.WARNING):
        fresh.read(Region(0, 0, 50, 50), 0.45)
        assert not caplog.records
        fresh.read(Region(0, 0, 50, 50), 0.25)
        fresh.read(Region(0, 0, 50, 50), 0.25)
    assert len(caplog.records) == 1
    assert "enlarges" in caplog.text


def test_threads_read_what_one_thread_reads(tmp_path: Path) -> None:
    image = noise_image(900, 700, seed=2)
    rng = np.random.default_rng(0)
    regions = [
        Region(int(x), int(y), int(w), int(h))
        for x, y, w, h in zip(
            rng.integers(-50, 800, 120),
            rng.integers(-50, 600, 120),
            rng.integers(1, 300, 120),
            rng.integers(1, 300, 120),
            strict=True,
        )
    ]
    for path in (
        write_pyramid_tiff(tmp_path / "a.tif", image, MPP, tile=128),
        write_pyramid_tiff(tmp_path / "b.tif", image, MPP, tile=64, compression="jpeg"),
    ):
        with open_slide(path) as serial, open_slide(path) as shared:
            expected = [serial.read(region, 1.1) for region in regions]
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda region: shared.read(region, 1.1), regions))
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.ome.tif", "a"), ("b.svs", "b"), ("c.d.tiff", "c.d"), ("E.OME.TIFF", "E")],
)
def test_name(tmp_path: Path, file: str, name: str) -> None:
    with open_slide(write_pyramid_tiff(tmp_path / file, COORDINATES[:100, :100])) as opened:
        assert opened.name == name
        assert file in repr(opened)


def test_unknown_associated_image_is_told(noise: Slide) -> None:
    with pytest.raises(SlideError, match="no image 'label'"):
        noise.associated_image("label")


def test_bounds_default_to_the_whole_slide(noise: Slide) -> None:
    assert noise.bounds == Region(0, 0, WIDTH, HEIGHT)


def test_with_mpp_moves_the_scale_only(noise: Slide) -> None:
    finer = noise.with_mpp(0.25)
    assert finer.levels == noise.levels
    region = Region(100, 100, 100, 100)
    assert (finer.read(region, 0.5) == noise.read(region, 1.0)).all()
