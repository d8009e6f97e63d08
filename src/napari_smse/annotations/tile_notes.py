"""Annotations of single tiles and of the whole slide: constraints, corrections, and the case.

They lie in a GeoJSON file beside the annotations, as a member of the collection that is ours
(RFC 7946 allows such, and QuPath reads past it). Places are level-0 px from the slide's corner
whatever origin the geometries have, as constraints may lead to other slides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import Field, TypeAdapter, ValidationError

from napari_smse.errors import RegionError

MEMBER: Final = "napari_smse"
Action = Literal["class", "ignore", "exemplar"]


def _new_id() -> str:
    return str(uuid4())


@dataclass(frozen=True)
class TilePlace:
    """Where a tile lies, wherever its slide's file does.

    Attributes
    ----------
    slide
        Quick hash of the slide.
    mpp
        Scale the tile was scored at, um/px.
    x, y, width, height
        Level-0 px, of its top-left corner and its size.
    """

    slide: str
    mpp: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class PairConstraint:
    """Two tiles whose embeddings must lie together (must-link) or apart (cannot-link).

    Attributes
    ----------
    first, second
        The tiles, of the same slide or not.
    must_link
        Whether they must lie together, rather than apart; ``alike`` in a file.
    id
        A UUID.
    """

    first: TilePlace
    second: TilePlace
    must_link: Annotated[bool, Field(alias="alike")]
    id: str = field(default_factory=_new_id)


@dataclass(frozen=True)
class TileCorrection:
    """What is to be done with one tile when a model learns.

    Attributes
    ----------
    place
        The tile.
    action
        The tile is of another class than the region it lies in, it is not learnt from, or it is
        an exemplar that must not be forgotten; ``says`` in a file.
    class_name
        The class, if it is given one.
    """

    place: TilePlace
    action: Annotated[Action, Field(alias="says")]
    class_name: str = ""

    @property
    def about(self) -> tuple[TilePlace, bool]:
        """What it is about: the tile, and whether its class or its use as an exemplar.

        A later correction about the same goes before an earlier one.
        """
        return self.place, self.action == "exemplar"


@dataclass(frozen=True)
class TileNotes:
    """Constraints (``links`` in a file), corrections (``remarks``), and the slide's case."""

    constraints: Annotated[tuple[PairConstraint, ...], Field(alias="links")] = ()
    corrections: Annotated[tuple[TileCorrection, ...], Field(alias="remarks")] = ()
    case: str = ""


_NOTES: Final = TypeAdapter(TileNotes)


def notes_member(
    constraints: Sequence[PairConstraint], corrections: Sequence[TileCorrection], case: str = ""
) -> dict[str, Any]:
    """Return the members to add to a GeoJSON collection; none if there are no notes."""
    if not constraints and not corrections and not case:
        return {}
    notes = TileNotes(tuple(constraints), tuple(corrections), case)
    written = _NOTES.dump_python(notes, by_alias=True, warnings=False)
    if not case:
        del written["case"]
    return {MEMBER: written}


def read_tile_notes(path: Path) -> TileNotes:
    """Return the notes on tiles and the case in a GeoJSON file; empty if there are none.

    Raises
    ------
    RegionError
        The notes cannot be read.
    """
    text = path.read_text(encoding="utf-8-sig")
    # Files of other programs, which may be large, are not decoded for this.
    if f'"{MEMBER}"' not in text:
        return TileNotes()
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegionError(f"{path} is not JSON ({error}); save the annotations again") from error
    return read_notes(decoded, path) if isinstance(decoded, dict) else TileNotes()


def read_notes(collection: Mapping[str, Any], path: Path) -> TileNotes:
    """Return the notes on tiles in a GeoJSON collection.

    Parameters
    ----------
    collection
        The decoded file.
    path
        Its name, for the message.

    Raises
    ------
    RegionError
        The notes cannot be read.
    """
    given = collection.get(MEMBER, {})
    try:
        return _NOTES.validate_python(given)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise RegionError(
            f"The links and remarks on tiles in {path} cannot be read ({place}: {problem['msg']}): "
            f'mend or remove its member "{MEMBER}"; the regions are whole.'
        ) from error
