from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.errors import DamagedSlideError
from napari_smse.slides import LevelArray, Slide, open_slide, pyramid_arrays
from support.slides import halved, noise_image, write_pyramid_tiff

IMAGE = noise_image(701, 530, seed=3)


@pytest.fixture(scope="module")
def one_level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    with open_slide(write_pyramid_tiff(path, IMAGE, levels=1, tile=128)) as slide:
        yield slide


@pytest.fixture(scope="module")
def levels(one_level: Slide) -> list[LevelArray]:
    return pyramid_arrays(one_level, coarsest_side=100)


def test_levels_are_added_down_to_the_coarsest_side(levels: list[LevelArray]) -> None:
    assert [level.shape for level in levels] == [
        (530, 701, 3),
        (265, 351, 3),
        (133, 176, 3),
        (67, 88, 3),
    ]
    assert [level.downsample for level in levels] == [1, 2, 4, 8]


def test_array_surface(levels: list[LevelArray]) -> None:
    level = levels[0]
    assert (level.ndim, level.dtype, len(level)) == (3, np.uint8, 530)
    assert level.size == level.nbytes == 530 * 701 * 3
    assert level.chunks == (128, 128, 3)
    assert (np.asarray(level) == IMAGE).all()
    assert np.asarray(level, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(level, copy=False)


def test_added_levels_are_means(levels: list[LevelArray]) -> None:
    expected = halved(IMAGE)
    found = np.asarray(levels[1])[:265, :350]
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (np.asarray(levels[1])[:, 350] == _edge_mean()).all()


def _edge_mean() -> np.ndarray:
    column = IMAGE[:, 700].astype(int)
    return (column[0::2] * 2 + column[1::2] * 2 + 2) // 4


def _index(length: int) -> st.SearchStrategy[Any]:
    side = st.integers(-length - 5, length + 5) | st.none()
    step = st.sampled_from([None, 1, 2, 3, 7, -1, -4])
    return st.integers(-length, length - 1) | st.builds(slice, side, side, step)


@given(rows=_index(530), columns=_index(701), colours=_index(3))
@settings(deadline=None, max_examples=200)
def test_indexing_is_numpys(
    levels: list[LevelArray], rows: Any, columns: Any, colours: Any
) -> None:
    found = levels[0][rows, columns, colours]
    assert found.shape == IMAGE[rows, columns, colours].shape
    assert (found == IMAGE[rows, columns, colours]).all()


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...],
        np.s_[5],
        np.s_[..., 0],
        np.s_[3:9, ...],
        np.s_[2:4],
        np.s_[..., 5, 1],
        np.s_[np.int64(4), np.uint8(7)],
        np.s_[0:0],
    ],
)
def test_short_keys(levels: list[LevelArray], key: Any) -> None:
    assert levels[0][key].shape == IMAGE[key].shape
    assert (levels[0][key] == IMAGE[key]).all()


@pytest.mark.parametrize("key", [530, (0, 701), (0, 0, 3), -531, (0, 0, 0, 0), None, [1, 2]])
def test_wrong_keys(levels: list[LevelArray], key: Any) -> None:
    with pytest.raises(IndexError):
        levels[0][key]


def test_cache_is_bounded_and_shared(one_level: Slide) -> None:
    limit = 300_000
    arrays = pyramid_arrays(one_level, coarsest_side=100, cache_bytes=limit)
    for array in arrays:
        np.asarray(array)
    assert len({id(array._cache) for array in arrays}) == 1
    assert 0 < arrays[0]._cache.nbytes <= limit
    assert (np.asarray(arrays[0]) == IMAGE).all()


def test_what_was_read_is_not_read_again(one_level: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    array = pyramid_arrays(one_level)[0]
    first = array[100:300, 100:300]
    monkeypatch.setattr(array, "_read", None)
    assert (array[100:300, 100:300] == first).all()


def test_what_is_handed_out_may_be_written_to(levels: list[LevelArray]) -> None:
    levels[0][0:50, 0:50][:] = 7
    assert (levels[0][0:50, 0:50] == IMAGE[0:50, 0:50]).all()


def test_strips_become_squares(tmp_path: Path) -> None:
    image = noise_image(2000, 1500)
    tifffile.imwrite(
        tmp_path / "strips.tif", image, photometric="rgb", compression="zlib", rowsperstrip=4
    )
    with open_slide(tmp_path / "strips.tif") as slide:
        arrays = pyramid_arrays(slide)
        assert [array.chunks for array in arrays] == [(512, 512, 3), (512, 512, 3)]
        assert (arrays[0][1100:1300, 400:1400] == image[1100:1300, 400:1400]).all()


def test_stored_levels_stay(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", noise_image(1400, 1200), levels=3)
    with open_slide(path) as slide:
        assert [a.downsample for a in pyramid_arrays(slide)] == [1, 2, 4]
        assert [a.downsample for a in pyramid_arrays(slide, coarsest_side=200)] == [1, 2, 4, 8]


def test_threads_read_what_one_thread_reads(one_level: Slide) -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 400, (80, 2))
    arrays = pyramid_arrays(one_level, coarsest_side=100, cache_bytes=200_000)
    half = np.asarray(arrays[1])

    def same(place: np.ndarray) -> bool:
        y, x = int(place[0]), int(place[1])
        full = (arrays[0][y : y + 200, x : x + 200] == IMAGE[y : y + 200, x : x + 200]).all()
        part = np.s_[y // 2 : y // 2 + 99, x // 2 : x // 2 + 99]
        return bool(full and (arrays[1][part] == half[part]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, places))


def test_damage_is_told_from_the_readers(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[1]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    with open_slide(path) as slide, pytest.raises(DamagedSlideError):
        np.asarray(pyramid_arrays(slide)[0])
