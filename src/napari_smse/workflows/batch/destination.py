"""Where results go: a folder on this machine, or one that a URL points to."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Protocol

import platformdirs

from napari_smse.address import is_url
from napari_smse.atomic_write import output_error
from napari_smse.results import STORE_NAME, RemoteFolder
from napari_smse.scoring import ScoreStore, WriteLock, folder_lock


class Destination(Protocol):
    """A place for one results folder a slide."""

    def folder(self, name: str) -> Path:
        """Return the local folder to score into."""
        ...

    def lock(self, name: str) -> WriteLock:
        """Take the right to write to the local folder; raises as `WriteLock` does."""
        ...

    def where(self, name: str) -> str:
        """Return where the results of a slide are, once they were delivered."""
        ...

    def read(self, name: str, file: str) -> bytes | None:
        """Return a file of finished results; None if there is none."""
        ...

    def exists(self, name: str, file: str) -> bool:
        """Whether finished results have a file."""
        ...

    def check_scores(self, name: str) -> None:
        """Raise `OutputError` if finished scores are damaged, where looking costs little."""
        ...

    def deliver(self, name: str) -> None:
        """Take the local folder, now whole, to where it belongs."""
        ...


class LocalDestination:
    """Folders in a folder of this machine: they are scored where they stay.

    Parameters
    ----------
    out
        The folder; made when it is needed.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def folder(self, name: str) -> Path:
        """Return the local folder to score into."""
        return self._out / name

    def lock(self, name: str) -> WriteLock:
        """Take the right to write to the folder of a slide."""
        return folder_lock(self.folder(name))

    def where(self, name: str) -> str:
        """Return where the results of a slide are."""
        return str(self._out / name)

    def read(self, name: str, file: str) -> bytes | None:
        """Return a file of finished results; None if there is none."""
        path = self._out / name / file
        try:
            return path.read_bytes()
        except OSError:
            return None  # if it lies in the way of new results, writing these says so

    def exists(self, name: str, file: str) -> bool:
        """Whether finished results have a file."""
        return (self._out / name / file).exists()

    def check_scores(self, name: str) -> None:
        """Read the scores; raises `OutputError` if that fails."""
        store = ScoreStore.open(self._out / name / STORE_NAME)
        for number in range(store.scale_count):
            store.scale(number)

    def deliver(self, name: str) -> None:
        """Do nothing: they are there."""


class RemoteDestination:
    """Folders where a URL points to: scored in the user's cache, and copied when whole.

    Parameters
    ----------
    url
        As ``s3://bucket/x``.

    Raises
    ------
    OutputError
        If what reaches it is not installed.
    """

    def __init__(self, url: str) -> None:
        self._remote = RemoteFolder(url)
        # A place of its own for each URL: what was stopped goes on there.
        place = hashlib.sha256(self._remote.url.encode()).hexdigest()[:16]
        self._staging = platformdirs.user_cache_path("napari-smse") / "to_upload" / place

    def folder(self, name: str) -> Path:
        """Return the local folder to score into."""
        return self._staging / name

    def lock(self, name: str) -> WriteLock:
        """Take the right to score into the cache and to copy from there.

        It holds among processes of this user on this machine: no file system behind a URL has locks
        that go with the process that took them.
        """
        file = f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"  # the folder itself goes
        return WriteLock(self._staging / file, self.folder(name))

    def where(self, name: str) -> str:
        """Return where the results of a slide are, once they were delivered."""
        return f"{self._remote.url}/{name}"

    def read(self, name: str, file: str) -> bytes | None:
        """Return a file of finished results; None if there is none."""
        return self._remote.read(f"{name}/{file}")

    def exists(self, name: str, file: str) -> bool:
        """Whether finished results have a file."""
        return self._remote.exists(f"{name}/{file}")

    def check_scores(self, name: str) -> None:
        """Do nothing: to read them, they would have to be fetched."""

    def deliver(self, name: str) -> None:
        """Copy the local folder, then remove it.

        Raises
        ------
        OutputError
            If it cannot be copied; it is then kept.
        """
        folder = self.folder(name)
        self._remote.put(folder, name)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise output_error(folder, error) from error


def destination_from(out: str) -> Destination:
    """Return the place that a path or URL means; raises as `RemoteDestination` does."""
    return RemoteDestination(out) if is_url(out) else LocalDestination(Path(out))
