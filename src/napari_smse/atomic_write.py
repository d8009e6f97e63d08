"""Files that are written whole or not at all: a reader sees the old one or the new one."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from napari_smse.errors import OutputError

_REMEDIES = {
    errno.EACCES: "you may not write there; choose another output folder",
    errno.EPERM: "you may not write there; choose another output folder",
    errno.EROFS: "that disk is read-only; choose another output folder",
    errno.ENOSPC: "the disk is full; free some space or choose another output folder",
    errno.EDQUOT: "your quota is used up; free some space or choose another output folder",
    errno.EFBIG: "no file may be so large there; raise ulimit -f or choose another output folder",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another output folder",
    errno.EISDIR: "there is a folder of that name; remove it or choose another output folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter output folder",
}


_WINDOWS: Final = os.name == "nt"
_LONGEST_ON_WINDOWS: Final = 259
"""Characters of a path, unless the system was set to allow longer ones."""

_PAUSES: Final = (0.02, 0.1, 0.5) if _WINDOWS else ()
"""Seconds to wait: on Windows a scanner or an indexer may have a file open for a moment."""


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that names the file, the reason and the remedy in one line."""
    error = _of_the_system(error)
    reason = error.strerror or str(error).partition("\n")[0]
    remedy = _REMEDIES.get(error.errno or 0, f"{reason}; choose another output folder")
    remedy = (_windows_remedy(path, error) if _WINDOWS else "") or remedy
    return OutputError(f"cannot write {path}: {remedy}")


def _of_the_system(error: OSError) -> OSError:
    """Return the error that led to one of a library's own words, which may be pages of them."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError) and reason.errno is not None:
            return reason
        reason = reason.__cause__ or reason.__context__
    return error


def _windows_remedy(path: Path, error: OSError) -> str:
    """What else an error means on Windows; empty if nothing."""
    if error.errno == errno.ENOENT and len(str(path.absolute())) > _LONGEST_ON_WINDOWS:
        return (
            f"its path is longer than {_LONGEST_ON_WINDOWS} characters; choose an output folder "
            "with a shorter path, or have Windows allow long paths"
        )
    if error.errno == errno.EACCES:
        return (
            "another program has it open, or you may not write there; close it there, or choose "
            "another output folder"
        )
    return ""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a file to write beside `path`, and put it in its place at the end.

    A run that is killed leaves nothing behind that could be taken for a result.

    Parameters
    ----------
    path
        Path of the finished file; its folder must exist.

    Yields
    ------
    Path
        A file that does not exist yet, in the same folder.

    Raises
    ------
    OutputError
        If it cannot be written; the message names the remedy.
    """
    try:
        with _temporary_beside(path) as temporary:
            yield temporary
            _sync(temporary)
            _move(temporary, path)
    except OSError as error:
        raise output_error(path, error) from error


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder to make beside `path`, and put it in its place at the end.

    Parameters
    ----------
    path
        Path of the finished folder; the folders above it are made.
    overwrite
        What lies there may be replaced; it stays until the new one is whole.

    Yields
    ------
    Path
        A path at which nothing lies yet, in the same folder; a folder must be made there.

    Raises
    ------
    OutputError
        Something lies there already, or it cannot be written; the message names the remedy.
    """
    require_free([path], overwrite=overwrite)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    old = part.with_suffix(".old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if path.exists():
            _move(path, old)
        _move(part, path)
    except OSError as error:
        if old.exists() and not path.exists():
            _move(old, path)
        raise output_error(path, error) from error
    except OutputError as error:  # of a file in the part, whose name is gone with it
        raise OutputError(str(error).replace(str(part), str(path))) from error
    finally:
        for gone in (part, old):
            _remove(gone)


@contextmanager
def atomic_files(stem: Path) -> Iterator[Path]:
    """Yield a folder to make files in that belong together, and put them beside `stem` at the end.

    If one of them cannot be made, none is put there, and what lies there stays.

    Parameters
    ----------
    stem
        What the files are called after; its folder must exist.

    Yields
    ------
    Path
        A new folder beside it, which is gone afterwards.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    part = stem.with_name(f".{stem.name}.{uuid4().hex[:8]}.part")
    try:
        part.mkdir()
        yield part
        for file in sorted(part.iterdir()):
            _move(file, stem.with_name(file.name))
    except OSError as error:
        raise output_error(stem, error) from error
    finally:
        _remove(part)


def remove_parts(path: Path) -> None:
    """Remove what writers who ended left beside a path; only while nobody else writes there."""
    for part in parts_of(path):
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def require_free(paths: Iterable[Path], *, overwrite: bool = False) -> None:
    """Refuse to replace what lies at any of these paths, unless that was asked for.

    Raises
    ------
    OutputError
        Something lies there.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} lies there already: choose another folder, or have it replaced (Replace "
                "in the viewer, --overwrite in a shell, overwrite=True in Python)."
            )


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one, or none.

    Parameters
    ----------
    path
        The file; its folder must exist.
    content
        Its whole content.

    Raises
    ------
    OSError
        It cannot be written; the old file stays.
    """
    with _temporary_beside(path) as temporary:
        _write_synced(temporary, content)
        _move(temporary, path)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet: of two writers one is first.

    Parameters
    ----------
    path
        The file; its folder must exist.
    content
        Its whole content.

    Raises
    ------
    FileExistsError
        It is there, also where another program wrote it this very moment; it is left as it is.
    OSError
        It cannot be written.
    """
    with _temporary_beside(path) as temporary:
        _write_synced(temporary, content)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            raise
        except OSError:
            # Some disks and shares have no links: a check first leaves a moment in between.
            if path.exists():
                raise FileExistsError(path) from None
            temporary.rename(path)


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Yield the name of a file beside a path, which is gone afterwards unless it was moved."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def parts_of(path: Path) -> Iterator[Path]:
    """Yield what was to become a path, and lies beside it as its writer was killed."""
    return path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part")


def _move(temporary: Path, path: Path) -> None:
    """Put a file in the place of another."""
    for pause in _PAUSES:
        try:
            temporary.replace(path)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    temporary.replace(path)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(path: Path) -> None:
    """Bring to the disk what was written: after a power cut the new name must not be empty."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def require_folder(path: Path, what: str) -> None:
    """Refuse to start long work whose result could not be written.

    Parameters
    ----------
    path
        What is to be written.
    what
        What to call it in the message.

    Raises
    ------
    OutputError
        The path's folder does not exist.
    """
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {what} {path}: its folder does not exist; create it first")
