"""Slides with annotations, cut into labelled fields."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box, mapping

from napari_smse.datasets.curation import Reading
from napari_smse.datasets.duplicate_slides import first_copies
from napari_smse.datasets.labelled_set import LabelledSet, Source
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.pixels import close_slides, read_pixels
from napari_smse.datasets.readers.annotated_slides import (
    FIELD_MPP,
    FIELD_PX,
    _labelled,
    cut_fields,
    find_annotation,
    holds_annotated_slides,
    read_annotated_slides,
)
from napari_smse.errors import DataError
from napari_smse.slides import Region, Slide
from napari_smse.tiles import Ground, TileGrid, TileSpec, TissueMask
from support.annotated_slides import annotate as annotate_red
from support.annotated_slides import write_red_slide, write_tiles_beside
from support.slides import write_pyramid_tiff

SIDE = 1400
MPP = 0.6  # so that a field is 224 level-0 px
TISSUE, GLASS = (200, 130, 180), (242, 241, 243)


def write_slide(path: Path, tissue: Any = np.s_[:, :], mpp: float | None = MPP) -> Path:
    """Glass with tissue somewhere, no two slides alike."""
    rgb = np.full((SIDE, SIDE, 3), GLASS, dtype=np.int16)
    rgb[tissue] = TISSUE
    seed = zlib.crc32(path.stem.encode())
    rgb += np.random.default_rng(seed).integers(-3, 4, rgb.shape, dtype=np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_pyramid_tiff(path, np.clip(rgb, 0, 255).astype(np.uint8), mpp=mpp, levels=2)


def annotate(path: Path, areas: dict[str, Any]) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"classification": {"name": name}},
            "geometry": mapping(area),
        }
        for name, area in areas.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def read(folder: Path, **options: Any) -> LabelledSet:
    return read_annotated_slides(folder, Reading(Source("mine"), **options))


# The first column of fields is glass.
RIGHT_OF_FIRST = np.s_[:, 224:]


def test_fields_take_the_class_that_holds_their_tissue(tmp_path: Path) -> None:
    write_slide(tmp_path / "a ß.tif", RIGHT_OF_FIRST)
    annotate(
        tmp_path / "a ß.geojson",
        {"malignant": box(0, 0, 448, SIDE), "benign": box(672, 0, SIDE, 448)},
    )
    found = read(tmp_path)
    assert found.classes == ("benign", "malignant")
    # Columns of fields begin at 0, 224, 448 ...; the first one is glass.
    places = {(one.region.x, one.region.y, one.label) for one in found.images if one.region}
    rows = range(0, 1400, 224)
    malignant = {(224, y, 1) for y in rows}
    benign = {(x, y, 0) for x in (672, 896, 1120) for y in (0, 224)}
    # The last ones end where the slide does, at 1400.
    last = {one for one in places if one[0] == 1176 or one[1] == 1176}
    assert places - last == {one for one in malignant | benign if one[1] != 1344}
    for one in found.images:
        assert (one.case, one.source, one.stratum) == ("mine a ß", "mine", "mine")
        assert (one.mpp, one.mpp_range) == (pytest.approx(0.6), (0.48, 0.6))
        assert one.region is not None
        assert one.region.width * one.mpp == pytest.approx(FIELD_PX * FIELD_MPP)
    field = np.asarray(read_pixels(found.images[0]))
    assert field.shape == (224, 224, 3)
    assert np.abs(field.mean(axis=(0, 1)) - TISSUE).max() < 3
    close_slides()


def test_fields_that_classes_compete_for_are_listed(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    # Column 448-672 is 60 % malignant and 40 % benign.
    annotate(
        tmp_path / "a.tif.geojson",
        {"malignant": box(0, 0, 582, 448), "benign": box(582, 0, SIDE, 448)},
    )
    found = read(tmp_path)
    assert {(one.path.name, one.reason) for one in found.skipped} == {
        ("a.tif", f"has a field claimed by two classes, at 448, {y} (level-0 px)") for y in (0, 224)
    }
    assert not any(one.region and one.region.x == 448 for one in found.images)
    assert {one.label for one in found.images} == {0, 1}


def test_a_small_intrusion_is_no_conflict(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    annotate(
        tmp_path / "a.geojson",
        {"malignant": box(0, 0, 448 + 180, 224), "benign": box(448 + 180, 0, SIDE, 224)},
    )
    found = read(tmp_path)
    (field,) = [one for one in found.images if one.region and one.region.x == 448]
    assert found.classes[field.label] == "malignant"
    assert found.skipped == ()


FULL = TissueMask(np.full((210, 210), Ground.TISSUE, dtype=np.uint8), Region(0, 0, 2100, 2100))
GRID = TileGrid(TileSpec(FIELD_PX, FIELD_MPP, 0.64), Region(0, 0, 2100, 2100))  # 210 px a field


@st.composite
def areas(draw: st.DrawFn) -> MultiPolygon:
    """One or two rectangles on the mask's pixels, each with a hole."""
    parts = []
    for left in (0, 105)[: draw(st.integers(1, 2))]:
        x0, y0 = draw(st.integers(left, left + 30)), draw(st.integers(0, 100))
        width, height = draw(st.integers(6, 70)), draw(st.integers(6, 100))
        hole = draw(st.integers(1, 60))
        outer = box(x0, y0, x0 + width, y0 + height)
        inner = box(x0 + 2, y0 + 2, x0 + min(width - 1, 2 + hole), y0 + min(height - 1, 2 + hole))
        parts.append(outer - inner)
    scaled = shapely.transform(shapely.union_all(parts), lambda points: points * 10)
    return scaled if isinstance(scaled, MultiPolygon) else MultiPolygon([scaled])


@given(areas(), areas())
def test_fields_agree_with_exact_areas(first: MultiPolygon, second: MultiPolygon) -> None:
    """On a slide full of tissue, shares of tissue are shares of area; holes do not count."""
    fields = {
        (one.region.x, one.region.y): one.label
        for one in _labelled(GRID, {"first": first, "second": second}, FULL)
    }
    for x in range(0, 2100, 210):
        for y in range(0, 2100, 210):
            square = box(x, y, x + 210, y + 210)
            shares = {
                name: area.intersection(square).area / square.area
                for name, area in (("first", first), ("second", second))
            }
            if min(shares.values()) > 0.25 + 1e-6:
                assert fields[x, y] == ""
            elif max(shares.values()) >= 0.5 + 1e-6:
                assert fields[x, y] == max(shares, key=shares.__getitem__)
            elif max(shares.values()) < 0.5 - 1e-6:
                assert (x, y) not in fields


def test_fields_with_little_tissue_are_left_out() -> None:
    ground = np.full((210, 210), Ground.GLASS, dtype=np.uint8)
    ground[:21, :5] = Ground.TISSUE  # less than a quarter of the first field
    ground[:21, 21:27] = Ground.TISSUE  # more than a quarter of the second
    mask = TissueMask(ground, FULL.region)
    everywhere = {"one": MultiPolygon([box(0, 0, 2100, 2100)])}
    assert [one.region for one in _labelled(GRID, everywhere, mask)] == [Region(210, 0, 210, 210)]


def test_a_slide_is_a_case_unless_a_table_says_otherwise(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_slide(tmp_path / "deep" / f"{name}.tif", np.s_[:600, :600])
        annotate(tmp_path / "deep" / f"{name}.geojson", {"t": box(0, 0, 600, 600)})
    assert read(tmp_path).cases == {"mine a", "mine b", "mine c"}
    (tmp_path / "cases.csv").write_text("slide;case\na.tif;7\nb;7\n")
    assert read(tmp_path).cases == {"mine 7", "mine c"}
    (tmp_path / "cases.csv").write_text("slide,case\na,7\na,8\n")
    with pytest.raises(DataError, match="gives the slide a two cases"):
        read(tmp_path)
    (tmp_path / "cases.csv").write_text("slide,patient\na,7\n")
    with pytest.raises(DataError, match="lacks the column case"):
        read(tmp_path)


def test_what_cannot_be_used_is_listed_slide_by_slide(tmp_path: Path) -> None:
    good = {"t": box(0, 0, SIDE, SIDE)}
    write_slide(tmp_path / "good.tif")
    annotate(tmp_path / "good.geojson", good)
    write_slide(tmp_path / "scaleless.tif", mpp=None)
    annotate(tmp_path / "scaleless.geojson", good)
    write_slide(tmp_path / "unclassed.tif")
    (tmp_path / "unclassed.geojson").write_text(json.dumps(mapping(good["t"])))
    write_slide(tmp_path / "alone.tif")
    (tmp_path / "text.tif").write_text("x")
    annotate(tmp_path / "text.geojson", good)
    annotate(tmp_path / "lost.geojson", good)
    found = read(tmp_path)
    assert {one.path.name for one in found.images} == {"good.tif"}
    reasons = {one.path.name: one.reason for one in found.skipped}
    assert set(reasons) == {
        "scaleless.tif",
        "unclassed.tif",
        "alone.tif",
        "text.tif",
        "lost.geojson",
    }
    assert "does not state its µm/px" in reasons["scaleless.tif"]
    assert "no area with a class" in reasons["unclassed.tif"]
    assert reasons["alone.tif"] == "has no annotations of the same name"
    assert reasons["lost.geojson"] == "has no slide of its name"


def test_a_stated_scale_counts_more_than_the_slides(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", mpp=None)
    annotation = annotate(tmp_path / "a.geojson", {"t": box(0, 0, SIDE, SIDE)})
    fields, mpp = cut_fields(path, annotation, 0.3)
    assert mpp == 0.3
    assert {one.region.width for one in fields} == {448}
    images = read(tmp_path, mpp=0.3).images
    assert {one.mpp for one in images} == {0.3}
    assert read_pixels(images[0]).size == (448, 448)
    close_slides()


def test_annotations_count_from_the_bounds_as_qupath_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_slide(tmp_path / "a.tif")
    annotation = annotate(tmp_path / "a.geojson", {"t": box(0, 0, 448, 224)})
    monkeypatch.setattr(Slide, "bounds", Region(100, 60, 1200, 1200))
    fields, _ = cut_fields(path, annotation)
    assert [one.region for one in fields] == [
        Region(100, 60, 224, 224),
        Region(324, 60, 224, 224),
    ]


def test_labels_can_be_mapped(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    annotate(
        tmp_path / "a.geojson",
        {
            "Tumor": box(0, 0, 448, 448),
            "Stroma": box(672, 0, SIDE, 448),
            "Pen": box(0, 700, 900, 999),
        },
    )
    found = read(tmp_path, classes={"Tumor": "malignant", "Stroma": "benign"})
    assert found.classes == ("benign", "malignant")
    assert {one.label for one in found.images} == {0, 1}
    assert "has the label 'Pen', which is none of benign, malignant" in found.count_skipped()


def test_the_bundled_sample_is_cut_as_it_is_drawn(sample_slide: Path, tmp_path: Path) -> None:
    annotation = sample_slide.with_name("sample_annotations.geojson")
    fields, mpp = cut_fields(sample_slide, annotation)
    assert mpp == pytest.approx(0.25)
    labels = {one.label for one in fields}
    assert {"Benign-like", "Malignant-like"} <= labels


def test_exported_tiles_are_no_labels(tmp_path: Path) -> None:
    for number in range(2):
        annotate_red(write_red_slide(tmp_path, f"slide{number}", number))
    plain = read(tmp_path)
    path = write_tiles_beside(tmp_path / "slide1.tif", among_annotations=True)
    found = read(tmp_path)
    assert found.images == plain.images
    assert [(one.path, one.reason[:30]) for one in found.skipped if one.path == path] == [
        (path, "also holds 8 tiles or detectio")
    ]
    write_tiles_beside(tmp_path / "slide1.tif")
    found = read(tmp_path)
    assert {image.path.stem for image in found.images} == {"slide0"}
    assert any("holds no annotation" in one.reason for one in found.skipped)
    write_tiles_beside(tmp_path / "slide0.tif")
    assert not holds_annotated_slides(tmp_path)
    with pytest.raises(DataError, match=r"holds no labels: .*slide0\.geojson has tiles"):
        read_training_set(tmp_path)


def test_annotations_go_before_tiles_under_the_slides_full_name(tmp_path: Path) -> None:
    slide = annotate_red(write_red_slide(tmp_path))
    plain = read(tmp_path).images
    drawn = slide.with_suffix(".geojson").rename(tmp_path / "kept.geojson")
    write_tiles_beside(slide).rename(tmp_path / "slide.tif.geojson")
    drawn.rename(tmp_path / "slide.geojson")
    assert find_annotation(slide) == tmp_path / "slide.geojson"
    assert read(tmp_path).images == plain


def test_images_in_class_folders_may_have_exported_tiles_beside(tmp_path: Path) -> None:
    for seed, name in enumerate(("benign", "malignant")):
        (tmp_path / name).mkdir()
        write_tiles_beside(write_red_slide(tmp_path / name, name, seed))
    found = read_training_set(tmp_path, mpp=0.5)
    assert [(image.path.stem, image.label) for image in found.images] == [
        ("benign", 0),
        ("malignant", 1),
    ]


@pytest.fixture
def two_names(tmp_path: Path) -> Path:
    """One slide under two names, with the same annotations beside both."""
    annotate_red(write_red_slide(tmp_path, "first"))
    for suffix in (".tif", ".geojson"):
        shutil.copy(tmp_path / f"first{suffix}", tmp_path / f"second{suffix}")
    return tmp_path


def reasons(found: LabelledSet) -> dict[str, str]:
    return {one.path.name: one.reason for one in found.skipped}


def test_a_slide_under_two_names_is_one_case(two_names: Path) -> None:
    found = read(two_names)
    assert found.cases == {"mine first"}
    assert len({image.region for image in found.images}) == len(found.images)
    assert "is the same slide as first.tif" in reasons(found)["second.tif"]
    with pytest.raises(DataError, match="come from one case"):
        found.require_cases()


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_so_is_one_that_is_linked(two_names: Path, link: Callable[[Path, Path], None]) -> None:
    (two_names / "second.tif").unlink()
    link(two_names / "first.tif", two_names / "second.tif")
    assert read(two_names).cases == {"mine first"}


def test_so_is_one_whose_pixels_were_saved_anew(two_names: Path) -> None:
    pixels = tifffile.imread(two_names / "first.tif")
    write_pyramid_tiff(two_names / "second.tif", pixels, mpp=0.5, levels=1, compression=None)
    assert read(two_names).cases == {"mine first"}
    # Another pixel where it is looked, and it is another slide.
    pixels[48, 96] = 0
    write_pyramid_tiff(two_names / "second.tif", pixels, mpp=0.5, levels=1, compression=None)
    assert read(two_names).cases == {"mine first", "mine second"}


def test_annotations_of_all_names_count_and_contradictions_are_conflicts(two_names: Path) -> None:
    whole = {(one.region, one.label) for one in read(two_names).images}
    annotate_red(two_names / "first.tif", benign=box(0, 0, 320, 768))
    annotate_red(two_names / "second.tif", malignant=box(576, 0, 896, 768))
    found = read(two_names)
    assert whole < {(one.region, one.label) for one in found.images}
    annotate_red(two_names / "second.tif", malignant=box(0, 0, 320, 768))
    with pytest.raises(DataError, match="No image"):
        read_training_set(two_names)
    assert "claimed by two classes" in reasons(read(two_names))["first.tif"]
    # A file that cannot be used does not, either.
    (two_names / "second.geojson").write_text("nonsense")
    assert {one.label for one in read(two_names).images} == {0}
    # Tiles beside one name do not keep the annotations beside the other from counting.
    write_tiles_beside(two_names / "second.tif")
    assert {one.label for one in read(two_names).images} == {0}


def test_one_slide_has_one_case_whatever_a_table_says(two_names: Path) -> None:
    (two_names / "cases.csv").write_text("slide,case\nsecond,patient 7\n")
    assert read(two_names).cases == {"mine patient 7"}
    (two_names / "cases.csv").write_text("slide,case\nsecond,patient 7\nfirst.tif,patient 8\n")
    with pytest.raises(DataError, match=r"first.tif and second.tif different cases"):
        read(two_names)


def test_slides_of_one_colour_are_not_taken_for_each_other(tmp_path: Path) -> None:
    for name, grey in (("a", 200), ("b", 200), ("c", 200)):
        rgb = np.full((512, 512, 3), grey, np.uint8)
        rgb[0, 0] = ord(name)
        write_pyramid_tiff(tmp_path / f"{name}.tif", rgb, levels=1)
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    assert first_copies(paths) == {path: path for path in paths}
    broken = tmp_path / "d.tif"
    broken.write_bytes(b"no slide")
    assert first_copies([broken, tmp_path / "gone.tif"])[broken] == broken


@pytest.mark.parametrize("name", ["both.ome.tif#2.geojson", "both#2.geojson"])
def test_one_of_several_slides_in_a_file_has_annotations_of_its_own(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "both.ome.tif"
    noise = np.random.default_rng(0).integers(-3, 4, (2, SIDE, SIDE, 3))
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for image in (np.array(TISSUE) + noise).astype(np.uint8):
            metadata = {"axes": "YXS", "PhysicalSizeX": MPP, "PhysicalSizeY": MPP}
            tiff.write(image, photometric="rgb", tile=(256, 256), metadata=metadata)
    annotations = annotate(tmp_path / "any.tif", {"Tumour": box(0, 0, SIDE, SIDE)})
    annotations.rename(tmp_path / name)
    assert find_annotation(tmp_path / "both.ome.tif#2") == tmp_path / name
    assert find_annotation(tmp_path / "both.ome.tif#1") is None
    assert holds_annotated_slides(tmp_path)
    found = read(tmp_path)
    assert {image.path.name for image in found.images} == {"both.ome.tif#2"}
    assert not [one for one in found.skipped if "no slide of its name" in one.reason]
