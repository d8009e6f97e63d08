"""Maps as OME-Zarr: read back by the library that others read them by, value for value."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Node, Reader

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder
from napari_smse.results.exchange.map_stack import MapStack, call_maps, map_stacks
from napari_smse.results.exchange.ome_zarr import export, export_0_5, write_map
from napari_smse.scoring.calls import CallRule
from support.result_folders import write_results

ODD = ("tumour/grade 3: <é>", 'no "tumour"', "рак & others")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    return write_results(tmp_path_factory.mktemp("run") / "one", classes=ODD)


def nodes_of(path: Path) -> list[Node]:
    """The image, and then what lies in it, as ome-zarr reads them."""
    location = parse_url(path, mode="r")
    assert location is not None
    return list(Reader(location)())


def placed(node: Node) -> list[tuple[Any, Any]]:
    return [
        (level[0]["scale"], level[1]["translation"])
        for level in node.metadata["coordinateTransformations"]
    ]


@pytest.mark.parametrize("writes", [export, export_0_5], ids=["0.4", "0.5"])
def test_values_places_and_channels_are_read_back(
    run: ResultFolder, tmp_path: Path, writes: Any
) -> None:
    paths = writes(run, tmp_path)
    assert [path.name for path in paths] == [
        f"one_{scale}{kind}.ome.zarr" for scale in ("20x", "10x", "mean") for kind in ("", "_uint8")
    ]
    for path, stack in zip(paths[::2], map_stacks(run), strict=True):
        image = nodes_of(path)[0]
        np.testing.assert_array_equal(image.data[0].compute(), stack.values)
        assert image.data[0].dtype == np.float32
        assert [axis["name"] for axis in image.metadata["axes"]] == ["c", "y", "x"]
        assert {axis.get("unit") for axis in image.metadata["axes"][1:]} == {"micrometer"}
        assert placed(image) == [([1, stack.cell_um, stack.cell_um], [0, *stack.origin_um])]
        assert image.metadata["channel_names"] == list(ODD)
        assert image.metadata["contrast_limits"] == [[0, 1]] * 3
        bytes_image = nodes_of(path.with_name(f"one_{stack.file_name}_uint8.ome.zarr"))[0]
        np.testing.assert_array_equal(bytes_image.data[0].compute(), stack.as_bytes())
        assert bytes_image.metadata["contrast_limits"] == [[0, 255]] * 3


def test_each_version_is_stated_where_it_belongs(run: ResultFolder, tmp_path: Path) -> None:
    for writes, version, zarr_format in ((export, "0.4", 2), (export_0_5, "0.5", 3)):
        path = writes(run, tmp_path / version)[0]
        group = zarr.open_group(path, mode="r")
        assert group.metadata.zarr_format == zarr_format
        attributes = dict(group.attrs)
        stated = attributes["multiscales"][0] if version == "0.4" else attributes["ome"]
        assert stated["version"] == version
        if version == "0.5" and "labels" in group:
            assert group["labels"].attrs["ome"] == {"labels": ["calls"], "version": "0.5"}


def test_calls_are_labels_with_names_and_colours(run: ResultFolder, tmp_path: Path) -> None:
    paths = export(run, tmp_path)
    rule = CallRule(ODD)
    for path, calls in zip(paths[:4:2], call_maps(run), strict=True):
        image, labels_group, labels = nodes_of(path)
        assert labels_group.zarr.root_attrs["labels"] == ["calls"]
        np.testing.assert_array_equal(labels.data[0].compute(), calls.numbers)
        assert [scale[1:] for scale, _ in placed(image)] == [scale for scale, _ in placed(labels)]
        assert [at[1:] for _, at in placed(image)] == [at for _, at in placed(labels)]
        about = labels.zarr.root_attrs["image-label"]
        names = {one["label-value"]: one["class"] for one in about["properties"]}
        assert names == dict(enumerate(rule.names, start=1))
        colours = [tuple(one["rgba"]) for one in about["colors"]]
        assert colours == [(*colour, 255) for colour in rule.colours().values()]
        assert about["source"] == {"image": "../../"}


def test_coarser_levels_lie_over_the_finest(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2, 300, 1000), dtype=np.float32)
    stack = MapStack("20x", ("a", "b"), values, 40, 8, 6, 0.25)
    write_map(tmp_path / "map.ome.zarr", stack)
    (image,) = nodes_of(tmp_path / "map.ome.zarr")
    assert [level.shape for level in image.data] == [(2, 300, 1000), (2, 150, 500), (2, 75, 250)]
    assert image.data[0].chunksize == (1, 300, 512)
    np.testing.assert_allclose(
        image.data[1][0, 0, 0].compute(), values[0, :2, :2].mean(), rtol=1e-6
    )
    corners = {
        tuple(at[axis] - (scale[axis] - 0.25) / 2 for axis in (1, 2)) for scale, at in placed(image)
    }
    assert corners == {(2, 10)}


@pytest.mark.parametrize("slide_mpp", [0.02, 10.0])
def test_slides_of_extreme_scales_are_placed(tmp_path: Path, slide_mpp: float) -> None:
    run = write_results(tmp_path / "run", slide_mpp=slide_mpp, mpps=(max(slide_mpp, 0.05),))
    path = export(run, tmp_path / "out")[0]
    (((_, _, scale), (_, y, x)),) = placed(nodes_of(path)[0])
    assert scale == pytest.approx(50 * max(slide_mpp, 0.05))
    half = (scale - slide_mpp) / 2
    assert (y, x) == pytest.approx((32 * slide_mpp + half, 96 * slide_mpp + half))


def test_a_slide_without_tiles_has_empty_maps(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", tissue=0)
    image, _, labels = nodes_of(export(run, tmp_path)[0])
    assert np.isnan(image.data[0].compute()).all()
    assert not labels.data[0].compute().any()


def test_what_lies_there_is_replaced_only_if_asked(run: ResultFolder, tmp_path: Path) -> None:
    first = tmp_path / "one_mean.ome.zarr"
    first.mkdir()
    (first / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="lies there already"):
        export(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one_mean.ome.zarr"]
    assert (first / "mine.txt").read_text() == "kept"
    assert first in export(run, tmp_path, overwrite=True)
    assert not (first / "mine.txt").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_missing_library_is_named(
    run: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ome_zarr", None)
    with pytest.raises(OutputError, match=r'pip install "napari-smse\[ome-zarr\]"'):
        export(run, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_half_written_is_left(
    run: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ome_zarr.writer.write_label_metadata", fails)
    with pytest.raises(OutputError, match="the disk is full"):
        export(run, tmp_path)
    assert not list(tmp_path.iterdir())
