"""Where files of a session are: as they were opened, and from the session's own folder.

So a folder with slides and session may be moved, and so may either of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_smse.address import is_url
from napari_smse.slides import file_and_image
from napari_smse.slides.identity import path_text, text_path
from napari_smse.slides.remote_path import RemotePath


class Place(BaseModel):
    """The place of a file or folder.

    Attributes
    ----------
    path
        Absolute; a URL without credentials; or the name of a model that comes with the program.
    relative
        From the folder of the session, with ``/`` between folders; empty if there is no such way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    relative: str = ""

    @property
    def name(self) -> str:
        """What it is called, without its folder."""
        return _path(self.path).name


def place_of(path: Path | str, session: Path) -> Place:
    """Return the place of a file as a session is to state it.

    Parameters
    ----------
    path
        Of the file or folder; a name that is no path is kept as it is.
    session
        The file of the session.
    """
    if is_url(path) or (isinstance(path, str) and not file_and_image(Path(path))[0].exists()):
        return Place(path=path_text(path))
    absolute = Path(path).absolute()
    try:
        relative = Path(os.path.relpath(absolute, session.absolute().parent)).as_posix()
    except ValueError:  # on another drive of Windows
        relative = ""
    return Place(path=path_text(absolute), relative=path_text(relative))


def places_to_look(place: Place, session: Path) -> Iterator[Path]:
    """Yield where a file may be, the likeliest first: none of the places need exist.

    It is looked for from the session's folder, then where it was, then beside the session by its
    name.

    Parameters
    ----------
    place
        As the session states it.
    session
        The file of the session, where it is now.
    """
    was, folder = _path(place.path), session.absolute().parent
    if isinstance(was, RemotePath):
        yield was
        return
    relative = os.path.normpath(folder / place.relative) if place.relative else ""
    beside = folder / was.name if was.name else was
    tried: set[Path] = set()
    for path in (_path(relative) if relative else was, was, beside):
        if path not in tried:
            tried.add(path)
            yield path


def _path(text: str) -> Path:
    try:
        return text_path(text)
    except OSError:  # too long for a path: nothing lies there
        return Path(text)


def is_there(path: Path) -> bool:
    """Whether something lies at a place, of a path that ends with ``#2`` the file."""
    try:
        return isinstance(path, RemotePath) or file_and_image(path)[0].exists()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def was_moved(place: Place, found: Path, session: Path) -> bool:
    """Whether a file was found by its name alone, and neither where it was nor along the way."""
    if not is_there(found) or isinstance(found, RemotePath):
        return False
    return found == list(places_to_look(place, session))[-1] and found != _path(place.path)
