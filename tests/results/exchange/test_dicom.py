"""Tiles and maps as DICOM: read back by highdicom, coordinate for coordinate, value for value."""

from __future__ import annotations

import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder
from napari_smse.results.exchange.dicom import NOT_SCORED, export
from napari_smse.results.exchange.dicom_source import SCHEME, dicom_text
from napari_smse.results.exchange.map_stack import map_stacks
from napari_smse.slides import Region
from support.dicom_slides import WHOLE_SLIDE, write_dicom_level
from support.result_folders import write_results

ODD = ("tumour\\grade 3: <é>", "рак & others " * 9, "c")
MODEL = "Probability of {}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    return write_results(tmp_path_factory.mktemp("run") / "one", classes=ODD)


@pytest.fixture(scope="module")
def written(run: ResultFolder, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return export(run, tmp_path_factory.mktemp("out"))


def pixels_of(image: pydicom.Dataset) -> NDArray[np.float32]:
    """The maps (classes, rows, columns) of frames that lie where each of them says."""
    labels = [
        frame.RealWorldValueMappingSequence[0].LUTLabel
        for frame in image.PerFrameFunctionalGroupsSequence
    ]
    names = sorted(set(labels))
    shape = (len(names), image.TotalPixelMatrixRows + 256, image.TotalPixelMatrixColumns + 256)
    whole = np.full(shape, 7, np.float32)
    frames = image.pixel_array.reshape(-1, image.Rows, image.Columns)
    for label, frame, values in zip(
        labels, image.PerFrameFunctionalGroupsSequence, frames, strict=True
    ):
        place = frame.PlanePositionSlideSequence[0]
        row = place.RowPositionInTotalImagePixelMatrix - 1
        column = place.ColumnPositionInTotalImagePixelMatrix - 1
        place_in_whole = np.s_[row : row + image.Rows, column : column + image.Columns]
        whole[names.index(label)][place_in_whole] = values
    return whole[:, : image.TotalPixelMatrixRows, : image.TotalPixelMatrixColumns]


def test_one_file_of_tiles_and_one_of_maps_for_each_scale(written: list[Path]) -> None:
    assert [path.name for path in written] == [
        "one_20x_annotations.dcm",
        "one_10x_annotations.dcm",
        "one_20x_map.dcm",
        "one_10x_map.dcm",
        "one_mean_map.dcm",
    ]


def test_tiles_are_rectangles_in_pixels_of_level_0(run: ResultFolder, written: list[Path]) -> None:
    rows = run.table.to_pylist()
    for path, scores in zip(written[:2], run.scales, strict=True):
        read = highdicom.ann.annread(path)
        mine = [row for row in rows if row["mpp"] == scores.mpp]
        groups = read.get_annotation_groups()
        assert sum(group.number_of_annotations for group in groups) == len(mine)
        assert read.annotation_coordinate_type.value == "2D"
        for group in groups:
            number = int(group.annotated_property_type.value.removeprefix("CLASS")) - 1
            called = [row for row in mine if row["call"] == ODD[number]]
            assert group.label == dicom_text(f"{ODD[number]}, {group.label.split(', ')[-1]}")
            assert group.graphic_type.value == "RECTANGLE"
            corners = np.array(group.get_graphic_data("2D"))
            expected = [
                [
                    [row["x"], row["y"]],
                    [row["x"] + row["width"], row["y"]],
                    [row["x"] + row["width"], row["y"] + row["height"]],
                    [row["x"], row["y"] + row["height"]],
                ]
                for row in called
            ]
            np.testing.assert_array_equal(corners, expected)
            names, values, units = group.get_measurements()
            assert [name.meaning for name in names] == [dicom_text(MODEL.format(c)) for c in ODD]
            assert {unit.value for unit in units} == {"1"}
            np.testing.assert_array_equal(
                values, np.array([[row[f"p_{c}"] for c in ODD] for row in called], np.float32)
            )


def test_maps_have_their_values_and_place(run: ResultFolder, written: list[Path]) -> None:
    for path, stack in zip(written[2:], map_stacks(run), strict=True):
        image = pydicom.dcmread(path)
        values = pixels_of(image)
        scored = np.isfinite(stack.values)
        np.testing.assert_array_equal(values[scored], stack.values[scored])
        assert set(values[~scored]) == {NOT_SCORED}
        assert image.FloatPixelPaddingValue == NOT_SCORED
        (group,) = image.SharedFunctionalGroupsSequence
        spacing = [float(side) for side in group.PixelMeasuresSequence[0].PixelSpacing]
        assert spacing == pytest.approx([stack.cell_um / 1000] * 2)
        origin = image.TotalPixelMatrixOriginSequence[0]
        at = origin.YOffsetInSlideCoordinateSystem, origin.XOffsetInSlideCoordinateSystem
        assert [float(one) * 1000 for one in at] == pytest.approx(stack.origin_um)
        explained = {
            frame.RealWorldValueMappingSequence[0].LUTExplanation
            for frame in image.PerFrameFunctionalGroupsSequence
        }
        assert explained == {dicom_text(MODEL.format(name)) for name in ODD}


def test_large_maps_are_tiled(tmp_path: Path) -> None:
    area = Region(0, 0, 30000, 400)
    run = write_results(tmp_path / "run", area=area, mpps=(0.5,))
    image = pydicom.dcmread(export(run, tmp_path)[-1])
    assert image.NumberOfFrames == 4
    values, (stack,) = pixels_of(image), map_stacks(run)
    np.testing.assert_array_equal(values, np.nan_to_num(stack.values, nan=NOT_SCORED))


def test_what_stands_for_a_slide_is_the_same_each_time(
    run: ResultFolder, written: list[Path], tmp_path: Path
) -> None:
    again = export(run, tmp_path)
    pairs = [(pydicom.dcmread(a), pydicom.dcmread(b)) for a, b in zip(written, again, strict=True)]
    assert len({one.StudyInstanceUID for pair in pairs for one in pair}) == 1
    assert len({one.FrameOfReferenceUID for pair in pairs[2:] for one in pair}) == 1
    for one, other in pairs:
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert one.ReferencedSeriesSequence == other.ReferencedSeriesSequence
        assert one.ContainerIdentifier == "one.svs"


def test_of_a_dicom_slide_the_finest_level_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    folder.mkdir()
    picture = np.full((400, 600, 3), 200, np.uint8)
    fine = write_dicom_level(folder / "fine.dcm", picture, "1")
    write_dicom_level(folder / "coarse.dcm", picture[::2, ::2], "1", mpp=1.0)
    level = pydicom.dcmread(fine)
    level.FrameOfReferenceUID, level.PatientID = "1.2.3.4", "anonymous"
    level.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = pydicom.Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20, 40
    level.TotalPixelMatrixOriginSequence = [origin]
    level.save_as(fine)
    for slide in (folder, fine):
        run = write_results(
            tmp_path / f"run {slide.name}",
            slide=slide,
            slide_mpp=0.5,
            area=Region(96, 32, 504, 368),
            mpps=(0.5,),
        )
        out = tmp_path / f"out {slide.name}"
        out.mkdir()
        tiles, maps = map(pydicom.dcmread, export(run, out))
        for made in (tiles, maps):
            assert made.PatientID == "anonymous"
            assert made.StudyInstanceUID == level.StudyInstanceUID
            (series,) = made.ReferencedSeriesSequence
            assert series.SeriesInstanceUID == level.SeriesInstanceUID
            (image,) = series.ReferencedInstanceSequence
            assert image.ReferencedSOPInstanceUID == level.SOPInstanceUID
            assert image.ReferencedSOPClassUID == WHOLE_SLIDE
        assert maps.FrameOfReferenceUID == "1.2.3.4"
        at = maps.TotalPixelMatrixOriginSequence[0]
        y, x = map_stacks(run)[0].origin_um
        assert float(at.XOffsetInSlideCoordinateSystem) == pytest.approx(20 - y / 1000)
        assert float(at.YOffsetInSlideCoordinateSystem) == pytest.approx(40 - x / 1000)


@pytest.mark.parametrize("changed", ["size", "damaged"])
def test_another_file_at_the_slides_path_is_not_meant(tmp_path: Path, changed: str) -> None:
    slide = tmp_path / "slide.dcm"
    write_dicom_level(slide, np.full((400, 600, 3), 200, np.uint8), "1")
    if changed == "damaged":
        slide.write_bytes(slide.read_bytes()[:400])
    size = 800 if changed == "size" else 600
    run = write_results(tmp_path / "run", slide=slide, area=Region(0, 0, size, 400), mpps=(0.5,))
    tiles = pydicom.dcmread(export(run, tmp_path)[0])
    series = tiles.ReferencedSeriesSequence[0].SeriesInstanceUID
    assert series.startswith(pydicom.uid.PYDICOM_ROOT_UID)


@pytest.mark.parametrize("slide_mpp", [0.02, 10.0])
def test_slides_of_extreme_scales_are_placed(tmp_path: Path, slide_mpp: float) -> None:
    run = write_results(tmp_path / "run", slide_mpp=slide_mpp, mpps=(max(slide_mpp, 0.05),))
    image = pydicom.dcmread(export(run, tmp_path)[-1])
    spacing = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert float(spacing[0]) == pytest.approx(50 * max(slide_mpp, 0.05) / 1000)


def test_a_slide_without_tiles_has_maps_alone(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", tissue=0, mpps=(1.0,))
    (path,) = export(run, tmp_path)
    assert set(pixels_of(pydicom.dcmread(path)).ravel()) == {NOT_SCORED}


@pytest.mark.parametrize(
    ("text", "expected"), [("a\\b\n", "a_b_"), ("x" * 99, "x" * 63), (" ", "_"), ("\udcff", "_")]
)
def test_texts_are_such_as_dicom_takes(text: str, expected: str) -> None:
    assert dicom_text(text) == expected
    assert len(SCHEME) <= 16


def test_what_lies_there_is_replaced_only_if_asked(run: ResultFolder, tmp_path: Path) -> None:
    (tmp_path / "one_mean_map.dcm").write_text("kept")
    with pytest.raises(OutputError, match="lies there already"):
        export(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one_mean_map.dcm"]
    export(run, tmp_path, overwrite=True)
    assert pydicom.dcmread(tmp_path / "one_mean_map.dcm").Modality == "OT"


def test_a_missing_library_is_named(
    run: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(OutputError, match=r'pip install "napari-smse\[dicom\]"'):
        export(run, tmp_path)
    assert not list(tmp_path.iterdir())
