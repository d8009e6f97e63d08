"""The index of slides that the user chose: known to all docks, and from one start to the next."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import platformdirs
from qtpy.QtCore import QObject, Signal

from napari_smse.atomic_write import atomic_path
from napari_smse.errors import OutputError

logger = logging.getLogger(__name__)

FORMAT: Final = "napari-smse chosen index"
VERSION: Final = 1


@dataclass(frozen=True)
class IndexChoice:
    """What is remembered.

    Attributes
    ----------
    folder
        The index; None if none was chosen.
    taking
        Indexes that take every slide that is scored. Choosing another one to search in it, such as
        a colleague's, is no leave to write there.
    """

    folder: Path | None = None
    taking: frozenset[Path] = frozenset()


def choice_path() -> Path:
    """Where the choice lies: with the models and annotations that are kept for the user."""
    return platformdirs.user_data_path("napari-smse") / "chosen_index.json"


class IndexSettings(QObject):
    """The index that was chosen, and whether it takes what is scored.

    Only the choice is kept here: nothing is read of the folder, which may be gone, or far away.
    """

    changed = Signal()
    """Another index was chosen, or it takes what is scored from now on, or no longer."""

    grew = Signal(str)
    """A slide is in it now; its quick hash."""

    def __init__(self) -> None:
        super().__init__()
        self._choice = read_choice(choice_path())
        self._remembered = True

    @property
    def folder(self) -> Path | None:
        """The index; None if none was chosen."""
        return self._choice.folder

    @property
    def takes_scored(self) -> bool:
        """Whether every slide that is scored goes into it."""
        return self.folder in self._choice.taking

    def choose(self, folder: Path) -> None:
        """Take another index, or look at the same one anew."""
        self._keep(replace(self._known(), folder=folder.absolute()))

    def take_scored(self, on: bool) -> None:
        """Say whether every slide that is scored goes into the index."""
        folder = self.folder
        if folder is not None and on is not self.takes_scored:
            others = self._known().taking - {folder}
            self._keep(IndexChoice(folder, others | {folder} if on else others))

    def _known(self) -> IndexChoice:
        """What is remembered by now: another viewer may have chosen meanwhile."""
        return read_choice(choice_path()) if self._remembered else self._choice

    def _keep(self, choice: IndexChoice) -> None:
        self._choice = choice
        self._remembered = write_choice(choice_path(), choice)
        self.changed.emit()


@cache
def index_settings() -> IndexSettings:
    """Return the one choice of this program."""
    return IndexSettings()


def read_choice(path: Path) -> IndexChoice:
    """Return what is remembered; nothing if there is nothing, or it cannot be read."""
    if not path.exists():
        return IndexChoice()
    try:
        return _choice_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        # A folder is soon chosen again; it must not keep a dock from opening.
        logger.warning("%s cannot be read and is not used", path, exc_info=True)
        return IndexChoice()


def write_choice(path: Path, choice: IndexChoice) -> bool:
    """Write it whole; False if that fails, and it holds only until the program ends."""
    record = {
        "format": FORMAT,
        "version": VERSION,
        "folder": None if choice.folder is None else str(choice.folder),
        "taking": sorted(map(str, choice.taking)),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
    except (OSError, OutputError):
        logger.warning("the chosen index is not remembered", exc_info=True)
        return False
    return True


def _choice_of(record: dict[str, Any]) -> IndexChoice:
    if (record["format"], record["version"]) != (FORMAT, VERSION):
        raise ValueError("another version wrote it")
    folder = None if record["folder"] is None else Path(record["folder"])
    return IndexChoice(folder, frozenset(map(Path, record["taking"])))
