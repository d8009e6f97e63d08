"""How fast runtimes were on this machine, in a file that all programs share."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_smse.atomic_write import write_atomic
from napari_smse.scoring.device import Precision, Runtime
from napari_smse.scoring.runtimes.base import is_installed

_unwritten: dict[str, Any] = {}  # where nothing can be written, the decision holds for the process
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speed:
    """What was measured of one choice of runtime and precision.

    Parameters
    ----------
    runtime, precision
        The choice.
    tiles_per_s
        Tiles a second, of the fastest batch: what else the machine does can only slow one down.
    deviation
        Largest difference of a probability from torch's in float32, see `max_deviation`.
    """

    runtime: Runtime
    precision: Precision
    tiles_per_s: float
    deviation: float


def _memory() -> Path:
    return platformdirs.user_cache_path("napari-smse") / "fastest.json"


def _read_memory() -> dict[str, Any]:
    try:
        remembered = json.loads(_memory().read_text())
    except (OSError, ValueError):
        remembered = {}
    return _unwritten | (remembered if isinstance(remembered, dict) else {})


def stored_speeds(key: str) -> list[Speed]:
    """What was measured, of runtimes that are still installed; nothing if the file is damaged."""
    try:
        speeds = [Speed(**stored) for stored in _read_memory()[key]]
        return [speed for speed in speeds if is_installed(speed.runtime)]
    except (KeyError, TypeError):
        return []


def store_speeds(key: str, speeds: list[Speed]) -> list[Speed]:
    """Write speeds down, and return those that hold: another program may have been first.

    Two that measure beside each other disturb each other, and may find another order each.
    """
    if stored := stored_speeds(key):
        return stored
    path, remembered = _memory(), _read_memory() | {key: list(map(asdict, speeds))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(remembered, indent=2).encode())
    except OSError as error:
        _log.debug("%s cannot be written: %s", path, error)
        _unwritten[key] = remembered[key]
    return speeds
