"""The index that the user chose: what is remembered of it, and what may go wrong with that."""

from __future__ import annotations

import json
import logging

import pytest

from napari_smse.widgets.index import settings as index_settings
from napari_smse.widgets.index.settings import IndexSettings

pytestmark = pytest.mark.gui


@pytest.fixture
def path(tmp_path):
    """Where the choice is remembered in tests."""
    made = index_settings.choice_path()
    assert made.parent == tmp_path
    return made


def test_nothing_is_chosen_and_nothing_written_at_first(path, qapp):
    choice = IndexSettings()
    assert choice.folder is None
    assert not choice.takes_scored
    choice.take_scored(True)
    assert not choice.takes_scored
    assert not path.exists()


def test_the_choice_is_the_same_in_all_docks_and_after_the_next_start(path, qapp, tmp_path):
    choice = index_settings.index_settings()
    assert index_settings.index_settings() is choice
    choice.choose(tmp_path / "a")
    choice.take_scored(True)
    again = IndexSettings()
    assert (again.folder, again.takes_scored) == (tmp_path / "a", True)
    choice.take_scored(False)
    assert not IndexSettings().takes_scored


def test_another_folder_takes_nothing_until_it_is_told_to(qapp, tmp_path):
    choice = IndexSettings()
    choice.choose(tmp_path / "mine")
    choice.take_scored(True)
    choice.choose(tmp_path / "a colleague's")
    assert not choice.takes_scored
    choice.choose(tmp_path / "mine")
    assert choice.takes_scored


def test_every_change_is_told(qapp, tmp_path):
    choice, told = IndexSettings(), []
    choice.changed.connect(lambda: told.append((choice.folder, choice.takes_scored)))
    choice.choose(tmp_path)
    choice.take_scored(True)
    choice.take_scored(True)
    assert told == [(tmp_path, False), (tmp_path, True)]


def test_two_programs_remember_both_what_was_ticked(qapp, tmp_path):
    one, other = IndexSettings(), IndexSettings()
    for choice, name in ((one, "a"), (other, "b")):
        choice.choose(tmp_path / name)
        choice.take_scored(True)
    again = IndexSettings()
    assert again.folder == tmp_path / "b"
    assert again.takes_scored
    again.choose(tmp_path / "a")
    assert again.takes_scored


def test_a_folder_is_remembered_wherever_the_next_start_is_from(qapp, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    IndexSettings().choose(type(tmp_path)("here"))
    monkeypatch.chdir(tmp_path.parent)
    assert IndexSettings().folder == tmp_path / "here"


@pytest.mark.parametrize(
    "content",
    [
        b'{"format": "napari-smse ch',
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": "napari-smse chosen index", "version": 2, "folder": "/x", "taking": []}',
        b'{"format": "napari-smse chosen index", "version": 1, "folder": 3, "taking": []}',
        b'{"format": "napari-smse chosen index", "version": 1, "folder": "/x", "taking": 3}',
    ],
)
def test_what_cannot_be_read_is_as_if_nothing_was_chosen(path, qapp, tmp_path, caplog, content):
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        choice = IndexSettings()
    assert choice.folder is None
    assert str(path) in caplog.text
    choice.choose(tmp_path)
    assert IndexSettings().folder == tmp_path


def test_what_cannot_be_remembered_holds_until_the_end(path, qapp, tmp_path, caplog):
    path.mkdir()
    (path / "in the way").touch()
    choice = IndexSettings()
    choice.choose(tmp_path / "a")
    choice.take_scored(True)
    assert "not remembered" in caplog.text
    choice.choose(tmp_path / "b")
    choice.choose(tmp_path / "a")
    assert choice.takes_scored


def test_it_is_written_whole(path, qapp, tmp_path):
    choice = IndexSettings()
    choice.choose(tmp_path)
    choice.take_scored(True)
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told == {
        "format": "napari-smse chosen index",
        "version": 1,
        "folder": str(tmp_path),
        "taking": [str(tmp_path)],
    }
    assert [one.name for one in path.parent.iterdir()] == [path.name]
