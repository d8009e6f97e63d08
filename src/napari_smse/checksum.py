"""A checksum within a file, over all else that the file says.

What was written with one is compared with it when it is read. A file without one, from an earlier
version or edited by hand, is read as it is: readers refuse fields that they do not know, so that
damage cannot make a checksum look like no checksum.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHECKSUM: Final = "checksum"
"""The field."""

_log = logging.getLogger(__name__)


def with_checksum(
    facts: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, Any]:
    """Return facts with their checksum.

    Parameters
    ----------
    facts
        That JSON can hold.
    tensors
        Of the same file, which the checksum covers as well.
    """
    return {**facts, CHECKSUM: _checksum(facts, tensors or {})}


def without_checksum(
    facts: Mapping[str, Any],
    path: Path | str,
    tensors: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, Any]:
    """Return facts as they were before `with_checksum`, which is compared.

    Parameters
    ----------
    facts
        As read.
    path
        Of the file, to be named in the log if it has no checksum.
    tensors
        As for `with_checksum`.

    Raises
    ------
    ValueError
        They are not what was written.
    """
    stated = {name: value for name, value in facts.items() if name != CHECKSUM}
    if CHECKSUM not in facts:
        _log.debug("%s has no checksum, and is not checked", path)
    elif facts[CHECKSUM] != _checksum(stated, tensors or {}):
        raise ValueError("it does not have its checksum")
    return stated


def facts_hash(facts: Mapping[str, Any], name: str) -> str:
    """Return the SHA-256 of facts as JSON with sorted keys, but for the one of this name."""
    stated = {key: value for key, value in facts.items() if key != name}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def files_hash(folder: Path, pattern: str) -> str:
    """Return the SHA-256 of names and content of the files of a folder that match a pattern."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob(pattern)):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _checksum(facts: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
