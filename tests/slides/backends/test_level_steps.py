"""Levels padded to whole tiles lie where their pixels' sizes put them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.slides import Level, Region, open_slide
from napari_smse.slides.backends.level_steps import placed_levels
from support.slides import Image, noise_image, pyramid, write_pyramid_tiff

IMAGE = noise_image(1300, 1100, seed=3)
_MPP = 0.5


def padded(image: Image, tile: int) -> Image:
    rows, columns = (-side % tile for side in image.shape[:2])
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), constant_values=7)


def write_padded(path: Path, tiles: list[int], base: int, *, subifds: bool) -> Path:
    """Write levels padded to whole tiles, level 0 to those of side `base` (1: not at all)."""
    sides = [base, *tiles[1:]]
    stored = [
        padded(level, side) for level, side in zip(pyramid(IMAGE, len(tiles)), sides, strict=True)
    ]
    with tifffile.TiffWriter(path, ome=subifds) as tiff:
        for index, (level, tile) in enumerate(zip(stored, tiles, strict=True)):
            rest = len(stored) - 1 if subifds and not index else None
            tiff.write(
                level,
                photometric="rgb",
                tile=(tile, tile),
                compression="zlib",
                resolution=(1e4 / _MPP / 2**index,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=1 if index else 0,
                subifds=rest,
                metadata={"axes": "YXS"} if rest else None,
            )
    return path


@pytest.mark.parametrize("base", [1, 512])
@pytest.mark.parametrize("tiles", [[512] * 4, [512, 256, 512, 256]])
@pytest.mark.parametrize(("subifds", "backend"), [(False, "openslide"), (True, "tifffile")])
def test_padded_levels_show_the_place_they_name(
    tmp_path: Path, tiles: list[int], base: int, subifds: bool, backend: str
) -> None:
    path = write_padded(tmp_path / "slide.ome.tif", tiles, base, subifds=subifds)
    full = padded(IMAGE, base).shape
    with open_slide(path) as slide:
        assert slide.backend_name == backend
        assert (slide.width, slide.height) == (full[1], full[0])
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8]
        for step, level, true in zip((1, 2, 4, 8), slide.levels, pyramid(IMAGE, 4), strict=True):
            assert level.width <= -(-full[1] // step) + 1
            assert level.height <= -(-full[0] // step) + 1
            region = Region(40 * step, 24 * step, 96 * step, 80 * step)
            found = slide.read(region, _MPP * step)
            assert np.abs(found.astype(int) - true[24:104, 40:136]).max() <= 1
            # At the far edge of the slide an error of the step would show most.
            rows, columns = true.shape[0] - 32, true.shape[1] - 32
            region = Region(columns * step, rows * step, 32 * step, 32 * step)
            found = slide.read(region, _MPP * step)
            assert np.abs(found.astype(int) - true[rows:, columns:]).max() <= 1


def test_what_lies_beyond_level_0_is_background_at_every_scale(tmp_path: Path) -> None:
    path = write_padded(tmp_path / "slide.tif", [512] * 4, 1, subifds=False)
    with open_slide(path) as slide:
        for step in (2, 4, 8):
            beyond = Region(slide.width + 2 * step, 0, 16 * step, 16 * step)
            assert (slide.read(beyond, _MPP * step) == slide.background).all()


def test_levels_are_no_associated_images(tmp_path: Path) -> None:
    path = write_padded(tmp_path / "slide.tif", [512] * 4, 512, subifds=False)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.series) > 1
    with open_slide(path) as slide:
        assert (len(slide.levels), slide.associated_images) == (4, ())


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.5])
def test_a_resolution_that_cannot_be_is_not_believed(tmp_path: Path, factor: float) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=3)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for index, page in enumerate(tiff.pages):
            for side in "XY":
                value = (round(20000 / factor**index), 1)
                page.tags[f"{side}Resolution"].overwrite(value)
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4]


def level(width: int, height: int, downsample: float = 1.0, tile: int = 512) -> Level:
    return Level(width, height, downsample, tile, tile)


@given(
    st.integers(300, 60_000),
    st.integers(300, 60_000),
    st.sampled_from([128, 240, 256, 512]),
    st.lists(st.sampled_from([2.0, 3.0, 4.0, 2.5]), min_size=1, max_size=4),
    st.booleans(),
)
def test_steps_of_padded_levels_come_back(
    width: int, height: int, tile: int, factors: list[float], base_too: bool
) -> None:
    def side(true: int, step: float, pads: bool) -> int:
        length = max(1, int(true / step))
        return -(-length // tile) * tile if pads else length

    steps = [float(step) for step in np.cumprod([1.0, *factors])]
    levels = [
        level(side(width, s, base_too or i > 0), side(height, s, base_too or i > 0), 1.0, tile)
        for i, s in enumerate(steps)
    ]
    stated = [(a.width, a.height, (0.25 * s, 0.25 * s)) for a, s in zip(levels, steps, strict=True)]
    assert [a.downsample for a in placed_levels(levels, stated)] == pytest.approx(steps)


@pytest.mark.parametrize(
    "spacings",
    [
        [None, (2.0, 2.0), (4.0, 4.0)],
        [(1.0, 1.0), None, (4.0, 4.0)],
        [(1.0, 1.0), (2.0, 2.0), None],
        [(1.0, 1.0), (2.0, 2.5), (4.0, 4.0)],
        [(1.0, 1.0), (2.0, 2.0), (2.0, 2.0)],
        [(1.0, 1.0), (2.0, 2.0), (1.0, 1.0)],
        [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)],
        [(1.0, 1.0), (3.2, 3.2), (4.0, 4.0)],
    ],
)
def test_all_levels_are_believed_or_none(spacings: list[tuple[float, float] | None]) -> None:
    levels = (level(1536, 1536), level(1024, 1024, 1.5), level(512, 512, 3.0))
    stated = [(a.width, a.height, s) for a, s in zip(levels, spacings, strict=True)]
    assert placed_levels(levels, stated) == levels
    believed = [(a.width, a.height, (s, s)) for a, s in zip(levels, (1.0, 2.0, 4.0), strict=True)]
    placement = placed_levels(levels, believed)
    assert [(a.width, a.downsample) for a in placement] == [(1536, 1), (768, 2), (384, 4)]


def test_pages_that_are_no_levels_are_passed_over() -> None:
    levels = (level(1536, 1536), level(1024, 1024, 1.5))
    stated = [(700, 500, (9.0, 9.0)), (1536, 1536, (1.0, 1.0)), (1024, 1024, (2.0, 2.0))]
    assert [a.downsample for a in placed_levels(levels, stated)] == [1, 2]
    two_alike = [*stated, (1024, 1024, (5.0, 5.0))]
    assert placed_levels(levels, two_alike) == levels


def test_rounded_spacings_leave_exact_steps() -> None:
    levels = (level(40_003, 30_001), level(10_000, 7_500, 4.0))
    stated = [(40_003, 30_001, (0.2506, 0.2506)), (10_000, 7_500, (1.00243, 1.00238))]
    assert placed_levels(levels, stated) == levels
