"""DICOM: each series is a slide, whatever else lies in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.slides import Region, may_be_slide, open_slide, slides_in_folder
from napari_smse.slides.backends.dicom_header import read_header
from napari_smse.slides.identity import quick_hash
from support.dicom_slides import ANNOTATIONS, WHOLE_SLIDE, Element, write_dicom, write_dicom_level
from support.slides import noise_image, pyramid

IMAGE = noise_image(600, 400, seed=1)
OTHER = noise_image(500, 420, seed=2)


def write_series(folder: Path, name: str, image: np.ndarray, series: str, levels: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    for index, level in enumerate(pyramid(image, levels)):
        write_dicom_level(folder / f"{name}{index}.dcm", level, series, 0.5 * 2**index)


def write_annotations(path: Path, series: str = "9") -> Path:
    elements: list[Element] = [
        (0x00080060, "CS", "ANN"),
        (0x0020000E, "UI", f"1.2.3.{series}"),
    ]
    return write_dicom(path, elements, ANNOTATIONS)


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    write_series(tmp_path / "scans", "b", IMAGE, "1")
    write_series(tmp_path / "scans", "a", OTHER, "2", levels=2)
    return tmp_path / "scans"


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("endless", [False, True])
def test_a_header_is_read_however_it_is_written(
    tmp_path: Path, implicit: bool, endless: bool
) -> None:
    path = tmp_path / "level.dcm"
    write_dicom_level(path, IMAGE, "5", 0.25, implicit=implicit, endless=endless)
    header = read_header(path)
    assert header is not None
    assert (header.sop_class, header.modality, header.flavour) == (WHOLE_SLIDE, "SM", "VOLUME")
    assert header.series.endswith(".3.5")
    assert (header.width, header.height) == (600, 400)
    assert header.spacing == pytest.approx((0.25, 0.25))


def test_a_header_cut_anywhere_is_none_or_whole(tmp_path: Path) -> None:
    path = write_dicom_level(tmp_path / "whole.dcm", IMAGE, "5")
    whole, series = path.read_bytes(), read_header(path).series
    end = whole.index(b"\xe0\x7f\x10\x00")
    for keep in range(132, end + 16, 7):
        path = tmp_path / f"{keep}.dcm"
        path.write_bytes(whole[:keep])
        header = read_header(path)
        assert header is None or header.series == series


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\xfe\xff\x00\xe0", b"\x08\x00\x16\x00UI"])
def test_a_header_of_nonsense_ends(tmp_path: Path, filling: bytes) -> None:
    path = tmp_path / "nonsense.dcm"
    path.write_bytes(bytes(128) + b"DICM" + filling * 500_000)
    read_header(path)
    with pytest.raises((DamagedSlideError, NotASlideError), match="nonsense"):
        open_slide(path)


def test_other_files_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("nothing here" * 30)
    assert read_header(tmp_path / "letter.txt") is None


def test_a_folder_of_one_series_is_one_slide(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", "level", IMAGE, "1")
    write_annotations(tmp_path / "scan" / "0_annotations.dcm")
    write_dicom_level(tmp_path / "scan" / "0_label.dcm", OTHER, "3", kind="LABEL")
    assert slides_in_folder(tmp_path / "scan") == [tmp_path / "scan"]
    with open_slide(tmp_path / "scan") as slide:
        assert [level.width for level in slide.levels] == [600, 300, 150]
        assert (slide.read_level(0, 0, 0, 600, 400) == IMAGE).all()


def test_each_series_of_a_folder_is_a_slide(two_series: Path) -> None:
    first, second = slides_in_folder(two_series)
    assert (first.name, second.name) == ("a0.dcm", "b0.dcm")
    with open_slide(first) as slide:
        assert (slide.read_level(0, 0, 0, 500, 420) == OTHER).all()
        assert len(slide.levels) == 2
    with open_slide(second) as slide:
        assert (slide.read_level(0, 0, 0, 600, 400) == IMAGE).all()
        assert len(slide.levels) == 3


def test_a_folder_of_two_slides_names_them(two_series: Path) -> None:
    assert may_be_slide(two_series)
    with pytest.raises(NotASlideError, match=r"scans holds 2 DICOM slides.* a0\.dcm, b0\.dcm"):
        open_slide(two_series)


def test_only_a_slides_own_files_make_its_hash(two_series: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    write_series(alone, "b", IMAGE, "1")
    before = quick_hash(two_series / "b0.dcm")
    assert before == quick_hash(alone / "b0.dcm")
    assert before != quick_hash(two_series / "a0.dcm")
    (two_series / "b2.dcm").unlink()
    assert quick_hash(two_series / "b0.dcm") != before


def test_a_slide_has_one_hash_by_whatever_it_is_opened(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", "level", IMAGE, "1")
    (tmp_path / "scan" / "level1.dcm").rename(tmp_path / "scan" / "1.2.840.1")
    before = quick_hash(tmp_path / "scan")
    write_annotations(tmp_path / "scan" / "0_annotations.dcm")
    (tmp_path / "scan" / "readme.txt").write_text("nothing of the slide")
    paths = [tmp_path / "scan" / name for name in ("", "level0.dcm", "1.2.840.1", "level2.dcm")]
    assert {quick_hash(path) for path in paths} == {before}


def test_an_object_of_another_kind_is_refused_by_what_it_is(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "marks.dcm")
    with pytest.raises(NotASlideError, match=r"marks\.dcm .*annotations.* not a slide") as caught:
        open_slide(path)
    assert "copy it again" not in str(caught.value)
    assert not may_be_slide(path)
    assert not may_be_slide(tmp_path)
    with pytest.raises(NotASlideError, match="holds no DICOM slide"):
        open_slide(tmp_path)


def test_kinds_without_a_name_of_their_own_are_refused_too(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "scan.dcm", [(0x00080060, "CS", "CT")], "1.2.840.10008.5.1.4.1.1.2"
    )
    with pytest.raises(NotASlideError, match=r"scan\.dcm .*CT.*1\.2\.840\.10008\.5\.1\.4\.1\.1\.2"):
        open_slide(path)


def test_a_damaged_header_is_told(tmp_path: Path) -> None:
    path = write_dicom_level(tmp_path / "level.dcm", IMAGE, "1")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DamagedSlideError, match=r"level\.dcm .*copy it again"):
        open_slide(path)


def test_padded_levels_show_the_place_they_name(tmp_path: Path) -> None:
    """Some converters call the padding to whole tiles part of the image."""
    base = noise_image(1300, 1100, seed=4)
    for index, level in enumerate(pyramid(base, 4)):
        rows, columns = (-side % 256 for side in level.shape[:2])
        whole = np.pad(level, ((0, rows), (0, columns), (0, 0)), constant_values=7)
        path = tmp_path / f"level{index}.dcm"
        write_dicom_level(path, whole, "1", 0.5 * 2**index, tile=256)
    with open_slide(tmp_path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8]
        for step, true in zip((2, 4, 8), pyramid(base, 4)[1:], strict=True):
            region = Region(100 * step, 90 * step, 40 * step, 32 * step)
            found = slide.read(region, 0.5 * step)
            assert np.abs(found.astype(int) - true[90:122, 100:140]).max() <= 1
