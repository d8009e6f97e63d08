"""What was said of tiles, in a GeoJSON collection and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.annotations.tile_notes import (
    MEMBER,
    PairConstraint,
    TileCorrection,
    TileNotes,
    TilePlace,
    notes_member,
    read_notes,
)
from napari_smse.errors import RegionError

HERE = Path("a.geojson")
PLACES = st.builds(
    TilePlace,
    st.text(min_size=1),
    st.floats(0.05, 10),
    *(st.integers(0, 2**31) for _ in range(4)),
)
LINKS = st.builds(PairConstraint, PLACES, PLACES, st.booleans(), st.uuids().map(str))
REMARKS = st.builds(
    TileCorrection, PLACES, st.sampled_from(["class", "ignore", "exemplar"]), st.text()
)


@given(st.lists(LINKS, max_size=4), st.lists(REMARKS, max_size=4))
def test_any_notes_come_back(
    links: list[PairConstraint], corrections: list[TileCorrection]
) -> None:
    text = json.dumps({"type": "FeatureCollection", **notes_member(links, corrections)})
    assert read_notes(json.loads(text), HERE) == TileNotes(tuple(links), tuple(corrections))


def test_nothing_said_adds_nothing() -> None:
    assert notes_member((), ()) == {}
    assert read_notes({}, HERE) == TileNotes()


def damaged(change: Any) -> dict[str, Any]:
    place = TilePlace("hash", 0.5, 0, 0, 224, 224)
    found = json.loads(json.dumps(notes_member([PairConstraint(place, place, True)], ())))
    change(found[MEMBER])
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["links"][0].pop("alike"),
        lambda one: one["links"][0].update(first=7),
        lambda one: one["links"][0]["first"].update(mpp=float("nan")),
        lambda one: one["links"][0]["first"].update(mpp=0),
        lambda one: one.update(remarks=[{"says": "burn"}]),
        lambda one: one.update(links={"a": 1}),
    ],
)
def test_damage_is_told_with_the_file(change: Any) -> None:
    with pytest.raises(RegionError, match=r"links and remarks on tiles in a\.geojson"):
        read_notes(damaged(change), HERE)


def test_what_a_later_version_adds_is_read_past() -> None:
    found = damaged(lambda one: one.update(colour="blue"))
    assert len(read_notes(found, HERE).constraints) == 1
