"""Parts of a file that an HTTP server has."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from napari_smse.address import plain_reason, without_credentials
from napari_smse.errors import (
    ChangedSlideError,
    CopyFirstError,
    CredentialsError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.slides import byte_ranges
from napari_smse.slides.byte_ranges import (
    LATER,
    REFUSED,
    Again,
    FileState,
    Part,
    broke_off,
    logger,
    needs_credentials,
    no_server,
    untrusted,
)

CONNECT_SECONDS: Final = 20.0
STALL_SECONDS: Final = 30.0
"""Without a byte from the server."""

LARGEST_WHOLE: Final = 32 * 2**20
"""Bytes of a file that is fetched whole where a server gives no parts of it."""

_AT_ONCE: Final = 8
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_UNSATISFIABLE: Final = re.compile(r"bytes \*/(\d+)")
_T = TypeVar("_T")


def request_options(url: str) -> dict[str, Any]:
    """Return how fsspec is to ask by HTTP where it asks by itself; nothing for others."""
    if not url.startswith(("http://", "https://")):
        return {}
    return {"client_kwargs": {"timeout": _timeout()}}


def _timeout() -> Any:
    import aiohttp

    # A whole answer may take as long as it likes, if only it goes on.
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS)


@dataclass(frozen=True)
class _Answer:
    """What a server gave: bytes from a position, and the state of the whole file."""

    start: int
    body: bytes
    state: FileState


class HttpRanges:
    """A file that an HTTP server gives in parts.

    Parameters
    ----------
    url
        With its credentials.
    files
        fsspec's file system, which holds the session.
    """

    def __init__(self, url: str, files: Any) -> None:
        self._url = url
        self._place = without_credentials(url)
        self._files = files

    def state(self) -> FileState:
        """Ask what lies there now, by its first byte: not every server knows HEAD."""
        return self._run(self._answer(0, 1, None)).state

    def fetch(self, parts: Sequence[Part], state: FileState) -> list[bytes]:
        """Return parts of the file, several requests at once.

        Raises
        ------
        SlideError
            One of its classes: as each part may fail.
        """
        return self._run(self._fetch(parts, state))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        from fsspec.asyn import sync

        answer: _T = sync(self._files.loop, lambda: work)
        return answer

    async def _fetch(self, parts: Sequence[Part], state: FileState) -> list[bytes]:
        if state.whole:
            body = (await self._answer(0, 1, state)).body
            return [body[start:stop] for start, stop in parts]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(part: Part) -> bytes:
            async with gate:
                answer = await self._answer(*part, state)
            return answer.body[part[0] - answer.start : part[1] - answer.start]

        tasks = [asyncio.ensure_future(one(part)) for part in parts]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, start: int, stop: int, state: FileState | None) -> _Answer:
        """Ask for a part, and again where that may help."""
        reason = ""
        for wait in (*byte_ranges.WAITS, None):
            try:
                return await self._request(start, stop, state)
            except Again as error:
                reason = error.reason
            if wait is not None:
                logger.info("%s: %s; asked again in %g s", self._place, reason, wait)
                await asyncio.sleep(wait)
        raise UnreachableSlideError(broke_off(self._place, reason))

    async def _request(self, start: int, stop: int, state: FileState | None) -> _Answer:
        import aiohttp

        session = await self._files.set_session()
        try:
            async with session.get(
                self._files.encode_url(self._url),
                headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
                timeout=_timeout(),
            ) as response:
                return await self._read(response, start, stop, state)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._named(error) from None

    async def _read(self, response: Any, start: int, stop: int, state: FileState | None) -> _Answer:
        status, headers = response.status, response.headers
        if status == 416 and (empty := _UNSATISFIABLE.search(headers.get("Content-Range", ""))):
            return _Answer(0, b"", self._same(_state(int(empty[1]), headers), state))
        if status == 206 and (given := _RANGE.search(headers.get("Content-Range", ""))):
            found = self._same(_state(int(given[3]), headers), state)
            first, last = int(given[1]), int(given[2])
            if first != start:
                raise CopyFirstError(needs_copy(self._place))
            body = await response.read()
            if len(body) != last + 1 - first or last + 1 < min(stop, found.size):
                raise Again("the server ends its answer early")
            return _Answer(first, body, found)
        if status in {200, 206}:
            return await self._whole(response, state)
        raise _refused(status, self._place)

    async def _whole(self, response: Any, state: FileState | None) -> _Answer:
        """Take a file that the server gives only whole, if it is small."""
        size = int(response.headers.get("Content-Length", 0))
        if response.status != 200 or size > LARGEST_WHOLE:
            raise CopyFirstError(needs_copy(self._place))
        body = bytearray()
        async for piece in response.content.iter_chunked(2**20):
            body += piece
            if len(body) > LARGEST_WHOLE:
                raise CopyFirstError(needs_copy(self._place))
        found = replace(_state(len(body), response.headers), whole=True)
        return _Answer(0, bytes(body), self._same(found, state))

    def _same(self, found: FileState, wanted: FileState | None) -> FileState:
        if wanted is not None and found != wanted:
            raise ChangedSlideError(
                f"{self._place} changed after it was opened: wait until it is whole, then open it "
                "again."
            )
        return found

    def _named(self, error: Exception) -> Exception:
        """Return the named error for what aiohttp raised, or that it is to be tried again."""
        import aiohttp

        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return UnreachableSlideError(untrusted(self._place))
        cause = getattr(error, "os_error", error)
        if isinstance(cause, socket.gaierror):
            return UnreachableSlideError(no_server(self._place))
        if isinstance(error, aiohttp.InvalidURL):
            return UnreachableSlideError(f"{self._place} is no address; check it")
        if isinstance(error, TimeoutError):
            return Again(f"no answer in {STALL_SECONDS:g} s")
        if isinstance(error, aiohttp.ClientPayloadError):
            return Again("the server ends its answer early")
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return Again("the server takes no connection")
        return Again(f"the connection broke off ({plain_reason(error)})")


def _state(size: int, headers: Mapping[str, str]) -> FileState:
    changed = headers.get("Last-Modified", "")
    try:
        seconds = parsedate_to_datetime(changed).timestamp()
    except (TypeError, ValueError):
        seconds = 0.0
    return FileState(size, headers.get("ETag") or changed, seconds)


def _refused(status: int, place: str) -> Exception:
    if status in REFUSED:
        return CredentialsError(needs_credentials(place))
    if status in {404, 410}:
        return SlideNotFoundError(f"there is no file {place}; check the address")
    if status == 412:
        return ChangedSlideError(f"{place} changed after it was opened: open it again.")
    if status in LATER:
        return Again(f"the server answers with error {status}")
    return UnreachableSlideError(
        f"{place} cannot be read: the server answers with status {status}; check the address"
    )


def needs_copy(place: str) -> str:
    """Return the message about a server that gives no parts of a file."""
    return f"the server of {place} gives a file only as a whole, not parts of it: copy it first"
