"""Maps as OME-TIFF: tifffile and libvips read the same values, where OME says they lie."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder
from napari_smse.results.exchange.map_stack import MapStack, map_stacks
from napari_smse.results.exchange.ome_tiff import export, write_map
from support.result_folders import write_results

ODD = ("tumour/grade 3: <é>", 'no "tumour"', "рак & others")
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    return write_results(tmp_path_factory.mktemp("run") / "one", classes=ODD)


def described(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        return ElementTree.fromstring(tiff.ome_metadata or "")


def test_values_are_read_back(run: ResultFolder, tmp_path: Path) -> None:
    paths = export(run, tmp_path)
    assert [path.name for path in paths] == [f"one_{s}.ome.tif" for s in ("20x", "10x", "mean")]
    for path, stack in zip(paths, map_stacks(run), strict=True):
        with tifffile.TiffFile(path) as tiff:
            (series,) = tiff.series
            assert series.axes == "CYX"
            assert series.keyframe.is_tiled
            np.testing.assert_array_equal(series.asarray(), stack.values)


def test_classes_sizes_and_place_are_stated(run: ResultFolder, tmp_path: Path) -> None:
    for path, stack in zip(export(run, tmp_path), map_stacks(run), strict=True):
        pixels = described(path).find(f"{OME}Image/{OME}Pixels")
        assert pixels is not None
        assert float(pixels.attrib["PhysicalSizeX"]) == pytest.approx(stack.cell_um)
        assert float(pixels.attrib["PhysicalSizeY"]) == pytest.approx(stack.cell_um)
        assert pixels.attrib["PhysicalSizeXUnit"] == "µm"
        assert [one.attrib["Name"] for one in pixels.iter(f"{OME}Channel")] == list(ODD)
        colours = [int(one.attrib["Color"]) for one in pixels.iter(f"{OME}Channel")]
        assert [(c % 2**32).to_bytes(4, "big") for c in colours] == [
            bytes((*rgb, 255)) for rgb in stack.rgb
        ]
        planes = list(pixels.iter(f"{OME}Plane"))
        assert len(planes) == 3
        for plane in planes:
            at = float(plane.attrib["PositionY"]), float(plane.attrib["PositionX"])
            assert at == stack.corner_um


def test_coarser_levels_are_in_sub_ifds(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2, 300, 1000), dtype=np.float32)
    values[:, :40] = np.nan
    stack = MapStack("20x", ("a", "b"), values, 40, 8, 6, 0.25)
    write_map(tmp_path / "map.ome.tif", stack)
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as tiff:
        (series,) = tiff.series
        for level, expected in zip(series.levels, stack.pyramid(), strict=True):
            np.testing.assert_array_equal(level.asarray(), expected.values)
            unit, count = level.keyframe.tags["XResolution"].value
            assert unit / count == pytest.approx(1e4 / expected.cell_um, rel=1e-6)


def test_another_reader_sees_the_same(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    values = np.random.default_rng(0).random((2, 300, 600), dtype=np.float32)
    stack = MapStack("20x", ("a", "b"), values, 0, 0, 100, 0.25)
    write_map(tmp_path / "map.ome.tif", stack)
    for page in (0, 1):
        image = pyvips.Image.new_from_file(str(tmp_path / "map.ome.tif"), page=page)
        np.testing.assert_array_equal(image.numpy(), values[page])
        assert image.xres == pytest.approx(1000 / stack.cell_um)  # px/mm
    first = pyvips.Image.new_from_file(str(tmp_path / "map.ome.tif"), page=1, subifd=0)
    np.testing.assert_array_equal(first.numpy(), stack.pyramid()[1].values[1])


@pytest.mark.parametrize("slide_mpp", [0.02, 10.0])
def test_slides_of_extreme_scales_are_written(tmp_path: Path, slide_mpp: float) -> None:
    run = write_results(tmp_path / "run", slide_mpp=slide_mpp, mpps=(max(slide_mpp, 0.05),))
    path = export(run, tmp_path)[0]
    pixels = described(path).find(f"{OME}Image/{OME}Pixels")
    assert pixels is not None
    assert float(pixels.attrib["PhysicalSizeX"]) == pytest.approx(50 * max(slide_mpp, 0.05))


def test_a_slide_without_tiles_has_empty_maps(tmp_path: Path) -> None:
    for path in export(write_results(tmp_path / "run", tissue=0), tmp_path):
        assert np.isnan(tifffile.imread(path)).all()


def test_what_lies_there_is_replaced_only_if_asked(run: ResultFolder, tmp_path: Path) -> None:
    (tmp_path / "one_mean.ome.tif").write_text("kept")
    with pytest.raises(OutputError, match="lies there already"):
        export(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one_mean.ome.tif"]
    export(run, tmp_path, overwrite=True)
    assert tifffile.imread(tmp_path / "one_mean.ome.tif").shape[0] == 3


def test_nothing_half_written_is_left(
    run: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", fails)
    with pytest.raises(OutputError, match="the disk is full"):
        export(run, tmp_path)
    assert not list(tmp_path.iterdir())
