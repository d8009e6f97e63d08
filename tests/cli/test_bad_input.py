"""What goes wrong in a shell: one line that says what to do, status 1, nothing half done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_smse.models.card import BUNDLED_FOLDER, BUNDLED_NAME
from support.edited_json import facts_of
from support.shell import Shell, assert_one_error, section, shell, write_section
from support.slides import cut, write_ome_pyramid, write_pyramid_tiff, write_svs

__all__ = ["shell"]  # the fixture


def not_a_slide(folder: Path) -> Path:
    path = folder / "bad.svs"
    path.write_text("Dear colleague, please find the slide attached. " * 50)
    return path


def empty(folder: Path) -> Path:
    path = folder / "bad.svs"
    path.touch()
    return path


def truncated_svs(folder: Path) -> Path:
    path = write_svs(folder / "bad.svs", section())
    return cut(path, path.stat().st_size // 2)


def truncated_tiff(folder: Path) -> Path:
    path = write_section(folder / "bad.tif")
    return cut(path, path.stat().st_size // 2)


def truncated_ome(folder: Path) -> Path:
    path = write_ome_pyramid(folder / "bad.ome.tif", section())
    return cut(path, path.stat().st_size // 2)


def missing(folder: Path) -> Path:
    return folder / "bad.svs"


def folder_without_slide(folder: Path) -> Path:
    (folder / "bad").mkdir()
    (folder / "bad" / "letter.txt").write_text("nothing here")
    return folder / "bad"


def no_scale(folder: Path) -> Path:
    return write_section(folder / "bad.tif", mpp=None)


def no_scale_png(folder: Path) -> Path:
    Image.fromarray(section()).save(folder / "bad.png")
    return folder / "bad.png"


def screen_dpi(folder: Path) -> Path:
    Image.fromarray(section()).save(folder / "bad.tif", dpi=(72, 72))
    return folder / "bad.tif"


def dark(folder: Path) -> Path:
    rgb = np.zeros((520, 700, 3), np.uint8)
    rgb[100:300, 100:400, 2] = 200
    return write_pyramid_tiff(folder / "bad.tif", rgb, mpp=0.5)


def glass(folder: Path) -> Path:
    return write_pyramid_tiff(folder / "bad.tif", np.full((520, 700, 3), 243, np.uint8), mpp=0.5)


def one_pixel(folder: Path) -> Path:
    pixel = np.full((1, 1, 3), (205, 150, 190), np.uint8)
    return write_pyramid_tiff(folder / "bad.tif", pixel, mpp=0.5, levels=1, tile=16)


def damaged_pixels(folder: Path) -> Path:
    path = write_pyramid_tiff(folder / "bad.tif", section(), mpp=0.5, levels=1)
    with tifffile.TiffFile(path) as tiff:
        offsets, counts = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
    with path.open("r+b") as file:
        file.seek(offsets[0])
        file.write(bytes(counts[0]))
    return path


BAD_SLIDES: dict[Callable[[Path], Path], tuple[str, ...]] = {
    not_a_slide: ("bad.svs", "is no image that", "open a slide file"),
    empty: ("bad.svs", "empty (0 bytes)", "copy it again"),
    truncated_svs: ("bad.svs", "copy it again"),
    truncated_tiff: ("bad.tif", "cut short", "copy it again"),
    truncated_ome: ("bad.ome.tif", "cut short", "copy it again"),
    missing: ("there is no file", "bad.svs", "check the path"),
    folder_without_slide: ("the folder bad", "no DICOM slide", "open a slide file"),
}
NOT_SCORED: dict[Callable[[Path], Path], tuple[str, ...]] = {
    no_scale: ("bad.tif", "does not state its µm/px", "--source-mpp"),
    no_scale_png: ("bad.png", "does not state its µm/px", "--source-mpp"),
    screen_dpi: ("bad.tif", "352.778 µm/px", "--source-mpp"),
    dark: ("bad.tif", "is not a brightfield slide", "bright glass"),
    glass: ("No tissue", "bad.tif", "choose another region"),
    one_pixel: ("bad.tif", "only 1 x 1 px", "too few for a tile", "open the whole slide"),
    damaged_pixels: ("bad.tif", "cannot be decoded", "copy it again"),
}


@pytest.mark.parametrize("make", BAD_SLIDES | NOT_SCORED)
def test_a_bad_slide_is_reported_in_a_line_and_leaves_nothing(
    shell: Shell, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    answer = shell("score", make(tmp_path), "--out", tmp_path / "out")
    assert_one_error(answer, *(BAD_SLIDES | NOT_SCORED)[make])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", BAD_SLIDES)
@pytest.mark.parametrize("command", ["info", "view"])
def test_looking_at_a_bad_slide_says_the_same(
    shell: Shell, tmp_path: Path, command: str, make: Callable[[Path], Path]
) -> None:
    answer = shell(command, make(tmp_path))
    assert_one_error(answer, *BAD_SLIDES[make])
    assert answer.out == ""


def test_every_fault_has_its_own_words(shell: Shell, tmp_path: Path) -> None:
    other_formats = (truncated_ome, no_scale_png)
    messages = set()
    faults = [make for make in BAD_SLIDES | NOT_SCORED if make not in other_formats]
    for make in faults:
        folder = tmp_path / make.__name__
        folder.mkdir()
        path = make(folder)
        words = shell("score", path, "--out", tmp_path / "out").err
        messages.add(words.replace(str(path), "").replace(path.name, ""))
    assert len(messages) == len(faults)


def test_a_fluorescence_slide_is_refused(shell: Shell, shared_data: Path, tmp_path: Path) -> None:
    slide = shared_data / "slides" / "fluorescence-dapi.ndpi"
    answer = shell("score", slide, "--out", tmp_path / "out")
    assert_one_error(answer, "fluorescence-dapi.ndpi", "not a brightfield slide", "H&E")
    assert not (tmp_path / "out").exists()


SETTINGS = {
    ("--mpp", "abc"): ("'abc' is not a scale", "such as 0.5", "20x"),
    ("--mpp", "0"): ("'0' is not a scale", "such as 0.5"),
    ("--mpp", "-1"): ("'-1' is not a scale", "such as 0.5"),
    ("--mpp", "nan"): ("'nan' is not a scale", "such as 0.5"),
    ("--mpp", "0x"): ("'0x' is not a scale", "20x"),
    ("--mpp", "50"): ("50 µm/px is not a scale", "0.05 to 10"),
    ("--mpp", "0.001"): ("0.001 µm/px is not a scale", "0.05 to 10"),
    ("--mpp", "0.1"): ("slide.tif", "too coarse", "0.2 µm/px or coarser"),
    ("--overlap", "1"): ("cannot overlap by 1", "0 to 0.9"),
    ("--overlap", "-0.1"): ("cannot overlap by -0.1", "0 to 0.9"),
    ("--overlap", "nan"): ("cannot overlap by nan", "0 to 0.9"),
    ("--min-tissue", "-1"): ("No tile holds -1", "0 to 1"),
    ("--min-tissue", "nan"): ("No tile holds nan", "0 to 1"),
    ("--source-mpp", "0"): ("0 µm/px is no scale", "between 0.02 and 10"),
    ("--source-mpp", "400"): ("400 µm/px is no scale", "between 0.02 and 10"),
    ("--device", "cuda:7"): ("no device 'cuda:7'", "choose auto or one of", "doctor"),
    ("--device", "quantum"): ("no device 'quantum'", "choose auto or one of", "doctor"),
}


@pytest.mark.parametrize("setting", SETTINGS, ids="=".join)
def test_an_impossible_setting_is_reported_with_what_is_possible(
    shell: Shell, tmp_path: Path, setting: tuple[str, str]
) -> None:
    slide = write_section(tmp_path / "slide.tif")
    answer = shell("score", slide, "--out", tmp_path / "out", *setting)
    assert_one_error(answer, *SETTINGS[setting])
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_for_all_slides_is_reported_once(shell: Shell, tmp_path: Path) -> None:
    slides = [write_section(tmp_path / f"{name}.tif") for name in "abc"]
    assert_one_error(shell("score", *slides, "--out", tmp_path, "--mpp", "50"), "50 µm/px")
    assert_one_error(shell("score", *slides, "--out", tmp_path, "--roi", "none.json"), "none.json")


def outlines(*boxes: tuple[float, float, float, float]) -> str:
    """GeoJSON of rectangles: left, top, right, bottom."""
    rings = [[[a, b], [c, b], [c, d], [a, d], [a, b]] for a, b, c, d in boxes]
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [r]}}
        for r in rings
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


REGIONS = {
    "": ("roi.geojson", "is not JSON", "export the annotations again"),
    "see the other file": ("roi.geojson", "is not JSON", "export the annotations again"),
    '{"type": "Topology"}': ("roi.geojson", "is not GeoJSON", "export the annotations again"),
    outlines(): ("roi.geojson", "holds no area", "draw at least one closed outline"),
    outlines((9000, 0, 9100, 100)): ("does not lie on slide.tif", "700 x 520", "draw it on"),
    outlines((600, 0, 690, 500)): ("region of interest", "slide.tif", "choose another region"),
}


@pytest.mark.parametrize("content", REGIONS, ids=["zero", "text", "json", "empty", "off", "glass"])
def test_a_bad_region_is_reported(shell: Shell, tmp_path: Path, content: str) -> None:
    slide, roi = write_section(tmp_path / "slide.tif"), tmp_path / "roi.geojson"
    roi.write_text(content)
    answer = shell("score", slide, "--out", tmp_path / "out", "--roi", roi)
    assert_one_error(answer, *REGIONS[content])
    assert not (tmp_path / "out").exists()


def test_a_region_that_is_no_file_is_reported(shell: Shell, tmp_path: Path) -> None:
    slide = write_section(tmp_path / "slide.tif")
    for roi in (tmp_path, tmp_path / "none.geojson"):
        answer = shell("score", slide, "--out", tmp_path / "out", "--roi", roi)
        assert_one_error(answer, str(roi), "check the path")


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_a_place_that_cannot_be_written_is_reported(
    shell: Shell, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    slide = write_section(tmp_path / "slide.tif")
    answer = shell("score", slide, "--out", tmp_path / place)
    assert_one_error(answer, str(tmp_path / place), "Choose a folder that you may write to")
    assert (tmp_path / "file").read_text() == "a file, no folder"


@pytest.mark.parametrize("damaged", ["zarr.json", "blocks_done/c/0", "scale_0/probability/c/0/0"])
def test_scores_damaged_on_disk_are_reported(shell: Shell, tmp_path: Path, damaged: str) -> None:
    slide = write_section(tmp_path / "slide.tif")
    assert shell("score", slide, "--out", tmp_path).status == 0
    (tmp_path / "slide" / "scores.zarr" / damaged).write_bytes(b"{")
    answer = shell("score", slide, "--out", tmp_path)
    assert_one_error(answer, "scores.zarr", "no readable scores", "score the slide again")
    assert shell("score", slide, "--out", tmp_path, "--overwrite", "--quiet").status == 0


class BadModels:
    """Copies of the bundled model, each with one fault."""

    def __init__(self, folder: Path) -> None:
        self.weights, self.card = folder / "bad.safetensors", folder / "bad.json"
        for path in (self.weights, self.card):
            shutil.copy(BUNDLED_FOLDER / f"{BUNDLED_NAME}{path.suffix}", path)

    def missing(self) -> None:
        self.weights.unlink()
        self.card.unlink()

    def flipped_bit(self) -> None:
        blob = bytearray(self.weights.read_bytes())
        blob[len(blob) // 2] ^= 1
        self.weights.write_bytes(blob)

    def half(self) -> None:
        cut(self.weights, self.weights.stat().st_size // 2)

    def swapped_classes(self) -> None:
        card = facts_of(self.card.read_text())
        card["classes"].reverse()
        self.card.write_text(json.dumps(card))

    def no_card(self) -> None:
        self.card.unlink()

    def no_weights(self) -> None:
        self.weights.unlink()

    def broken_card(self) -> None:
        self.card.write_text('{"name": ')


FAULTS: dict[Callable[[BadModels], None], tuple[str, ...]] = {
    BadModels.missing: (
        "There is no model",
        "bad.safetensors",
        "Available: bundled (smse_v1), smse_v0",
    ),
    BadModels.flipped_bit: ("bad.safetensors", "sha256 differs", "get both again"),
    BadModels.half: ("bad.safetensors", "not a whole safetensors file", "get the model again"),
    BadModels.swapped_classes: ("self-test", "do not belong together", "get the model again"),
    BadModels.no_card: ("bad.json", "is missing", "card beside its weights"),
    BadModels.no_weights: ("bad.safetensors", "cannot be read", "get the model again"),
    BadModels.broken_card: ("bad.json", "not a readable model card", "get the model again"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_bad_model_is_reported_before_any_slide_is_touched(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: Callable[[BadModels], None],
) -> None:
    from napari_smse.models.checkpoint import load_model

    monkeypatch.setattr("napari_smse.models.load_model", load_model)
    models = BadModels(tmp_path)
    fault(models)
    slide = write_section(tmp_path / "slide.tif")
    answer = shell("score", slide, "--out", tmp_path / "out", "--model", models.weights)
    assert_one_error(answer, *FAULTS[fault])
    assert answer.out == ""
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_card_has_none_to_print(shell: Shell, tmp_path: Path) -> None:
    assert_one_error(shell("card", tmp_path / "none"), "There is no model", "none", "Available")
    assert_one_error(shell("card", "x" * 300), "File name too long", "check the path")


def test_a_word_that_is_no_number_is_a_usage_error(shell: Shell, tmp_path: Path) -> None:
    answer = shell("score", "slide.tif", "--out", tmp_path / "out", "--overlap", "much")
    assert answer.status == 2
    assert "--overlap" in answer.err
    assert "Traceback" not in answer.err
