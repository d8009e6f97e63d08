from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_smse.slides.identity import path_text, quick_hash, slide_name, text_path

SIZE = 400_000


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slide.svs"
    path.write_bytes(bytes(range(250)) * (SIZE // 250))
    return path


def test_a_moved_slide_keeps_its_hash(slide: Path, tmp_path: Path) -> None:
    before = quick_hash(slide)
    assert before == quick_hash(slide)
    assert len(before) == 64
    assert quick_hash(slide.rename(tmp_path / "other.svs")) == before


@pytest.mark.parametrize("place", [0, 1000, SIZE // 2, SIZE - 1])
def test_a_change_in_a_block_changes_it(slide: Path, place: int) -> None:
    before = quick_hash(slide)
    data = bytearray(slide.read_bytes())
    data[place] ^= 1
    slide.write_bytes(data)
    assert quick_hash(slide) != before


def test_size_counts(slide: Path) -> None:
    before = quick_hash(slide)
    data = slide.read_bytes()
    slide.write_bytes(data[:100_000] + b"\0" + data[100_000:])
    assert quick_hash(slide) != before


def test_companions_of_mirax_count(tmp_path: Path) -> None:
    (tmp_path / "scan.mrxs").write_bytes(b"index")
    (tmp_path / "scan").mkdir()
    data = tmp_path / "scan" / "Data0000.dat"
    data.write_bytes(b"12345")
    before = quick_hash(tmp_path / "scan.mrxs")
    data.write_bytes(b"123456")
    after = quick_hash(tmp_path / "scan.mrxs")
    data.rename(data.with_name("Data0001.dat"))
    assert len({before, after, quick_hash(tmp_path / "scan.mrxs")}) == 3


def test_dicom_folder_and_its_file_are_one_slide(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.dcm").write_bytes(bytes([index]) * 500)
    assert quick_hash(tmp_path) == quick_hash(tmp_path / "0.dcm")
    before = quick_hash(tmp_path)
    (tmp_path / "3.dcm").write_bytes(b"more")
    assert quick_hash(tmp_path) != before


def test_a_file_that_is_gone_is_named(tmp_path):
    for name in ("gone.svs", "gone.mrxs", "gone.dcm"):
        with pytest.raises(FileNotFoundError, match="gone"):
            quick_hash(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"C:\slides\P1 a.svs", "P1 a"),
        (r"d:\P1\a.ome.tif", "a"),
        (r"\\server\share\a.ndpi", "a"),
        (r"/slides/C:\a.svs", "C:\\a"),
        (r"\udce9.svs", "\udce9"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of Windows are paths there")
def test_a_path_of_windows_has_its_name_elsewhere(text: str, name: str) -> None:
    assert slide_name(text_path(text)) == name


def test_a_path_comes_back_from_its_text(slide: Path) -> None:
    assert text_path(path_text(slide)) == slide
