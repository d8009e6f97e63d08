"""Maps as Deep Zoom: the tiles are the picture, and the picture lies on the slide."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_smse.errors import OutputError
from napari_smse.results.exchange.dzi import DeepZoom, export
from napari_smse.results.exchange.map_stack import MapStack, map_stacks
from napari_smse.slides import Region
from support.result_folders import write_results

NAMESPACE = "{http://schemas.microsoft.com/deepzoom/2008}"


def size_of(path: Path) -> tuple[int, int, int]:
    """Width and height of the picture, and edge of a tile, as the XML says."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{NAMESPACE}Image"
    assert (root.attrib["Format"], root.attrib["Overlap"]) == ("png", "0")
    size = root.find(f"{NAMESPACE}Size")
    assert size is not None
    return int(size.attrib["Width"]), int(size.attrib["Height"]), int(root.attrib["TileSize"])


def reassembled(path: Path, level: int | None = None) -> NDArray[np.uint8]:
    """The picture, as a viewer puts it together: by what the XML says alone."""
    width, height, tile = size_of(path)
    last = int(np.ceil(np.log2(max(width, height))))
    level = last if level is None else level
    width, height = (int(np.ceil(side / 2 ** (last - level))) for side in (width, height))
    whole = np.zeros((height, width, 4), np.uint8)
    seen = set()
    for row in range(-(-height // tile)):
        for column in range(-(-width // tile)):
            file = path.with_name(f"{path.stem}_files") / str(level) / f"{column}_{row}.png"
            seen.add(file)
            place = np.s_[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            pixels = np.asarray(Image.open(file))
            assert pixels.shape == whole[place].shape
            whole[place] = pixels
    assert seen == set(file.parent.iterdir())
    return whole


def test_the_tiles_are_the_map_in_colour(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", area=Region(96, 32, 9000, 4000))
    paths = export(run, tmp_path)
    assert [path.name for path in paths] == [
        f"one_{scale}_malignant.dzi" for scale in ("20x", "10x", "mean")
    ]
    stack = map_stacks(run)[0]
    picture = reassembled(paths[0])
    pixel = 8  # cells of 100 px have 12 of them
    assert picture.shape[:2] == (4032 / pixel, 9096 / pixel)
    x, y = np.meshgrid(*((np.arange(side) + 0.5) * pixel for side in picture.shape[1::-1]))
    values = stack.heat_map(1).at(x, y)
    drawn = DeepZoom.from_stack(stack, "malignant", (9096, 4032)).ramp
    expected = drawn[np.rint(np.nan_to_num(values) * 255).astype(int)]
    expected[np.isnan(values)] = 0
    np.testing.assert_array_equal(picture, np.rint(expected * 255).astype(np.uint8))
    assert (picture[np.isnan(values), 3] == 0).all()
    assert (picture[values > 0.99][:, 0] > picture[values > 0.99][:, 2]).all()  # orange, not blue


def test_every_level_is_there_down_to_one_pixel(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", area=Region(0, 0, 3000, 2000))
    path = export(run, tmp_path)[0]
    levels = sorted(int(one.name) for one in path.with_name(f"{path.stem}_files").iterdir())
    assert levels == list(range(len(levels)))
    shapes = [reassembled(path, level).shape[:2] for level in levels]
    assert shapes[0] == (1, 1)
    for smaller, larger in itertools.pairwise(shapes):
        assert smaller == tuple(-(-side // 2) for side in larger)


def test_coarse_levels_are_of_means() -> None:
    values = np.tile(np.array([0, 1], np.float32), (1, 512, 256))
    stack = MapStack("20x", ("a", "b"), np.concatenate([values, 1 - values]), 0, 0, 8, 0.25)
    picture = DeepZoom.from_stack(stack, "a", (4096, 4096))
    assert picture.pixel == 1
    tiles = dict(picture._tiles(picture.level_count - 5))  # pixels of 16 px are two cells wide
    assert len(np.unique(tiles[0, 0].reshape(-1, 4), axis=0)) == 1


def test_of_more_than_two_classes_each_has_a_picture(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", classes=("a/b", "c: <é>", "рак"), mpps=(1.0,))
    paths = export(run, tmp_path)
    assert [path.name for path in paths] == [
        f"one_10x_{name}.dzi" for name in ("a%2Fb", "c%3A %3Cé%3E", "рак")
    ]
    assert all(reassembled(path).any() for path in paths)


@pytest.mark.parametrize("slide_mpp", [0.02, 10.0])
def test_slides_of_extreme_scales_are_drawn(tmp_path: Path, slide_mpp: float) -> None:
    run = write_results(tmp_path / "run", slide_mpp=slide_mpp, mpps=(max(slide_mpp, 0.05),))
    assert reassembled(export(run, tmp_path)[0]).any()


def test_a_slide_without_tiles_is_transparent(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", tissue=0)
    assert not reassembled(export(run, tmp_path)[0]).any()


def test_what_lies_there_is_replaced_only_if_asked(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", mpps=(1.0,))
    out = tmp_path / "out"
    (out / "one_10x_malignant_files").mkdir(parents=True)
    (out / "one_10x_malignant_files" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="lies there already"):
        export(run, out)
    assert (out / "one_10x_malignant_files" / "mine.txt").read_text() == "kept"
    reassembled(export(run, out, overwrite=True)[0])
    assert not (out / "one_10x_malignant_files" / "mine.txt").exists()
    assert sorted(one.name for one in out.iterdir()) == [
        "one_10x_malignant.dzi",
        "one_10x_malignant_files",
    ]
