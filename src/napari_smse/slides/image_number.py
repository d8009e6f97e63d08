"""One slide of a file that holds several: the file's path, then ``#`` and its number from 1.

Such a path stands wherever that of a slide may: in a shell, in Python, in records and lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from napari_smse.address import is_url
from napari_smse.errors import NotASlideError, SeveralSlidesError

_NUMBERED: Final = re.compile(r"(?P<name>.+)#(?P<number>[1-9]\d{0,3})")
_MAX_LISTED: Final = 8


def file_and_image(path: Path) -> tuple[Path, int | None]:
    """Return the file of a path, and which of its slides is meant, from 1; None if it says none.

    A file whose own name ends so is that file.
    """
    found = _NUMBERED.fullmatch(path.name)
    if found is None or (not is_url(path) and path.exists()):
        return path, None
    return path.with_name(found["name"]), int(found["number"])


def with_image(path: Path, number: int) -> Path:
    """Return the path of one slide of a file, from 1."""
    return path.with_name(f"{path.name}#{number}")


def chosen_index(described: Sequence[str], path: Path, number: int | None) -> int:
    """Return the index of the slide that is meant.

    Parameters
    ----------
    described
        A few words on each slide of the file, at least one.
    path
        The file, to be named.
    number
        Counted from 1; None where there is but one.

    Raises
    ------
    SeveralSlidesError
        There are several, and no number was given.
    NotASlideError
        There is none of this number.
    """
    if number is None and len(described) > 1:
        raise SeveralSlidesError(
            f"{path.name} holds {len(described)} slides ({_listed(described)}); open one of them, "
            f"such as {with_image(path, 1).name}"
        )
    if number is not None and number > len(described):
        raise NotASlideError(
            f"{path.name} has no slide {number}: it holds {len(described)} ({_listed(described)})"
        )
    return (number or 1) - 1


def _listed(described: Sequence[str]) -> str:
    lines = [f"{number}: {words}" for number, words in enumerate(described[:_MAX_LISTED], start=1)]
    more = [f"and {len(described) - _MAX_LISTED} more"] if len(described) > _MAX_LISTED else []
    return "; ".join([*lines, *more])
