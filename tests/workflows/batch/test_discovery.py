"""What a user means by folders and patterns."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from napari_smse.errors import SlideNotFoundError
from napari_smse.workflows.batch.discovery import find_slides
from support.dicom_slides import write_dicom as write_dicom_object
from support.dicom_slides import write_dicom_level
from support.shell import section
from support.slides import write_ome_pyramid


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return paths


def found(folder: Path, *words: str) -> list[str]:
    """What words mean, relative to the folder."""
    slides = find_slides([str(folder / word) for word in words])
    return [path.relative_to(folder).as_posix() for path in slides]


def write_dicom(folder: Path, *names: str) -> None:
    for path in touch(folder, *names):
        path.write_bytes(bytes(128) + b"DICM")


class TestFolders:
    def test_slides_in_it_and_below_are_taken_by_their_suffixes(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.svs", "a.TIF", "deep/er/c.ndpi", "deep/notes.txt", "list.csv")
        assert found(tmp_path, ".") == ["a.TIF", "b.svs", "deep/er/c.ndpi"]

    def test_what_is_hidden_is_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", ".b.svs", "._a.svs", ".trash/c.svs")
        assert found(tmp_path, ".") == ["a.svs"]

    def test_our_own_results_are_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", "out/a/scores.zarr/zarr.json", "out/a/heatmap.png")
        assert found(tmp_path, ".") == ["a.svs"]
        assert found(tmp_path, "**/*") == ["a.svs"]

    def test_a_mirax_slide_counts_once(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.mrxs", "a/Data0000.dat", "a/Slidedat.ini", "a/preview.jpg")
        assert found(tmp_path, ".") == ["a.mrxs"]
        assert found(tmp_path, "*") == ["a.mrxs"]

    def test_a_hamamatsu_slide_counts_once(self, tmp_path: Path) -> None:
        touch(tmp_path, "a(0,0).jpg", "a(1,0).jpg", "a_macro.jpg", "photograph.jpg")
        index = "[Virtual Microscope Specimen]\nImageFile=a(0,0).jpg\nImageFile(1,0)=a(1,0).jpg\n"
        (tmp_path / "a.vms").write_text(index + "MacroImage=a_macro.jpg\n")
        assert found(tmp_path, ".") == ["a.vms", "photograph.jpg"]

    def test_an_ome_image_in_several_files_counts_once(self, tmp_path: Path) -> None:
        named = "".join(f'<TiffData><UUID FileName="{name}.ome.tif"/></TiffData>' for name in "ab")
        parts = [tmp_path / f"{name}.ome.tif" for name in "ab"]
        for path in parts:
            tifffile.imwrite(path, section(300, 200), description=f"<OME>{named}</OME>")
        other = write_ome_pyramid(tmp_path / "c.ome.tif", section(300, 200))
        assert find_slides([str(tmp_path)]) == [parts[0], other]

    def test_a_dicom_folder_is_one_slide_at_any_depth(self, tmp_path: Path) -> None:
        write_dicom(tmp_path, "cases/one/1.dcm", "cases/one/2.dcm", "cases/two/level")
        touch(tmp_path, "cases/three.svs")
        assert found(tmp_path, "cases") == ["cases/three.svs", "cases/one", "cases/two"]
        assert found(tmp_path, "cases/one") == ["cases/one"]

    def test_each_series_of_a_dicom_folder_is_a_slide(self, tmp_path: Path) -> None:
        touch(tmp_path, "scans/notes.txt", "scans/below/c.svs")
        for name, series in (("a0", "1"), ("a1", "1"), ("b0", "2"), ("b1", "2")):
            write_dicom_level(tmp_path / "scans" / f"{name}.dcm", section(90, 60), series)
        each = ["scans/a0.dcm", "scans/b0.dcm"]
        assert found(tmp_path, "scans") == [*each, "scans/below/c.svs"]
        assert found(tmp_path, ".") == [*each, "scans/below/c.svs"]
        assert found(tmp_path, "scans/*.dcm") == each
        assert found(tmp_path, "scans/b1.dcm", "scans/a1.dcm", "scans/b0.dcm") == [
            "scans/b1.dcm",
            "scans/a1.dcm",
        ]

    def test_a_dicom_slide_counts_once_by_folder_and_by_file(self, tmp_path: Path) -> None:
        (tmp_path / "scan").mkdir()
        for name in ("1", "2"):
            write_dicom_level(tmp_path / "scan" / f"{name}.dcm", section(90, 60), "1")
        assert found(tmp_path, "scan/1.dcm", "scan", "scan/2.dcm") == ["scan/1.dcm"]
        assert found(tmp_path, "scan", "scan/2.dcm") == ["scan"]

    def test_dicom_that_is_no_slide_is_left_out(self, tmp_path: Path) -> None:
        annotations = "1.2.840.10008.5.1.4.1.1.91.1"
        touch(tmp_path, "a.svs")
        write_dicom_object(tmp_path / "marks.dcm", [(0x0020000E, "UI", "1.2.3")], annotations)
        write_dicom_level(tmp_path / "label.dcm", section(90, 60), "1", kind="LABEL")
        assert found(tmp_path, ".") == ["a.svs"]
        assert found(tmp_path, "*") == ["a.svs"]
        assert found(tmp_path, "marks.dcm") == ["marks.dcm"]

    def test_one_without_slides_is_reported_by_its_name(self, tmp_path: Path) -> None:
        touch(tmp_path, "empty/letter.txt")
        with pytest.raises(SlideNotFoundError, match=r"no slide in .*empty: .*DICOM"):
            found(tmp_path, "empty")

    def test_links_in_a_circle_end(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", "below/b.svs")
        (tmp_path / "below" / "up").symlink_to(tmp_path)
        assert found(tmp_path, ".") == ["a.svs", "below/b.svs"]

    def test_junctions_of_windows_in_a_circle_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        touch(tmp_path, "a.svs", "below/b.svs")
        junction = tmp_path / "below" / "up"
        junction.symlink_to(tmp_path)
        # A junction is no symbolic link.
        monkeypatch.setattr(Path, "is_symlink", lambda _path: False)
        monkeypatch.setattr("os.path.isjunction", lambda path: path == junction, raising=False)
        assert found(tmp_path, ".") == ["a.svs", "below/b.svs"]

    @pytest.mark.parametrize("name", ["", ".", "..", "../b.svs", "C:\\b.svs", "/b.svs"])
    def test_parts_that_are_no_names_of_files_beside_do_no_harm(
        self, tmp_path: Path, name: str
    ) -> None:
        touch(tmp_path, "in/b.svs", "b.svs")
        (tmp_path / "in" / "a.vms").write_text(f"NoLayers=1\nImageFile={name}\n")
        ome = f'<OME><TiffData><UUID FileName="{name}"/></TiffData></OME>'
        tifffile.imwrite(tmp_path / "in" / "c.ome.tif", section(300, 200), description=ome)
        assert found(tmp_path, "in") == ["in/a.vms", "in/b.svs", "in/c.ome.tif"]


class TestPatterns:
    def test_they_match_slides_sorted_by_name(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.svs", "a.svs", "c.tif", "a.txt")
        assert found(tmp_path, "*.svs") == ["a.svs", "b.svs"]
        assert found(tmp_path, "[bc].*") == ["b.svs", "c.tif"]
        assert found(tmp_path, "?.*") == ["a.svs", "b.svs", "c.tif"]

    def test_two_stars_go_down(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", "x/b.svs", "x/y/c.svs", "x/y/d.tif")
        assert found(tmp_path, "**/*.svs") == ["a.svs", "x/b.svs", "x/y/c.svs"]

    def test_folders_they_match_are_gone_through(self, tmp_path: Path) -> None:
        touch(tmp_path, "2024/a.svs", "2025/deep/b.svs", "2026/c.svs")
        assert found(tmp_path, "202[45]") == ["2024/a.svs", "2025/deep/b.svs"]

    def test_one_that_matches_no_slide_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", "a.txt")
        for pattern in ("*.ndpi", "*.txt"):
            with pytest.raises(SlideNotFoundError, match=r"no slide matches .*\*\.(ndpi|txt)"):
                found(tmp_path, "a.svs", pattern)

    def test_a_file_may_be_called_like_a_pattern(self, tmp_path: Path) -> None:
        touch(tmp_path, "case [1].svs", "case 1.svs")
        assert found(tmp_path, "case [1].svs") == ["case [1].svs"]


class TestFiles:
    def test_a_file_counts_whatever_its_name(self, tmp_path: Path) -> None:
        touch(tmp_path, "slide.img")
        assert found(tmp_path, "slide.img") == ["slide.img"]

    def test_one_that_is_missing_is_left_to_opening(self, tmp_path: Path) -> None:
        assert found(tmp_path, "missing.svs") == ["missing.svs"]

    def test_each_counts_once_in_the_order_given(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.svs", "b.svs")
        assert found(tmp_path, "b.svs", ".", "*.svs", "./b.svs") == ["b.svs", "a.svs"]
