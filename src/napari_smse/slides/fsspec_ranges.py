"""Parts of a file on any file system that fsspec knows, as S3 and Google's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from napari_smse.address import without_credentials
from napari_smse.errors import CopyFirstError
from napari_smse.slides.byte_ranges import Again, FileState, Part, trying

_VERSIONS: Final = ("ETag", "etag", "generation", "VersionId", "md5Hash", "content_md5")
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class FsspecRanges:
    """A file on any file system of fsspec.

    Parameters
    ----------
    url
        With its credentials.
    files, path
        The file system, and the path on it.
    """

    def __init__(self, url: str, files: Any, path: str) -> None:
        self._place = without_credentials(url)
        self._files = files
        self._path = path

    def state(self) -> FileState:
        """Ask what lies there now."""
        self._files.invalidate_cache()
        info = trying(self._place, lambda: self._files.info(self._path))
        if info.get("type") == "directory" or info.get("size") is None:
            raise CopyFirstError(f"{self._place} is no file that is read there: copy it first")
        when = next((info[name] for name in _TIMES if info.get(name)), "")
        version = next((info[name] for name in _VERSIONS if info.get(name)), when)
        seconds = when.timestamp() if hasattr(when, "timestamp") else 0.0
        return FileState(int(info["size"]), str(version), float(seconds))

    def fetch(self, parts: Sequence[Part], state: FileState) -> list[bytes]:
        """Return parts of the file, several requests at once where the file system can.

        Raises
        ------
        SlideError
            One of its classes.
        """
        starts, stops = [part[0] for part in parts], [part[1] for part in parts]

        def fetched() -> list[bytes]:
            found: list[bytes] = self._files.cat_ranges(
                [self._path] * len(parts), starts, stops, on_error="raise"
            )
            if [len(body) for body in found] != [stop - start for start, stop in parts]:
                raise Again("it ends early")
            return found

        return trying(self._place, fetched)
