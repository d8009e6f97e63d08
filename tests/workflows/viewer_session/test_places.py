"""Files of a session are found where they were, along the way from it, and beside it."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.slides.remote_path import RemotePath
from napari_smse.workflows.viewer_session.places import (
    Place,
    is_there,
    place_of,
    places_to_look,
    was_moved,
)

PART = st.text(st.characters(categories=["L", "N", "P", "Z"], exclude_characters='/\\\0#:"<>|?*'))
PART = PART.filter(lambda text: text.strip(". ") == text and 0 < len(text.encode()) < 60)
FOLDERS = st.lists(PART, max_size=3)


@settings(max_examples=50)
@given(session=FOLDERS, slide=FOLDERS, name=PART)
def test_a_path_comes_back_as_seen_from_the_session(tmp_path_factory, session, slide, name):
    top = tmp_path_factory.getbasetemp()
    file = top.joinpath("session", *session, "a.json")
    path = top.joinpath("slides", *slide, name)
    place = place_of(path, file)
    assert "\\" not in place.relative
    assert next(places_to_look(place, file)) == path
    # Both moved together: another top, the same way from one to the other.
    moved = top.joinpath("elsewhere", "session", *session, "a.json")
    found = next(places_to_look(place, moved))
    assert found == top.joinpath("elsewhere", "slides", *slide, name)


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(place, session):
    path = next(filter(is_there, places_to_look(place, session)), None)
    return path, path is not None and was_moved(place, path, session)


def test_files_are_looked_for_along_the_way_then_where_they_were_then_beside(tmp_path):
    session = tmp_path / "study" / "a.json"
    slide = write(tmp_path / "study" / "slides" / "a.svs")
    place = place_of(slide, session)
    assert place == Place(path=str(slide), relative="slides/a.svs")
    assert found(place, session) == (slide, False)
    # The session alone was moved.
    assert found(place, tmp_path / "else" / "a.json") == (slide, False)
    # All was moved.
    shutil.move(tmp_path / "study", tmp_path / "new")
    assert found(place, tmp_path / "new" / "a.json") == (
        tmp_path / "new" / "slides" / "a.svs",
        False,
    )
    # The slide alone was moved, beside the session.
    beside = tmp_path / "new" / "a.svs"
    shutil.move(tmp_path / "new" / "slides" / "a.svs", beside)
    assert found(place, tmp_path / "new" / "a.json") == (beside, True)
    beside.unlink()
    assert found(place, tmp_path / "new" / "a.json") == (None, False)


def test_one_image_of_a_file_is_found_with_its_file(tmp_path):
    session = tmp_path / "a.json"
    write(tmp_path / "several.ome.tif")
    place = place_of(tmp_path / "several.ome.tif#2", session)
    assert found(place, session) == (tmp_path / "several.ome.tif#2", False)


def test_an_address_is_kept_without_credentials_and_looked_for_nowhere_else(tmp_path):
    url = RemotePath("https://host/folder/a.svs")
    place = place_of(url, tmp_path / "a.json")
    assert place == Place(path="https://host/folder/a.svs")
    assert list(places_to_look(place, tmp_path / "a.json")) == [url]


def test_the_name_of_a_model_is_no_path(tmp_path):
    assert place_of("bundled", tmp_path / "a.json") == Place(path="bundled")


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_comes_back(tmp_path):
    session = tmp_path / "a.json"
    slide = write(tmp_path / os.fsdecode(b"caf\xe9.svs"))
    place = place_of(slide, session)
    place.model_dump_json().encode()
    assert found(place, session) == (slide, False)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "", "/", ".."])
def test_what_is_no_path_is_found_nowhere_or_harmless(tmp_path, path):
    place = Place(path=path, relative=path)
    assert isinstance(list(filter(is_there, places_to_look(place, tmp_path / "a.json"))), list)
