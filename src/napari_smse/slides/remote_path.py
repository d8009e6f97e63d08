"""The path of a slide at an address: a `pathlib.Path` wherever one is wanted.

Its text is the address without credentials, so that it may stand in every message, record and
list. What was given with it is remembered in this process, goes along to workers, and is written
nowhere.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from napari_smse.address import file_system, is_url, without_credentials
from napari_smse.errors import CopyFirstError, SlideNotFoundError, UnreachableSlideError
from napari_smse.slides.byte_ranges import ByteRanges, FileState
from napari_smse.slides.dicomweb_series import DicomwebSeries, is_series
from napari_smse.slides.fsspec_ranges import FsspecRanges
from napari_smse.slides.http_ranges import HttpRanges
from napari_smse.slides.remote_file import RemoteFile, RemoteStream

if TYPE_CHECKING:
    _LocalPath = Path
else:
    _LocalPath = type(Path())  # PosixPath or WindowsPath: Path itself cannot be derived from

_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+(.*)", re.DOTALL)
_QUERY: Final = re.compile(r"[?&=:]+")
_NUMBER: Final = re.compile(r"#[1-9]\d{0,3}$")
_LOCAL_SCHEMES: Final = frozenset({"file", "local"})

_given: Final[dict[str, str]] = {}
"""Addresses with credentials, by those without."""

_states: Final[dict[str, FileState]] = {}
_lock: Final = threading.Lock()


def slide_path(place: str | Path) -> Path:
    """Return the path that a text stands for: a `RemotePath` of a URL, else an absolute one.

    Parameters
    ----------
    place
        A path; or a URL of anything that fsspec reaches, with its credentials if it needs some.
    """
    if isinstance(place, RemotePath) or not is_url(place):
        return Path(place).absolute() if not isinstance(place, RemotePath) else place
    url = _as_url(str(place))
    parts = urlsplit(url)
    if parts.scheme in _LOCAL_SCHEMES:
        return Path(url2pathname(parts.path)).absolute()
    number = _NUMBER.search(url)
    bare = url.partition("#")[0]
    public = RemotePath(without_credentials(bare))
    if bare != str(public):
        _given[str(public)] = bare
    return public.with_name(public.name + number[0]) if number else public


def _as_url(text: str) -> str:
    """Return an address of which a path may have been made, which leaves out a slash."""
    if "://" in text:
        return text
    found = _PARTS.fullmatch(text)
    return text if found is None else f"{found[1]}://{found[2]}".replace("\\", "/")


class RemotePath(_LocalPath):
    """The path of a file at an address; made by `slide_path`.

    What asks for the file goes over the network: `exists`, `stat`, `open`. Folders cannot be
    listed.
    """

    def __str__(self) -> str:
        """Return the address without credentials."""
        return _as_url(super().__str__())

    def __fspath__(self) -> str:
        """Return the address without credentials."""
        return str(self)

    def __repr__(self) -> str:
        """Name the address without credentials."""
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the credentials along to another process."""
        number = _NUMBER.search(self.name)
        return slide_path, (self.url + (number[0] if number else ""),)

    @property
    def url(self) -> str:
        """The address with its credentials, if it was given with some: for no one's eyes."""
        text = _NUMBER.sub("", str(self))
        for place in (text, *(str(parent) for parent in RemotePath(text).parents)):
            if (given := _given.get(place)) is not None:
                head, question, query = given.partition("?")
                return head + text[len(place) :] + question + query
        return text

    @property
    def file_name(self) -> str:
        """The name as a file would have it: an address has ``%20`` for a blank."""
        name = unquote(self.name).replace("\\", "/").rpartition("/")[2]
        return _QUERY.sub("_", name)

    def state(self) -> FileState:
        """Ask what lies there now; whoever opens it next opens that.

        Raises
        ------
        SlideError
            One of its classes: there is nothing, or it cannot be reached.
        """
        state = _byte_ranges(self.url).state()
        with _lock:
            known = _states.get(str(self))
            if known != state or not state.version:
                _states[str(self)] = state
        return state

    def open_file(self) -> RemoteFile:
        """Open it to be read by position; raises as `state` does."""
        with _lock:
            state = _states.get(str(self))
        state = state or self.state()
        return RemoteFile(self.name, _byte_ranges(self.url), state, str(self))

    def absolute(self) -> RemotePath:
        """Return itself."""
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """Return itself."""
        return self

    def is_absolute(self) -> bool:
        """Return that it is."""
        return True

    def exists(self, **options: Any) -> bool:
        """Whether something lies there; raises as `state` does where that cannot be known."""
        try:
            self.state()
        except SlideNotFoundError:
            return False
        return True

    def is_dir(self, **options: Any) -> bool:
        """Whether its name is that of an OME-Zarr; nothing is asked of the server."""
        return _NUMBER.sub("", self.name).lower().endswith(".zarr")

    def is_file(self, **options: Any) -> bool:
        """Whether it is no folder."""
        return not self.is_dir()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return its size and, where it is known, the time of its last change."""
        state = self.state()
        when = int(state.seconds)
        kind = stat.S_IFREG | stat.S_IRUSR
        return os.stat_result((kind, 0, 0, 1, 0, 0, state.size, when, when, when))

    def open(self, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:  # type: ignore[override]
        """Open it to be read as bytes."""
        if mode != "rb" or is_series(self):
            raise CopyFirstError(f"{self} is only read where it is: copy it first")
        return cast("IO[Any]", RemoteStream(self.open_file(), str(self)))

    def iterdir(self) -> Any:
        """Raise, as folders there are not listed."""
        raise CopyFirstError(f"{self} is a folder that is not listed: copy it first")


def _byte_ranges(url: str) -> ByteRanges:
    """Return the file that a URL points to; nothing is asked of the server yet."""
    if is_series(url):
        return DicomwebSeries(url, without_credentials(url))
    files, path = file_system(url, UnreachableSlideError)
    if url.startswith(("http://", "https://")):
        return HttpRanges(url, files)
    return FsspecRanges(url, files, path)
