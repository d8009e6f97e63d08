"""Which files of encoders' weights were used on this machine, and what is in them.

So that a file needs to be named once, and one of gigabytes is read once to know it again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import platformdirs

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import OutputError
from napari_smse.models.encoders.encoder import Encoder

_log = logging.getLogger(__name__)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of weights.

    Parameters
    ----------
    path
        Of the file. One that was used before, and has neither its size nor its time changed, is not
        read again.

    Raises
    ------
    OSError
        It cannot be read.
    """
    entry, facts = _known().get(str(path.resolve()), {}), path.stat()
    if (entry.get("size"), entry.get("time")) == (facts.st_size, facts.st_mtime_ns):
        return str(entry["sha256"])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember_file(encoder: Encoder, path: Path, sha256: str) -> None:
    """Remember that an encoder was filled from a file, as the last one."""
    place, facts, known = str(path.resolve()), path.stat(), _known()
    # The last is the one that was used last.
    known.pop(place, None)
    known[place] = {
        "encoder": encoder.name,
        "size": facts.st_size,
        "time": facts.st_mtime_ns,
        "sha256": sha256,
    }
    _remember(known)


def last_file(encoder: Encoder, sha256: str = "") -> Path | None:
    """Return the file last used for an encoder that is still there; None if there is none.

    Parameters
    ----------
    encoder
        That was filled from it.
    sha256
        Of the content, if it is to be this.
    """
    places = [
        place
        for place, facts in _known().items()
        if facts.get("encoder") == encoder.name and sha256 in ("", facts.get("sha256"))
    ]
    return next((path for path in map(Path, reversed(places)) if path.is_file()), None)


def encoder_of_file(path: Path) -> str | None:
    """Return the name of the encoder that was filled from a file; None if that is not known."""
    name = _known().get(str(path.resolve()), {}).get("encoder")
    return name if isinstance(name, str) else None


def known_encoders() -> list[str]:
    """Return the names of the encoders whose weights were used on this machine and are there."""
    names = [facts.get("encoder") for place, facts in _known().items() if Path(place).is_file()]
    return sorted({name for name in names if isinstance(name, str)})


def _list_path() -> Path:
    return platformdirs.user_data_path("napari-smse") / "encoders" / "files.json"


def _known() -> dict[str, dict[str, Any]]:
    try:
        known = json.loads(_list_path().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {place: facts for place, facts in known.items() if isinstance(facts, dict)}


def _remember(known: dict[str, dict[str, Any]]) -> None:
    path = _list_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(known, indent=1).encode())
    except (OSError, OutputError) as error:
        _log.debug("%s cannot be written: %s", path, error)
