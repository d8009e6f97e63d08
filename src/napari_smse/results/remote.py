"""Results where a URL points to: S3 and whatever else fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_smse.address import file_system, plain_reason, without_credentials
from napari_smse.errors import OutputError
from napari_smse.results.folder import RECORD_NAME


class RemoteFolder:
    """A folder that a URL points to; it need not be there yet.

    Parameters
    ----------
    url
        URL, as ``s3://bucket/x``; everything fsspec has a backend for.

    Raises
    ------
    OutputError
        If its backend is not installed, or there is no such kind of place.
    """

    def __init__(self, url: str) -> None:
        self.url = without_credentials(url).rstrip("/")
        self._files, self._path = file_system(url.rstrip("/"), OutputError)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none.

        Raises
        ------
        OutputError
            If the place cannot be reached, or may not be read.
        """
        with self._naming_errors("read"):
            try:
                content: bytes = self._files.cat_file(f"{self._path}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                return None
        return content

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name; raises as `read` does."""
        with self._naming_errors("read"):
            return bool(self._files.exists(f"{self._path}/{name}"))

    def put(self, folder: Path, name: str) -> None:
        """Copy a results folder to one of a name, in place of what is there.

        The run record comes last: a copy that was interrupted has none, so that it never looks
        whole.

        Raises
        ------
        OutputError
            If it cannot be written. What was scored is still in the local folder.
        """
        target = f"{self._path}/{name}"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        content = [path for path in files if path != folder / RECORD_NAME]
        with self._naming_errors("write"):
            self._remove(target)
            self._put_all(
                [str(path) for path in content],
                [f"{target}/{path.relative_to(folder).as_posix()}" for path in content],
            )
            self._files.put_file(str(folder / RECORD_NAME), f"{target}/{RECORD_NAME}")

    def _put_all(self, local: list[str], remote: list[str]) -> None:
        if self._files.async_impl:
            self._files.put(local, remote)  # many at once
            return
        for source, target in zip(local, remote, strict=True):
            self._files.put_file(source, target)

    def _remove(self, target: str) -> None:
        record = f"{target}/{RECORD_NAME}"
        if self._files.exists(record):
            self._files.rm_file(record)
        if self._files.exists(target):
            self._files.rm(target, recursive=True)

    @contextmanager
    def _naming_errors(self, action: str) -> Iterator[None]:
        """Turn whatever a backend raises into a named error: each has errors of its own."""
        try:
            yield
        except Exception as error:
            raise OutputError(
                f"cannot {action} {self.url}: {plain_reason(error)}; check the address, and that "
                f"you may {action} there. What was scored is kept: the same command goes on from "
                "there."
            ) from None
