"""Slides that lists name, and folders at addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from napari_smse.errors import SlideNotFoundError
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.batch.listed_slides import read_slide_list
from support.remote import in_memory
from support.slides import noise_image, write_pyramid_tiff

__all__ = ["in_memory"]  # the fixture


def test_a_text_names_a_slide_a_line(tmp_path: Path) -> None:
    write_pyramid_tiff(tmp_path / "a.tif", noise_image(300, 200))
    (tmp_path / "list.txt").write_text(
        "\ufeffa.tif\n\n# a comment\n  https://me:secret@host/b.svs?token=x \r\ns3://c/d.tif#2\na.tif\n"
    )
    found = find_slides([str(tmp_path / "list.txt")])
    assert list(map(str, found)) == [
        str(tmp_path / "a.tif"),
        "https://host/b.svs",
        "s3://c/d.tif#2",
    ]


@pytest.mark.parametrize(
    "table",
    ["case,slide\n1,a.tif\n2,https://host/b.svs\n", "a.tif\nhttps://host/b.svs\n"],
)
def test_a_table_names_them_in_a_column(tmp_path: Path, table: str) -> None:
    (tmp_path / "list.csv").write_text(table)
    found = read_slide_list(tmp_path / "list.csv")
    assert found == [str(tmp_path / "a.tif"), "https://host/b.svs"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "names no slide"), (b"# none\n", "names no slide"), (b"\xff\xfe\x00", "no UTF-8 text")],
)
@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_lists_of_nothing_are_named(
    tmp_path: Path, content: bytes, reason: str, suffix: str
) -> None:
    (tmp_path / f"list.{suffix}").write_bytes(content)
    with pytest.raises(SlideNotFoundError, match=rf"the list .*list\.{suffix} .*{reason}"):
        find_slides([str(tmp_path / f"list.{suffix}")])
    with pytest.raises(SlideNotFoundError, match="cannot be read"):
        find_slides([str(tmp_path / f"none.{suffix}")])


def test_a_folder_at_an_address_stands_for_what_lies_below(in_memory: MemoryFileSystem) -> None:
    for name in ("a.svs", "deep/b.tif", "notes.md", "c.zarr/zarr.json", "c.zarr/0/c/0/0"):
        in_memory.pipe(f"/bucket/{name}", b"x")
    found = find_slides(["memory://bucket/"])
    assert list(map(str, found)) == [
        "memory://bucket/a.svs",
        "memory://bucket/c.zarr",
        "memory://bucket/deep/b.tif",
    ]
    in_memory.pipe("/empty/notes.md", b"x")
    with pytest.raises(SlideNotFoundError, match=r"no slide below memory://empty/"):
        find_slides(["memory://empty/"])
