"""Addresses as paths."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from napari_smse.errors import CopyFirstError, SlideNotFoundError
from napari_smse.results.folder import result_folder_names
from napari_smse.slides.identity import path_text, slide_name, text_path
from napari_smse.slides.image_number import file_and_image, with_image
from napari_smse.slides.remote_path import RemotePath, slide_path
from support.remote import impatient, in_memory, server
from support.slide_server import SlideServer

__all__ = ["impatient", "in_memory", "server"]  # the fixtures
SECRET = "https://me:secret@host/folder/CMU%201.ome.tif?token=secret"


def test_an_address_is_a_path_whose_text_is_without_credentials() -> None:
    path = slide_path(SECRET)
    assert isinstance(path, RemotePath)
    assert str(path) == path_text(path) == "https://host/folder/CMU%201.ome.tif"
    assert path.url == SECRET
    assert "secret" not in f"{path} {path!r} {path.name} {path.parent} {path.absolute()}"
    assert (path.suffix, str(path.parent)) == (".tif", "https://host/folder")


def test_credentials_are_found_again_in_this_process_and_go_to_another() -> None:
    path = slide_path(SECRET)
    for again in (str(path), Path(path), Path(str(path)), text_path(path_text(path))):
        assert slide_path(again).url == SECRET  # type: ignore[attr-defined]
    assert b"secret" in pickle.dumps(path)
    assert pickle.loads(pickle.dumps(path)).url == SECRET


def test_what_lies_in_a_folder_is_reached_with_its_credentials() -> None:
    folder = slide_path("https://me:secret@host/a.zarr")
    assert (folder / "0" / "zarr.json").url == "https://me:secret@host/a.zarr/0/zarr.json"  # type: ignore[attr-defined]


def test_one_of_several_images_has_the_number_behind_the_address() -> None:
    path = slide_path(f"{SECRET}#2")
    assert str(path) == "https://host/folder/CMU%201.ome.tif#2"
    assert path.url == SECRET  # type: ignore[attr-defined]
    file, number = file_and_image(path)
    assert (str(file), number) == ("https://host/folder/CMU%201.ome.tif", 2)
    assert with_image(file, 2) == path == pickle.loads(pickle.dumps(path))


def test_names_are_those_of_the_files_and_fit_folders() -> None:
    assert slide_name(slide_path(SECRET)) == "CMU 1"
    assert slide_name(slide_path(f"{SECRET}#2")) == "CMU 1#2"
    assert slide_name(slide_path("https://host/get?id=7&sig=secret")) == "get_id_7"
    names = result_folder_names(
        [slide_path("https://me:secret@host/a.svs"), slide_path("s3://b/c.tif")]
    )
    assert names == ["a", "c"]
    same = ["https://host/one/a.svs?sig=secret", "https://host/two/a.svs?sig=secret"]
    assert result_folder_names([slide_path(url) for url in same]) == ["one_a.svs", "two_a.svs"]


def test_paths_of_this_machine_stay_what_they_are(tmp_path: Path) -> None:
    assert slide_path("a/b.svs") == Path("a/b.svs").absolute()
    assert slide_path((tmp_path / "a b.svs").as_uri()) == tmp_path / "a b.svs"
    assert not isinstance(slide_path(tmp_path), RemotePath)


def test_what_lies_there_is_asked_over_the_network(server: SlideServer) -> None:
    (server.folder / "a.tif").write_bytes(bytes(range(256)) * 300)
    path = slide_path(f"{server.url}/a.tif")
    assert path.exists()
    assert path.is_file()
    assert path.stat().st_size == 76_800
    with path.open("rb") as stream:
        assert (stream.seek(-3, 2), stream.read(9)) == (76_797, b"\xfd\xfe\xff")
    assert not slide_path(f"{server.url}/b.tif").exists()
    with pytest.raises(SlideNotFoundError, match=r"there is no file http://.*/b\.tif"):
        slide_path(f"{server.url}/b.tif").stat()


def test_folders_are_not_listed_and_nothing_is_written() -> None:
    with pytest.raises(CopyFirstError, match="copy it first"):
        list(slide_path("s3://bucket/folder").iterdir())
    with pytest.raises(CopyFirstError, match="copy it first"):
        slide_path("s3://bucket/a.svs").open("w")
