from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from PIL import Image

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.reader import METADATA_KEY, SLIDE_KEY, get_reader, read_maps, read_slides
from napari_smse.slides import Region, Slide
from support.dicom_slides import write_dicom_level
from support.slides import (
    cut,
    noise_image,
    pyramid,
    write_ome_pyramid,
    write_pyramid_tiff,
    write_svs,
)

IMAGE = noise_image(1500, 1200)


@pytest.fixture
def slide_path(tmp_path: Path) -> Path:
    return write_ome_pyramid(tmp_path / "slide.ome.tif", IMAGE, 0.25, levels=2)


def test_asking_imports_neither_napari_nor_torch() -> None:
    code = (
        "import sys, napari_smse.reader;print([m for m in ('napari', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_slides_are_taken(tmp_path: Path, slide_path: Path) -> None:
    svs = write_svs(tmp_path / "a.SVS", IMAGE)
    tiled = write_pyramid_tiff(tmp_path / "b.tiff", IMAGE)
    for path in (slide_path, svs, tiled):
        assert get_reader(str(path)) is read_slides
    assert get_reader([str(slide_path), str(svs)]) is read_slides


def test_scanner_formats_are_taken_by_name(tmp_path: Path) -> None:
    for suffix in ("svs", "ndpi", "mrxs", "scn", "bif", "svslide", "vms", "vmu"):
        path = tmp_path / f"slide.{suffix}"
        path.write_bytes(b"anything")
        assert get_reader(str(path)) is read_slides


def test_a_folder_with_dicom_is_taken(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "0.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert get_reader(str(tmp_path)) is read_slides


def test_each_series_of_a_folder_is_a_layer(tmp_path: Path) -> None:
    for name, series, side in (("a0", "1", 300), ("a1", "1", 150), ("b", "2", 200)):
        write_dicom_level(tmp_path / f"{name}.dcm", IMAGE[:side, :side], series)
    reader = get_reader(str(tmp_path))
    assert reader is read_slides
    layers = reader(str(tmp_path))
    assert [(layer[1]["name"], layer[0][0].shape[0]) for layer in layers] == [
        ("a0", 300),
        ("b", 200),
    ]


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (noise_image(300, 200), {"photometric": "rgb"}),
        (np.zeros((30, 200, 200), np.uint8), {"photometric": "minisblack"}),
        (np.zeros((512, 512), np.uint16), {"tile": (256, 256)}),
        (np.zeros((512, 512), np.uint8), {"tile": (256, 256)}),
        (np.zeros((512, 512, 3), np.uint16), {"tile": (256, 256), "photometric": "rgb"}),
    ],
)
def test_ordinary_tiffs_are_left_to_napari(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, object]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert get_reader(str(tmp_path / "a.tif")) is None


def test_a_large_tiff_in_strips_is_taken(tmp_path: Path) -> None:
    large = np.zeros((5000, 5001, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", large, photometric="rgb", compression="zlib")
    assert get_reader(str(tmp_path / "a.tif")) is read_slides


@pytest.mark.parametrize("path", ["", "gone.svs", "gone.tif", "\0", [], ["gone.svs"], None, 3])
def test_nonsense_is_not_taken_and_raises_nothing(path: object) -> None:
    assert get_reader(path) is None  # type: ignore[arg-type]


def test_one_that_is_no_slide_leaves_all_to_napari(tmp_path: Path, slide_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    assert get_reader([str(slide_path), str(tmp_path / "a.png")]) is None


def test_the_layer_lies_in_um(slide_path: Path) -> None:
    ((levels, arguments, kind),) = read_slides(str(slide_path))
    viewer = ViewerModel()
    (layer,) = viewer._add_layer_from_data(levels, arguments, kind)
    assert layer.name == "slide"
    assert layer.multiscale
    assert layer.rgb
    assert tuple(layer.scale) == (0.25, 0.25)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert layer.axis_labels == ("y", "x")
    assert np.allclose(layer.extent.world, [[0.0, 0.0], [299.75, 374.75]])
    assert [level.shape for level in layer.data] == [(1200, 1500, 3), (600, 750, 3)]
    assert layer.get_value(layer.data_to_world((700, 900))) is not None


@pytest.mark.parametrize("level", [0, 1])
def test_what_is_seen_is_the_slide(slide_path: Path, level: int) -> None:
    viewer = ViewerModel()
    (layer,) = viewer._add_layer_from_data(*read_slides(str(slide_path))[0])
    step = 2**level
    layer._data_level = level
    layer.corner_pixels = np.array([[100, 200], [299, 499]])
    layer.refresh(extent=False)
    seen = np.asarray(layer._slice.image.raw)
    assert seen.shape == (200, 300, 3)
    assert (seen == pyramid(IMAGE, 2)[level][100:300, 200:500]).all()
    shown_at = layer._transforms["tile2data"].translate
    assert np.allclose(shown_at, (100 * step, 200 * step))


def test_metadata_is_plain_and_holds_the_slide(slide_path: Path) -> None:
    ((_, arguments, _),) = read_slides(str(slide_path))
    known = arguments["metadata"][METADATA_KEY]
    assert json.loads(json.dumps(known)) == known
    assert known["path"] == str(slide_path)
    assert (known["mpp"], known["mpp_source"]) == (0.25, "vendor metadata")
    assert (known["width"], known["height"]) == (1500, 1200)
    assert len(known["quick_hash"]) == 64
    assert set(known) >= {"objective_power", "vendor", "properties"}
    slide = arguments["metadata"][SLIDE_KEY]
    assert isinstance(slide, Slide)
    assert slide.read(Region(0, 0, 100, 100), 0.5).shape == (50, 50, 3)


def test_several_paths_are_several_layers(tmp_path: Path, slide_path: Path) -> None:
    other = write_svs(tmp_path / "other.svs", IMAGE)
    layers = read_slides([str(slide_path), str(other)])
    assert [arguments["name"] for _, arguments, _ in layers] == ["slide", "other"]


def test_a_slide_without_scale_is_shown_in_pixels(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, mpp=None)
    told: list[str] = []
    notification_manager.notification_ready.connect(lambda event: told.append(event.message))
    ((levels, arguments, kind),) = read_slides(str(path))
    assert any("score dock asks" in message for message in told)
    (layer,) = ViewerModel()._add_layer_from_data(levels, arguments, kind)
    assert tuple(layer.scale) == (1.0, 1.0)
    assert [str(unit) for unit in layer.units] == ["pixel"] * 2
    assert arguments["metadata"][METADATA_KEY]["mpp"] is None


def test_a_slide_of_one_small_level_opens(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "small.svs", noise_image(300, 200))
    (layer,) = ViewerModel()._add_layer_from_data(*read_slides(str(path))[0])
    assert layer.multiscale
    assert np.asarray(layer.data[0]).shape == (200, 300, 3)


def test_a_layer_can_be_copied(slide_path: Path) -> None:
    viewer = ViewerModel()
    (layer,) = viewer._add_layer_from_data(*read_slides(str(slide_path))[0])
    data, state, kind = layer.as_layer_data_tuple()
    (copied,) = viewer._add_layer_from_data(deepcopy(data), deepcopy(state), kind)
    assert (np.asarray(copied.data[0])[:50, :50] == IMAGE[:50, :50]).all()


def test_errors_say_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    damaged = cut(write_svs(tmp_path / "cut.svs", IMAGE), 5000)
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    (tmp_path / "empty.svs").touch()
    cut_tiff = cut(write_pyramid_tiff(tmp_path / "cut.tif", IMAGE), 2000)
    for path, error in (
        (damaged, DamagedSlideError),
        (text, NotASlideError),
        (tmp_path / "empty.svs", NotASlideError),
        (cut_tiff, DamagedSlideError),
    ):
        reader = get_reader(str(path))
        assert reader is not None
        with pytest.raises(error) as raised:
            reader(str(path))
        assert path.name in str(raised.value)
        assert "\n" not in str(raised.value)


def test_napari_finds_the_reader_through_the_manifest(slide_path: Path) -> None:
    from napari.plugins import _initialize_plugins

    _initialize_plugins()
    viewer = ViewerModel()
    (layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    assert layer.metadata[METADATA_KEY]["path"] == str(slide_path)
    assert layer.source.reader_plugin == "napari-smse"


@pytest.mark.parametrize("kind", ["ome.zarr", "ome.tif"])
def test_an_exported_map_lies_on_the_slide_as_it_did_in_the_viewer(
    tmp_path: Path, kind: str
) -> None:
    from napari.layers import Image

    from napari_smse.results.exchange import ome_tiff, ome_zarr
    from napari_smse.results.exchange.map_stack import map_stacks
    from napari_smse.widgets.layers.coordinates import placement
    from support.result_folders import write_results

    run = write_results(tmp_path / "run")
    paths = (ome_zarr if kind == "ome.zarr" else ome_tiff).export(run, tmp_path)
    slide = Image(np.zeros((9, 9)), scale=(0.25, 0.25), units=("um", "um"), axis_labels=("y", "x"))
    for stack in map_stacks(run):
        path = tmp_path / f"one_{stack.file_name}.{kind}"
        assert path in paths
        read = get_reader(str(path))
        assert read is not None
        ((values, arguments, type_name),) = read(str(path))
        assert type_name == "image"
        layer, expected = Image(values, **arguments), placement(stack.heat_map(1), slide)
        np.testing.assert_array_equal(layer.data, stack.values[1])
        np.testing.assert_allclose(layer.scale, expected["scale"], rtol=1e-12)
        np.testing.assert_allclose(layer.translate, expected["translate"], rtol=1e-9)
        assert layer.units == expected["units"]
        assert layer.name == f"P(malignant) {stack.name} · one"
        assert tuple(layer.contrast_limits) == (0, 1)


def test_of_several_classes_each_is_a_layer_and_one_is_visible(tmp_path: Path) -> None:
    from napari_smse.results.exchange import ome_zarr
    from support.result_folders import write_results

    run = write_results(tmp_path / "run", classes=("a", "b", "c"), mpps=(1.0,))
    layers = read_maps([str(path) for path in ome_zarr.export(run, tmp_path)])
    assert len(layers) == 6
    assert [arguments["visible"] for _, arguments, _ in layers] == [False, False, True] * 2
