"""Maps that were exported come back as they were, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import OutputError, SlideError
from napari_smse.results.exchange import ome_tiff, ome_zarr
from napari_smse.results.exchange.map_files import read_map
from napari_smse.results.exchange.map_stack import MapStack
from napari_smse.slides import may_be_slide, open_slide
from napari_smse.slides.exported_maps import is_exported_map

CLASSES = ("tumour/grade 3: <é>", "рак & others", "c")
COLOURS = ((200, 0, 7), (0, 0, 0), (1, 255, 3))


def stack(x: float = 7, y: float = 9, cell: float = 4, slide_mpp: float = 0.25) -> MapStack:
    values = np.random.default_rng(0).random((3, 20, 30), dtype=np.float32)
    values[:, :5] = np.nan
    return MapStack("20x", CLASSES, values, x, y, cell, slide_mpp, COLOURS, "the slide's hash")


def as_zarr(path: Path, maps: MapStack) -> Path:
    ome_zarr.write_map(path / "map.ome.zarr", maps, overwrite=True)
    return path / "map.ome.zarr"


def as_zarr_0_5(path: Path, maps: MapStack) -> Path:
    ome_zarr.write_map(path / "map.ome.zarr", maps, version="0.5", overwrite=True)
    return path / "map.ome.zarr"


def as_tiff(path: Path, maps: MapStack) -> Path:
    ome_tiff.write_map(path / "map.ome.tif", maps)
    return path / "map.ome.tif"


every_format = pytest.mark.parametrize("writes", [as_zarr, as_zarr_0_5, as_tiff])


@every_format
def test_maps_come_back_as_they_were(
    tmp_path: Path, writes: Callable[[Path, MapStack], Path]
) -> None:
    path = writes(tmp_path, stack())
    assert is_exported_map(path)
    read = read_map(path)
    np.testing.assert_array_equal(read.values, stack().values)
    assert (read.name, read.classes, read.rgb) == ("20x", CLASSES, COLOURS)
    assert (read.x, read.y, read.cell, read.slide_mpp) == (7, 9, 4, 0.25)
    assert read.slide == "the slide's hash"
    assert read_map(writes(tmp_path, replace(stack(), slide=None))).slide is None


@given(st.floats(0, 2e5), st.floats(0, 2e5), st.floats(1, 5000), st.floats(0.02, 10))
def test_any_place_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    x: float,
    y: float,
    cell: float,
    slide_mpp: float,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "maps"
    folder.mkdir(exist_ok=True)
    made = stack(x, y, cell, slide_mpp)
    read = read_map(as_tiff(folder, made))
    assert read.origin_um == pytest.approx(made.origin_um, rel=1e-9, abs=1e-6)
    assert read.cell_um == pytest.approx(made.cell_um, rel=1e-9)


def test_bytes_come_back_as_near_as_they_are(tmp_path: Path) -> None:
    ome_zarr.write_map(tmp_path / "map.ome.zarr", stack(), as_bytes=True)
    read = read_map(tmp_path / "map.ome.zarr")
    np.testing.assert_allclose(read.values, np.nan_to_num(stack().values), atol=0.5 / 255)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_map_is_never_taken_for_a_slide(tmp_path: Path, as_bytes: bool) -> None:
    ome_zarr.write_map(tmp_path / "map.ome.zarr", stack(), as_bytes=as_bytes)
    assert not may_be_slide(tmp_path / "map.ome.zarr")
    with pytest.raises(SlideError):
        open_slide(tmp_path / "map.ome.zarr")


def test_other_files_are_no_maps(tmp_path: Path) -> None:
    other = tmp_path / "other.ome.tif"
    tifffile.imwrite(other, np.zeros((2, 9, 9), np.float32), ome=True, metadata={"axes": "CYX"})
    (tmp_path / "text.ome.tif").write_text("no picture")
    (tmp_path / "empty.ome.zarr").mkdir()
    for path in (*tmp_path.iterdir(), tmp_path / "gone.ome.tif"):
        assert not is_exported_map(path)
        with pytest.raises(OutputError, match="cannot be read as a heat map"):
            read_map(path)


def test_a_damaged_map_is_named(tmp_path: Path) -> None:
    path = as_zarr(tmp_path, stack())
    file = path / ".zattrs"
    content = json.loads(file.read_text())
    del content["multiscales"][0]["metadata"]["napari-smse"]["cell_px"]
    file.write_text(json.dumps(content))
    with pytest.raises(OutputError, match=r"map\.ome\.zarr cannot be read as a heat map"):
        read_map(path)


def test_a_map_with_an_unknown_codec_is_not_read(tmp_path: Path) -> None:
    path = as_zarr_0_5(tmp_path, stack())
    file = path / "s0" / "zarr.json"
    content = json.loads(file.read_text())
    content["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
    file.write_text(json.dumps(content))
    with pytest.raises(OutputError, match="cannot be read as a heat map"):
        read_map(path)
