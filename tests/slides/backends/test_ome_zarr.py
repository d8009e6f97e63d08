"""OME-Zarr images are slides like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.errors import DamagedSlideError, MissingScaleError, NotASlideError, SlideError
from napari_smse.reader import get_reader, read_slides
from napari_smse.slides import may_be_slide, open_slide
from napari_smse.slides.backends.ome_zarr import identifying_files
from napari_smse.slides.identity import quick_hash
from napari_smse.workflows.batch.discovery import find_slides
from support.ome_zarr import write_ome_zarr
from support.shell import Shell, section, shell
from support.slides import noise_image, pyramid

__all__ = ["shell"]  # the fixture
IMAGE = noise_image(300, 200)
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


@VERSIONS
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_pixels_levels_and_scale_are_those_written(tmp_path: Path, version: str, axes: str) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE, version, axes=axes)
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.mpp, slide.name) == (300, 200, 0.5, "a")
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        for level, pixels in enumerate(pyramid(IMAGE, 3)):
            height, width = pixels.shape[:2]
            assert np.array_equal(slide.read_level(level, 0, 0, width, height), pixels)
        assert np.array_equal(slide.read_level(0, 50, 60, 90, 70), IMAGE[60:130, 50:140])


@given(st.integers(0, 299), st.integers(0, 199), st.data())
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_box_is_what_lies_there(
    tmp_path_factory: pytest.TempPathFactory, x: int, y: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "boxes.ome.zarr"
    if not path.exists():
        write_ome_zarr(path, IMAGE, chunk=37)
    width = data.draw(st.integers(1, 300 - x))
    height = data.draw(st.integers(1, 200 - y))
    with open_slide(path) as slide:
        box = slide.read_level(0, x, y, width, height)
    assert np.array_equal(box, IMAGE[y : y + height, x : x + width])


def test_shards_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, IMAGE, levels=1, chunk=32, shards=(1, 64, 64))
    with open_slide(path) as slide:
        assert np.array_equal(slide.read_level(0, 0, 0, 300, 200), IMAGE)


@VERSIONS
def test_a_folder_the_viewer_and_a_run_take_it(tmp_path: Path, shell: Shell, version: str) -> None:
    path = write_ome_zarr(tmp_path / "in" / "a.ome.zarr", section(), version)
    assert may_be_slide(path)
    assert get_reader(str(path)) is not None
    ((_, arguments, _),) = read_slides(str(path))
    assert arguments["name"] == "a"
    assert find_slides([str(tmp_path / "in")]) == find_slides([str(path)]) == [path]
    answer = shell("score", tmp_path / "in", "--out", tmp_path / "out", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert (tmp_path / "out" / "a" / "run.json").is_file()
    again = shell("score", path, "--out", tmp_path / "out", "--device", "cpu")
    assert "already scored" in again.out + again.err
    assert find_slides([str(tmp_path)]) == [path]  # scores.zarr is none


def test_moved_it_is_the_same_and_changed_it_is_not(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE)
    shutil.copytree(path, tmp_path / "b.ome.zarr")
    with open_slide(path) as first, open_slide(tmp_path / "b.ome.zarr") as second:
        assert first.quick_hash == second.quick_hash
        first.require_unchanged(content=True)
        write_ome_zarr(path, IMAGE[::-1])
        with pytest.raises(SlideError, match="changed"):
            first.require_unchanged()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"path": "2"', '"path": "../secret"'),
        ('"path": "2"', '"path": "/etc"'),
        ('"path": "2"', '"path": null'),
        ('"path": "2"', '"poth": "2"'),
        ('"datasets"', '"dotosets"'),
    ],
)
def test_what_tells_it_from_others_lies_in_its_folder(tmp_path: Path, old: str, new: str) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("another's")
    change(path, old, new)
    files = identifying_files(path)
    assert files
    assert all(file.resolve().is_relative_to(path.resolve()) for file in files)
    assert quick_hash(path)


def test_without_a_unit_the_scale_is_unknown(tmp_path: Path) -> None:
    with (
        open_slide(write_ome_zarr(tmp_path / "a.zarr", IMAGE, mpp=None)) as slide,
        pytest.raises(MissingScaleError),
    ):
        _ = slide.mpp


def change(path: Path, old: str, new: str, file: str = "zarr.json") -> None:
    text = (path / file).read_text()
    assert old in text
    (path / file).write_text(text.replace(old, new))


def test_other_pixels_are_refused(tmp_path: Path) -> None:
    deep = write_ome_zarr(tmp_path / "deep.zarr", IMAGE.astype(np.uint16), levels=1)
    with pytest.raises(NotASlideError, match="uint16 pixels, not 8-bit RGB"):
        open_slide(deep)
    two = write_ome_zarr(tmp_path / "two.zarr", IMAGE[..., :2], levels=1)
    with pytest.raises(NotASlideError, match="2 channels"):
        open_slide(two)


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ('"path": "0"', '"path": "../../secret"', "zarr.json"),
        ('"path": "0"', r'"path": "..\\..\\secret"', "zarr.json"),
        ('"path": "0"', '"path": "C:secret"', "zarr.json"),
        ('"path": "0"', '"path": 7', "zarr.json"),
        ('"name": "x"', '"name": "q"', "zarr.json"),
        ('"zstd"', '"pickle"', "0/zarr.json"),
        ('"zstd"', '"numcodecs.pickle"', "0/zarr.json"),
        ('"name": "y"', '"nome": "y"', "zarr.json"),
    ],
)
def test_what_is_damaged_or_would_run_code_is_named(
    tmp_path: Path, old: str, new: str, file: str
) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE)
    change(path, old, new, file)
    with pytest.raises(DamagedSlideError, match=r"a.ome.zarr has damaged OME-Zarr metadata"):
        open_slide(path)


def test_a_damaged_chunk_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE)
    chunk = path / "0" / "c" / "0" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with open_slide(path) as slide:
        with pytest.raises(DamagedSlideError, match=r"chunk at \(64, 0\) of level 0"):
            slide.read_level(0, 0, 0, 300, 200)
        assert np.array_equal(slide.read_level(0, 128, 0, 60, 60), IMAGE[:60, 128:188])


def test_a_closed_one_says_so(tmp_path: Path) -> None:
    slide = open_slide(write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE))
    slide.close()
    with pytest.raises(SlideError, match="was closed"):
        slide.read_level(0, 0, 0, 9, 9)


def test_a_pickle_in_format_2_is_not_run(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.ome.zarr", IMAGE, "0.4", levels=1)
    file = path / "0" / ".zarray"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(DamagedSlideError):
        open_slide(path)
    assert zarr.open_group(path, mode="r").attrs["multiscales"]
