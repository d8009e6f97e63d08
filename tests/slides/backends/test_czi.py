"""CZI files are slides, a scene each."""

from __future__ import annotations

import logging
import re
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.errors import (
    DamagedSlideError,
    MissingReaderError,
    NotASlideError,
    NotBrightfieldError,
    SeveralSlidesError,
    SlideError,
)
from napari_smse.reader import get_reader, read_slides
from napari_smse.slides import may_be_slide, open_slide, slides_in_file
from napari_smse.slides.backends import czi as czi_backend
from napari_smse.slides.backends.czi import CziBackend
from napari_smse.slides.scale import ScaleSource
from napari_smse.workflows.batch.discovery import find_slides
from support.czi_slides import Scene, write_czi
from support.shell import Shell, assert_one_error, section, shell
from support.slides import cut, noise_image, pyramid

__all__ = ["shell"]  # the fixture
IMAGE = noise_image(400, 240)
LEVELS = dict(zip((1, 2, 4), pyramid(IMAGE, 3), strict=True))
OTHER = noise_image(130, 170, seed=1)


@pytest.fixture(scope="module")
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes that lie apart, the first with levels and a corner left of the origin."""
    path = tmp_path_factory.mktemp("czi") / "two.czi"
    return write_czi(path, Scene(LEVELS, -50, 30), Scene({1: OTHER}, 1000, 200), mpp=0.25)


@pytest.fixture(scope="module")
def one_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_czi(tmp_path_factory.mktemp("czi") / "one.czi", Scene(LEVELS, 7, -3))


@pytest.mark.parametrize("compression", ["uncompressed:", "zstd1:ExplicitLevel=1"])
def test_pixels_levels_and_scale_are_those_written(tmp_path: Path, compression: str) -> None:
    path = write_czi(tmp_path / "a.czi", Scene(LEVELS, -50, 30), compression=compression)
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.mpp, slide.name) == (400, 240, 0.5, "a")
        assert (slide.scale.source, slide.vendor) == (ScaleSource.VENDOR, "zeiss")
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        for level, pixels in enumerate(LEVELS.values()):
            height, width = pixels.shape[:2]
            assert np.array_equal(slide.read_level(level, 0, 0, width, height), pixels)
        assert np.array_equal(slide.read_level(1, 31, 42, 90, 70), LEVELS[2][42:112, 31:121])


@given(st.integers(0, 2), st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_box_is_what_lies_there(one_scene: Path, level: int, data: st.DataObject) -> None:
    image = LEVELS[2**level]
    x, y = (data.draw(st.integers(0, side - 1)) for side in image.shape[1::-1])
    width = data.draw(st.integers(1, image.shape[1] - x))
    height = data.draw(st.integers(1, image.shape[0] - y))
    with open_slide(one_scene) as slide:
        box = slide.read_level(level, x, y, width, height)
    assert np.array_equal(box, image[y : y + height, x : x + width])


def test_levels_by_three_are_read(tmp_path: Path) -> None:
    image = noise_image(390, 240)
    with open_slide(
        write_czi(tmp_path / "a.czi", Scene({1: image, 3: image[1::3, 1::3]}))
    ) as slide:
        assert [level.downsample for level in slide.levels] == [1, 3]
        assert np.array_equal(slide.read_level(1, 0, 0, 130, 80), image[1::3, 1::3])


def test_sides_that_no_step_divides(tmp_path: Path) -> None:
    image = noise_image(403, 241)
    half = np.ascontiguousarray(image[::2, ::2])
    with open_slide(write_czi(tmp_path / "a.czi", Scene({1: image, 2: half}))) as slide:
        assert [(one.width, one.height) for one in slide.levels] == [(403, 241), (202, 121)]
        assert np.array_equal(slide.read_level(0, 0, 0, 403, 241), image)
        assert np.array_equal(slide.read_level(1, 0, 0, 202, 121), half)


def test_a_level_that_lacks_a_part_is_left_out(tmp_path: Path) -> None:
    scene = Scene({1: IMAGE, 2: LEVELS[2][:, :100], 4: LEVELS[4]})
    with open_slide(write_czi(tmp_path / "a.czi", scene)) as slide:
        assert [level.downsample for level in slide.levels] == [1, 4]


def test_where_nothing_was_scanned_it_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        file.write(np.full((60, 60, 3), 90, np.uint8), location=(0, 0))
        file.write(np.full((60, 60, 3), 90, np.uint8), location=(100, 100))
    with open_slide(path, mpp=0.5) as slide:
        pixels = slide.read_level(0, 0, 0, 160, 160)
    assert (pixels[:60, :60] == 90).all()
    assert (pixels[:60, 60:] == 255).all()
    assert (pixels[100:, 100:] == 90).all()


def test_scenes_are_slides(two_scenes: Path) -> None:
    first, second = slides_in_file(two_scenes)
    assert [first.name, second.name] == ["two.czi#1", "two.czi#2"]
    with open_slide(first) as one, open_slide(second) as other:
        assert np.array_equal(one.read_level(0, 0, 0, 400, 240), IMAGE)
        assert np.array_equal(other.read_level(0, 0, 0, 130, 170), OTHER)
        assert [len(one.levels), len(other.levels)] == [3, 1]
        assert [one.mpp, other.name] == [0.25, "two#2"]
        assert one.quick_hash != other.quick_hash
        with open_slide(first) as again:
            assert again.quick_hash == one.quick_hash
    with pytest.raises(SeveralSlidesError, match=r"holds 2 slides.*130 x 170 px.*two\.czi#1"):
        open_slide(two_scenes)
    with pytest.raises(NotASlideError, match="no slide 3"):
        open_slide(two_scenes.with_name("two.czi#3"))
    assert find_slides([str(two_scenes.parent)]) == [first, second]
    assert len(read_slides(str(two_scenes))) == 2


def test_one_scene_may_be_called_the_first(one_scene: Path) -> None:
    assert slides_in_file(one_scene) == [one_scene]
    assert may_be_slide(one_scene)
    assert get_reader(str(one_scene)) is not None
    with open_slide(one_scene.with_name("one.czi#1")) as slide:
        assert np.array_equal(slide.read_level(0, 0, 0, 400, 240), IMAGE)


def test_the_first_focal_plane_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_czi(tmp_path / "a.czi", Scene(LEVELS), planes=3)
    with caplog.at_level(logging.WARNING), open_slide(path) as slide:
        assert np.array_equal(slide.read_level(1, 0, 0, 200, 120), LEVELS[2])
    assert "3 focal planes; the first is read" in caplog.text


def test_threads_get_what_one_gets(one_scene: Path) -> None:
    boxes = [(x, y) for x in range(0, 360, 20) for y in range(0, 200, 20)]
    with open_slide(one_scene) as slide, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda box: slide.read_level(0, *box, 40, 40), boxes))
    for (x, y), pixels in zip(boxes, found, strict=True):
        assert np.array_equal(pixels, IMAGE[y : y + 40, x : x + 40])


def test_a_closed_one_is_not_read(one_scene: Path) -> None:
    backend = CziBackend(one_scene)
    with backend._readers.borrowed():
        backend.close()
    assert backend._readers._free == []
    with pytest.raises(SlideError, match="was closed"):
        backend.read_level(0, 0, 0, 5, 5)
    with pytest.raises(SlideError, match="no image 'label'"):
        backend.associated_image("label")


XML = """<ImageDocument><Metadata><Information>
<Image><ObjectiveSettings><ObjectiveRef Id="Objective:2"/></ObjectiveSettings></Image>
<Instrument><Objectives>
<Objective Id="Objective:1"><NominalMagnification>5</NominalMagnification></Objective>
<Objective Id="Objective:2"><NominalMagnification>20</NominalMagnification></Objective>
</Objectives></Instrument></Information>
<Scaling><Items><Distance Id="X"><Value>2.2E-07</Value></Distance>
<Distance Id="Y"><Value>2.2E-07</Value></Distance></Items></Scaling>
</Metadata></ImageDocument>"""


def test_objective_is_the_one_that_was_used() -> None:
    stated = czi_backend._stated_scale(XML, "a.czi")
    assert stated.vendor == pytest.approx(0.22)
    assert stated.objective_power == 20
    assert czi_backend._stated_scale(XML.replace("ObjectiveRef", "No"), "").objective_power is None
    assert czi_backend._stated_scale("<broken", "a.czi").vendor is None


def test_without_a_scale_none_is_stated(tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "a.czi", Scene({1: IMAGE}), mpp=None)) as slide:
        assert slide.scale.mpp is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_is_fluorescence(tmp_path: Path, dtype: type) -> None:
    grey = Scene({1: IMAGE[..., :1].astype(dtype)})
    with pytest.raises(NotBrightfieldError, match=r"not a brightfield slide .*Gray"):
        open_slide(write_czi(tmp_path / "a.czi", grey))


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    scene = Scene({1: IMAGE.astype(np.uint16)})
    with pytest.raises(NotASlideError, match="Bgr48 pixels, not 8-bit RGB"):
        open_slide(write_czi(tmp_path / "a.czi", scene))


@pytest.mark.parametrize("keep", [10, 600, 20_000])
def test_cut_files_are_damaged(one_scene: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.czi"
    path.write_bytes(one_scene.read_bytes())
    with pytest.raises(DamagedSlideError, match=r"a\.czi .*copy it again"):
        open_slide(cut(path, keep))
    assert slides_in_file(path) == [path]


@pytest.mark.parametrize("dimensions", [-1, 41, 2**31 - 1])
def test_what_makes_the_library_crash_is_damaged(
    one_scene: Path, tmp_path: Path, dimensions: int
) -> None:
    data = bytearray(one_scene.read_bytes())
    second = data.find(b"DV", data.find(b"DV", data.find(b"ZISRAWDIRECTORY")) + 2)
    struct.pack_into("<i", data, second + 28, dimensions)
    path = tmp_path / "a.czi"
    path.write_bytes(data)
    with pytest.raises(DamagedSlideError, match=r"states -?[0-9]+ dimensions.; copy it again"):
        open_slide(path)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(
    ("at", "kind", "stated"), [(76, "<i", -16), (76, "<i", 2**31 - 1), (40, "<q", 2**50)]
)
def test_a_tile_whose_head_makes_the_library_crash_is_damaged(
    one_scene: Path, tmp_path: Path, level: int, at: int, kind: str, stated: int
) -> None:
    data = bytearray(one_scene.read_bytes())
    heads = [found.start() for found in re.finditer(b"ZISRAWSUBBLOCK", data)]
    struct.pack_into(kind, data, heads[-1 if level else 0] + at, stated)
    path = tmp_path / "a.czi"
    path.write_bytes(data)
    with open_slide(path) as slide:
        whole = (0, 0, slide.levels[level].width, slide.levels[level].height)
        for _ in range(2):
            with pytest.raises(DamagedSlideError, match=rf"states {stated} .*copy it again"):
                slide.read_level(level, *whole)
        other = slide.levels[1]
        slide.read_level(1, 0, 0, other.width, other.height)  # which is not damaged


def test_a_tile_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", Scene({1: IMAGE}), compression="zstd1:ExplicitLevel=1")
    data = bytearray(path.read_bytes())
    magic = data.find(b"\x28\xb5\x2f\xfd")
    data[magic : magic + 40] = bytes(40)
    path.write_bytes(data)
    with (
        open_slide(path, mpp=0.5) as slide,
        pytest.raises(DamagedSlideError, match="cannot be read at"),
    ):
        slide.read_level(0, 0, 0, 400, 240)


def test_what_is_missing_is_named(
    one_scene: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.setitem(sys.modules, "pylibCZIrw.czi", None)
    with pytest.raises(MissingReaderError, match=r'run pip install "napari-smse\[czi\]"'):
        open_slide(one_scene)
    assert slides_in_file(one_scene) == [one_scene]
    assert_one_error(shell("info", one_scene), "one.czi", "napari-smse[czi]")


def test_scenes_are_listed_and_scored(tmp_path: Path, shell: Shell) -> None:
    scenes = [Scene({1: section()}), Scene({1: section()[::-1]}, 2000, 0)]
    path = write_czi(tmp_path / "in" / "a.czi", *scenes)
    listed = shell("info", path)
    assert listed.status == 0, listed.err
    assert "a#1" in listed.out
    assert "a#2" in listed.out
    answer = shell("score", tmp_path / "in", "--out", tmp_path / "out", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert sorted(one.name for one in (tmp_path / "out").glob("a#*")) == ["a#1", "a#2"]
    assert (tmp_path / "out" / "a#1" / "run.json").is_file()
