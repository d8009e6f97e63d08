"""What goes wrong on the way to a DICOMweb server, by its name."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator
from typing import Final

from napari_smse.errors import (
    CredentialsError,
    SlideError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.slides import http_ranges
from napari_smse.slides.byte_ranges import (
    LATER,
    REFUSED,
    Again,
    needs_credentials,
    no_server,
    untrusted,
)

_NOT_GIVEN_SO: Final = frozenset({406, 415})


class NotGivenError(SlideError):
    """The server does not give frames in the transfer syntax that was asked for."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that led to it: requests has them among its arguments."""
    while error is not None:
        yield error
        inner = next((one for one in error.args if isinstance(one, BaseException)), None)
        error = getattr(inner, "reason", inner) if inner is not None else error.__cause__
        error = error if isinstance(error, BaseException) else None


def reason_or_again(error: Exception, place: str) -> Exception:
    """Return the named error for what the libraries raised, or that it is to be tried again.

    Their own words are left out: they have the address with its credentials.
    """
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _refused(error.response.status_code, place)
    if isinstance(error, requests.exceptions.SSLError):
        return UnreachableSlideError(untrusted(place))
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes) or _says(causes, "resolve"):
        return UnreachableSlideError(no_server(place))
    if isinstance(error, requests.Timeout) or _says(causes, "timed out"):
        return Again(f"no answer in {http_ranges.STALL_SECONDS:g} s")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return Again("the server ends its answer early")
    if _says(causes, "refused"):
        return Again("the server takes no connection")
    if isinstance(error, requests.exceptions.InvalidURL):
        return UnreachableSlideError(f"{place} is no address; check it")
    if isinstance(error, requests.ConnectionError):
        return Again("the connection broke off")
    return _not_dicomweb(error, place)


def _not_dicomweb(error: Exception, place: str) -> Exception:
    is_cut = isinstance(error, json.JSONDecodeError) and not error.doc.lstrip().startswith("<")
    if is_cut:
        return Again("its answer cannot be read")
    return UnreachableSlideError(
        f"{place} cannot be read: what answers there is no DICOMweb server, or asks for a log-in; "
        "check the address"
    )


def _says(causes: Iterable[BaseException], words: str) -> bool:
    return any(words in str(cause).lower() for cause in causes)


def _refused(status: int, place: str) -> Exception:
    if status in REFUSED:
        return CredentialsError(needs_credentials(place))
    if status in {404, 410}:
        return SlideNotFoundError(f"there is no series {place}; check the address")
    if status in _NOT_GIVEN_SO:
        return NotGivenError(f"the server of {place} gives its images in no such form")
    if status in LATER:
        return Again(f"the server answers with error {status}")
    return UnreachableSlideError(
        f"{place} cannot be read: the server answers with status {status}; check the address"
    )
