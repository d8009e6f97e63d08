"""Paths as text that any file and terminal takes, and back: not every path is UTF-8."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")


def path_text(path: str | Path) -> str:
    r"""Return a path or a name, with ``\udce9`` for the byte e9 where it is not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def text_path(text: str) -> Path:
    """Return the path that `path_text` made a text of."""
    path = Path(text)
    if os.name == "nt" or path.exists():  # names are Unicode there, and may hold a backslash here
        return path
    return Path(_ESCAPED.sub(lambda match: chr(int(f"dc{match[1]}", 16)), text))
