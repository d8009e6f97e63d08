"""Parts of a file at an address, asked for by their positions, and what may be wrong on the way."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from napari_smse.address import plain_reason
from napari_smse.errors import (
    CredentialsError,
    SlideError,
    SlideNotFoundError,
    UnreachableSlideError,
)

WAITS: Final = (0.5, 2.0, 8.0)
"""Seconds before each further try."""

REFUSED: Final = frozenset({401, 403, 407})
"""Statuses of HTTP for what may not be read."""

LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of HTTP after which asking again may help."""

logger = logging.getLogger(__name__)
_T = TypeVar("_T")
Part = tuple[int, int]
"""First byte, and the one behind the last."""


@dataclass(frozen=True)
class FileState:
    """What tells a file at an address from what lies there after a change.

    Attributes
    ----------
    size
        Bytes.
    version
        What the server says of its content: tag, or time of change; empty if it says neither.
    seconds
        Time of change since 1970; 0 where it is not known.
    whole
        Any part of it costs the whole file.
    key
        The same for what certainly has the same content.
    """

    size: int
    version: str
    seconds: float = field(default=0.0, compare=False)
    whole: bool = field(default=False, compare=False)
    key: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.version or uuid.uuid4().hex)


class ByteRanges(Protocol):
    """A file at an address."""

    def state(self) -> FileState:
        """Ask what lies there now."""
        ...

    def fetch(self, parts: Sequence[Part], state: FileState) -> list[bytes]:
        """Return parts of the file that has this state, several requests at once."""
        ...


class Again(Exception):
    """A request that may succeed when it is made again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def trying(place: str, work: Callable[[], _T]) -> _T:
    """Do what may fail on the way to an address, and again where that may help.

    Parameters
    ----------
    place
        The address, to be named.
    work
        What fsspec, or who reads by it, is to do.

    Raises
    ------
    SlideError
        One of its classes.
    """
    reason = ""
    for wait in (*WAITS, None):
        try:
            return work()
        except SlideError:
            raise
        except FileNotFoundError:
            raise SlideNotFoundError(f"there is no file {place}; check the address") from None
        except Exception as error:  # each file system has its own errors
            refused = getattr(error, "status", None) in REFUSED
            if isinstance(error, PermissionError) or refused or "Credential" in str(type(error)):
                raise CredentialsError(needs_credentials(place)) from None
            reason = plain_reason(error)
        if wait is not None:
            logger.info("%s: %s; asked again in %g s", place, reason, wait)
            time.sleep(wait)
    raise UnreachableSlideError(broke_off(place, reason))


def needs_credentials(place: str) -> str:
    """Return the message about an address that may not be read."""
    return (
        f"{place} may only be read with credentials, or with others: log in to where it lies, or "
        "ask for an address with a token that is still valid"
    )


def broke_off(place: str, reason: str) -> str:
    """Return the message about reading that failed every time."""
    return (
        f"{place} cannot be read: {reason}, {len(WAITS) + 1} times; check the network and try "
        "again, or copy it first"
    )


def no_server(place: str) -> str:
    """Return the message about an address with a server's name that nobody knows."""
    return f"there is no server of the name in {place}; check the address, and the network"


def untrusted(place: str) -> str:
    """Return the message about a server whose certificate is not trusted."""
    return (
        f"{place} has a certificate that is not trusted here; add the authority that issued it to "
        "those of this machine (SSL_CERT_FILE), or copy the slide first"
    )
