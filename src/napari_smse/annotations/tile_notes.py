"""What a person said of single tiles: links between two of them, and remarks on one.

They lie in a GeoJSON file beside the annotations, as a member of the collection that is ours
(RFC 7946 allows such, and QuPath reads past it). Places are level-0 px from the slide's corner
whatever origin the geometries have, as links may lead to other slides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import Field, TypeAdapter, ValidationError

from napari_smse.errors import RegionError

MEMBER: Final = "napari_smse"
Says = Literal["class", "ignore", "exemplar"]


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
    """Two tiles that must be alike, or must differ, whatever their class.

    Attributes
    ----------
    first, second
        The tiles, of the same slide or not.
    alike
        Whether they must be alike.
    id
        A UUID.
    """

    first: TilePlace
    second: TilePlace
    alike: bool
    id: str = field(default_factory=_new_id)


@dataclass(frozen=True)
class TileCorrection:
    """What is to be done with one tile when a model learns.

    Attributes
    ----------
    place
        The tile.
    says
        It is of another class than the region it lies in, it is not learnt from, or it is kept
        as an exemplar that must not be forgotten.
    class_name
        The class, if that is what it says.
    """

    place: TilePlace
    says: Says
    class_name: str = ""

    @property
    def about(self) -> tuple[TilePlace, bool]:
        """What it is about: of one tile, its class or that it is ignored, and that it is kept.

        A later remark about the same goes before an earlier one.
        """
        return self.place, self.says == "exemplar"


@dataclass(frozen=True)
class TileNotes:
    """All that was said of the tiles of a slide."""

    links: tuple[PairConstraint, ...] = ()
    remarks: tuple[TileCorrection, ...] = ()


_NOTES: Final = TypeAdapter(TileNotes)


def notes_member(
    links: Sequence[PairConstraint], remarks: Sequence[TileCorrection]
) -> dict[str, Any]:
    """Return the members to add to a GeoJSON collection; none if there is nothing to say."""
    if not links and not remarks:
        return {}
    return {MEMBER: asdict(TileNotes(tuple(links), tuple(remarks)))}


def read_tile_notes(path: Path) -> TileNotes:
    """Return what a GeoJSON file says of tiles; nothing if it does not.

    Raises
    ------
    RegionError
        What it says cannot be read.
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
    """Return what a GeoJSON collection says of tiles.

    Parameters
    ----------
    collection
        The decoded file.
    path
        Its name, for the message.

    Raises
    ------
    RegionError
        What it says cannot be read.
    """
    given = collection.get(MEMBER, {})
    try:
        return _NOTES.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RegionError(
            f"The links and remarks on tiles in {path} cannot be read ({place}: {first['msg']}): "
            f'mend or remove its member "{MEMBER}"; the regions are whole.'
        ) from error
