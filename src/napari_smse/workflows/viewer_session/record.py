"""What a file of a session says, and how it is written and read.

It names files and holds what was drawn; nothing in it is ever run.
"""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from napari_smse.atomic_write import atomic_path
from napari_smse.errors import SessionError
from napari_smse.workflows.viewer_session.places import Place

SUFFIX: Final = ".smse-session.json"
"""How the name of a session's file ends."""

FORMAT: Final = "napari-smse session"
VERSION: Final = 1
_MOST_BYTES: Final = 512 * 2**20

CLASS_COLOURS: Final = "Class colours"
"""The colour map that leads from the colour of the other class to that of a class."""

FILLED: Final = "Filled map"
CONTOURS: Final = "Contours"
BOTH: Final = "Filled map and contours"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionView(_Record):
    """Where a slide is looked at.

    Attributes
    ----------
    x, y
        Middle of the canvas, level-0 px.
    px
        Level-0 px per px of the canvas: 4 is a quarter of the full resolution.
    """

    x: Finite
    y: Finite
    px: Positive


class MapDisplay(_Record):
    """How heat maps are shown, all of them alike.

    Attributes
    ----------
    colours
        Name of the colour map.
    low, high
        Probabilities that the ends of the colours stand for.
    threshold
        Probability below which a cell is not coloured.
    opacity
        How much of the tissue the maps cover.
    draw
        Filled map, contours or both.
    contours_at
        Probability from which a place lies inside a contour.
    smooth, grey_tissue, hatch
        Whether maps are interpolated, tissue under them is grey, and what is out of distribution
        is hatched.
    """

    colours: str = CLASS_COLOURS
    low: Share = 0.0
    high: Share = 1.0
    threshold: Share = 0.0
    opacity: Share = 0.55
    draw: str = FILLED
    contours_at: Share = 0.5
    smooth: bool = False
    grey_tissue: bool = True
    hatch: bool = True

    @property
    def is_filled(self) -> bool:
        """Whether the tissue is coloured."""
        return self.draw != CONTOURS

    @property
    def fill(self) -> float:
        """Opacity of the maps' layers."""
        return self.opacity if self.is_filled else 0.0


class SessionMap(_Record):
    """The map of a run that is seen: of which class, at which scale."""

    class_name: str
    scale: str


class SessionRun(_Record):
    """The run in force of a slide.

    Attributes
    ----------
    store
        Its scores: in the cache, or in a folder of results.
    model
        What its model is loaded by.
    label
        Name and version of the model.
    weights_sha256
        Of the model's weights.
    mpps
        The scales, um/px.
    shown
        The map that is seen; None if none is.
    """

    store: Place
    model: Place
    label: str
    weights_sha256: str
    mpps: tuple[Positive, ...]
    shown: SessionMap | None = None


class SessionSlide(_Record):
    """A slide in the viewer.

    Attributes
    ----------
    place
        Its file or URL; ends with ``#2`` for the second image of a file.
    name
        What its layer is called.
    quick_hash, width, height
        By which it is known again; px of level 0.
    mpp
        um/px of level 0, if the user stated it.
    view
        Where it is looked at; None if it was never in view.
    run
        The run in force; None if there is none.
    annotations
        Regions, notes on tiles and the case, as GeoJSON in level-0 px.
    regions_shown
        Whether the regions are seen.
    """

    place: Place
    name: str
    quick_hash: str
    width: PositiveInt
    height: PositiveInt
    mpp: Positive | None = None
    view: SessionView | None = None
    run: SessionRun | None = None
    annotations: dict[str, Any] | None = None
    regions_shown: bool = True


class ReferenceTiles(_Record):
    """A file of reference tiles, and the SHA-256 of the weights that it is for."""

    file: Place
    model: str


class SessionRecord(_Record):
    """All that a session says.

    Attributes
    ----------
    saved, by
        When, and by which version.
    slides
        In the order of their layers.
    in_view
        Number of the slide in view, from 0.
    display
        How maps are shown.
    model
        What slides are to be scored with.
    classes
        Classes to annotate with and their colours, RGB 0..255, in order.
    index
        The chosen index of slides.
    reference_tiles
        Files of reference tiles that were loaded or saved.
    docks
        Names of the open docks; the last one is in front.
    """

    format: Literal["napari-smse session"] = "napari-smse session"
    version: Literal[1] = 1
    saved: datetime
    by: str = ""
    slides: tuple[SessionSlide, ...] = ()
    in_view: int | None = Field(default=None, ge=0)
    display: MapDisplay = MapDisplay()
    model: Place | None = None
    classes: dict[str, tuple[Byte, Byte, Byte]] = Field(default_factory=dict)
    index: Place | None = None
    reference_tiles: tuple[ReferenceTiles, ...] = ()
    docks: tuple[str, ...] = ()


def program() -> str:
    """Return name and version of this program."""
    try:
        return f"napari-smse {version('napari-smse')}"
    except PackageNotFoundError:
        return "napari-smse"


def write_session(path: Path, record: SessionRecord) -> None:
    """Write a session, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as part:
        part.write_text(record.model_dump_json(exclude_none=True) + "\n", encoding="utf-8")


def read_session(path: Path) -> SessionRecord:
    """Read a session.

    Raises
    ------
    SessionError
        It is not there, damaged, no session, or of a newer version.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SessionError(f"{path} is too large for a session: it is none, or damaged.")
        content = path.read_bytes()
    except OSError as error:
        raise SessionError(
            f"{path} cannot be read ({error.strerror or error}): check the path."
        ) from error
    _require_version(path, content)
    try:
        return SessionRecord.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise SessionError(
            f"{path} is damaged ({place}: {problem['msg']}): mend that place, or open the slides "
            "one by one."
        ) from error


def _require_version(path: Path, content: bytes) -> None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SessionError(
            f"{path} is damaged, or no session ({error}): open the slides one by one."
        ) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SessionError(
            f"{path} is no session of napari-smse: choose a file whose name ends with {SUFFIX}."
        )
    number = found.get("version")
    if isinstance(number, int) and number > VERSION:
        raise SessionError(
            f"{path} was saved by a newer version of this program ({found.get('by') or number}): "
            "update napari-smse (pip install --upgrade napari-smse)."
        )
