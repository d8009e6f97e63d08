"""What a session's file says comes back from it; what is no session is refused in one line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.errors import OutputError, SessionError
from napari_smse.workflows.viewer_session.places import Place
from napari_smse.workflows.viewer_session.record import (
    FORMAT,
    VERSION,
    MapDisplay,
    ReferenceTiles,
    SessionMap,
    SessionRecord,
    SessionRun,
    SessionSlide,
    SessionView,
    read_session,
    write_session,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SIDE = st.integers(1, 10**6)
MPP = st.floats(0.02, 10)
SHARE = st.floats(0, 1)
PLACES = st.builds(Place, path=TEXT, relative=TEXT)
RUNS = st.builds(
    SessionRun,
    store=PLACES,
    model=PLACES,
    label=TEXT,
    weights_sha256=TEXT,
    mpps=st.lists(MPP, max_size=3).map(tuple),
    shown=st.none() | st.builds(SessionMap, class_name=TEXT, scale=TEXT),
)
SLIDES = st.builds(
    SessionSlide,
    place=PLACES,
    name=TEXT,
    quick_hash=TEXT,
    width=SIDE,
    height=SIDE,
    mpp=st.none() | MPP,
    view=st.none()
    | st.builds(
        SessionView, x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), px=st.floats(1e-3, 1e3)
    ),
    run=st.none() | RUNS,
    annotations=st.none() | st.just({"type": "FeatureCollection", "features": []}),
    regions_shown=st.booleans(),
)
DISPLAYS = st.builds(
    MapDisplay, colours=TEXT, low=SHARE, high=SHARE, threshold=SHARE, opacity=SHARE, draw=TEXT
)
RECORDS = st.builds(
    SessionRecord,
    format=st.just(FORMAT),
    version=st.just(VERSION),
    saved=st.just(datetime(2026, 12, 1, tzinfo=UTC)),
    by=TEXT,
    slides=st.lists(SLIDES, max_size=3).map(tuple),
    in_view=st.none() | st.integers(0, 3),
    display=DISPLAYS,
    model=st.none() | PLACES,
    classes=st.dictionaries(TEXT, st.tuples(*[st.integers(0, 255)] * 3), max_size=3),
    index=st.none() | PLACES,
    reference_tiles=st.lists(st.builds(ReferenceTiles, file=PLACES, model=TEXT), max_size=2).map(
        tuple
    ),
    docks=st.lists(TEXT, max_size=3).map(tuple),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("session") / "a.smse-session.json"


@given(record=RECORDS)
@settings(max_examples=30)
def test_what_is_written_is_read(path, record):
    write_session(path, record)
    assert read_session(path) == record


def empty(**changed):
    return {"format": FORMAT, "version": VERSION, "saved": "2026-12-01T00:00:00Z", **changed}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged, or no session"),
        (json.dumps(empty()).encode()[:-9], "damaged, or no session"),
        (b"\xff\xfe" + json.dumps(empty()).encode(), "damaged, or no session"),
        (b"[" * 100_000, "damaged, or no session"),
        (b"[]", "no session of napari-smse"),
        (b'{"format": "napari-smse run"}', "no session of napari-smse"),
        (json.dumps(empty(version=2, by="napari-smse 9.0")).encode(), "newer.*napari-smse 9.0"),
        (json.dumps(empty(version="1")).encode(), "damaged .version"),
        (json.dumps(empty(slides=[{}])).encode(), r"damaged .slides\.0\.place: Field required"),
        (json.dumps(empty(run_this="rm")).encode(), "damaged .run_this"),
        (json.dumps(empty(in_view=-1)).encode(), "damaged .in_view"),
        (json.dumps(empty(display={"opacity": 2})).encode(), r"damaged .display\.opacity"),
    ],
)
def test_what_is_no_session_is_refused_in_one_line(tmp_path, content, why):
    (tmp_path / "a.smse-session.json").write_bytes(content)
    with pytest.raises(SessionError, match=why) as told:
        read_session(tmp_path / "a.smse-session.json")
    assert "a.smse-session.json" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_number_that_is_none_is_refused(tmp_path):
    view = {"x": float("nan"), "y": 0, "px": 1}
    slide = {"place": {"path": "a"}, "name": "a", "quick_hash": "a", "width": 1, "height": 1}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(empty(slides=[{**slide, "view": view}])))
    with pytest.raises(SessionError, match="damaged"):
        read_session(path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SessionError, match="No such file"):
        read_session(tmp_path / "a.json")


def test_a_session_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    record = SessionRecord.model_validate(empty())
    path = tmp_path / "a.json"
    write_session(path, record)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(OutputError, match=r"a\.json"):
            write_session(path, record.model_copy(update={"by": "x"}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
