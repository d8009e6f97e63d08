"""One slide of a file that holds several: the file's path, then ``#`` and its number from 1.

Such a path stands wherever that of a slide may: in a shell, in Python, in records and lists.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from napari_smse.address import is_url

_NUMBERED: Final = re.compile(r"(?P<name>.+)#(?P<number>[1-9]\d{0,3})")


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
