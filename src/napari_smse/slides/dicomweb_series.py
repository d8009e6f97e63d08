"""A series on a DICOMweb server: what is asked of it, and what may be wrong on the way.

Its address is the one that DICOMweb has for it, ``https://host/…/studies/UID/series/UID``.
"""

from __future__ import annotations

import hashlib
import logging
import re
import ssl
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

from napari_smse.errors import (
    CopyFirstError,
    MissingReaderError,
    NotASlideError,
    SlideError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.slides import http_ranges
from napari_smse.slides.byte_ranges import Again, FileState, Part, trying
from napari_smse.slides.dicomweb_errors import reason_or_again

if TYPE_CHECKING:
    from pydicom import Dataset

REQUESTS_AT_ONCE: Final = 8
WHOLE_SLIDE_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_UID: Final = r"\d+(?:\.\d+)+"
_SERIES: Final = re.compile(
    rf"(?P<server>https?:/{{1,2}}[^?#]+?)/studies/(?P<study>{_UID})/series/(?P<series>{_UID})/?"
)
_WITHIN: Final = re.compile(
    rf"https?:/{{1,2}}[^?#]+/studies/{_UID}(/(series|instances)(/{_UID}(/[a-z]+(/[\d.,]+)*)*)?)?/?"
)
_OPTICAL_PATHS, _PROFILE = "00480105", "00282000"
_SYNTAXES: Final = ("00083002", "00020010")
_MAX_REMEMBERED: Final = 4096
_frames: Final[dict[tuple[str, str], str]] = {}
"""What was found of an instance, which never changes, by the address and its UID."""
_T = TypeVar("_T")


def is_series(place: object) -> bool:
    """Whether this is the address of a series on a DICOMweb server; nothing is asked of it."""
    return _SERIES.fullmatch(str(place).partition("?")[0]) is not None


def require_series(place: object) -> None:
    """Raise `NotASlideError` for a study, or a part of a series, on a DICOMweb server."""
    address = str(place).partition("?")[0]
    if _WITHIN.fullmatch(address) and not is_series(place):
        raise NotASlideError(
            f"{place} is no series: a slide on a DICOMweb server ends with /studies/UID/series/UID"
        )


class DicomwebSeries:
    """Asks for a series; every method may be called from several threads at once.

    Parameters
    ----------
    url
        Its address, with the credentials if it needs some: ``user:password@``, or what stands
        behind the ``?``, which goes along with every request.
    place
        The same without credentials, to be named.

    Raises
    ------
    MissingReaderError
        What reads it is not installed.
    UnreachableSlideError
        It is no address.
    """

    def __init__(self, url: str, place: str) -> None:
        try:
            from dicomweb_client.api import DICOMwebClient
            from wsidicom.web import WsiDicomWebClient
        except ImportError as error:
            raise MissingReaderError(
                f"{place} is a slide on a DICOMweb server, which is read by the package wsidicom: "
                'run pip install "napari-smse[dicomweb]".'
            ) from error
        parts = urlsplit(url)
        found = _SERIES.fullmatch(urlunsplit((parts.scheme, _host(parts), parts.path, "", "")))
        assert found is not None
        self.place = place
        self._server, self._study, self._series = found.group("server", "study", "series")
        self._closed = False
        seconds = (http_ranges.CONNECT_SECONDS, http_ranges.STALL_SECONDS)
        try:
            self._web = DICOMwebClient(
                self._server, session=_session(parts), timeout=seconds, permissive_uid=True
            )
        except ValueError:
            raise UnreachableSlideError(f"{place} is no address; check it") from None
        self._web.set_http_retry_params(retry=False)  # `trying` asks again, and says so
        logging.getLogger("retrying").setLevel(logging.ERROR)  # it has a traceback for each try
        self._client = WsiDicomWebClient(self._web)

    def close(self) -> None:
        """Ask no more."""
        self._closed = True

    def closed_error(self) -> SlideError:
        """Return what reading it raises after `close`."""
        return SlideError(f"{self.place} was closed; open it again to read it")

    def instances(self) -> dict[str, frozenset[str]]:
        """Return the UIDs of its whole-slide images, each with what transfer syntaxes it has.

        They are those that the server names, perhaps none.

        Raises
        ------
        NotASlideError
            It holds something else.
        SlideNotFoundError
            There is no such series.
        SlideError
            One of its other classes: it cannot be reached.
        """
        found = {
            str(uid): frozenset(map(str, syntaxes or ()))
            for series, uid, syntaxes in self._request(
                lambda: list(self._client.get_wsi_instances(self._study, [self._series]))
            )
            if series == self._series  # not every server looks at all that it is asked for
        }
        if not found:
            raise self._nothing()
        return dict(sorted(found.items()))

    def metadata(self, instance: str) -> dict[str, Any]:
        """Return all that is stated of an instance, as DICOM's JSON; raises as `instances`."""

        def request() -> dict[str, Any]:
            stated = self._web.retrieve_instance_metadata(self._study, self._series, instance)
            if not isinstance(stated, dict):
                raise TypeError
            return stated

        return self._request(request)

    def frames(self, instance: str, numbers: Sequence[int], syntax: str) -> list[bytes]:
        """Return frames of an instance, from 1, as they are stored in a transfer syntax.

        Raises
        ------
        NotGivenError
            The server gives none in this syntax.
        SlideError
            One of its classes.
        """

        def request() -> list[bytes]:
            given = self._client.get_frames(
                self._study, self._series, instance, list(numbers), syntax
            )
            frames = [bytes(frame) for frame in given]
            if len(frames) != len(numbers) or not all(frames):
                raise Again("the server ends its answer early")
            return frames

        return self._request(request)

    def icc_profile(self, metadata: Mapping[str, Any]) -> bytes | None:
        """Return the ICC profile of an instance, which may lie elsewhere on the server.

        None where there is none; empty where it cannot be had.
        """
        for path in metadata.get(_OPTICAL_PATHS, {}).get("Value", ()):
            profile = path.get(_PROFILE, {})
            if "InlineBinary" in profile:
                return b64decode(profile["InlineBinary"])
            if "BulkDataURI" in profile:
                return self._bulk(str(profile["BulkDataURI"]))
        return None

    def state(self) -> FileState:
        """Ask which images it has now; their number stands for the size."""
        uids = list(self.instances())
        return FileState(len(uids), hashlib.sha256("\n".join(uids).encode()).hexdigest())

    def fetch(self, parts: Sequence[Part], state: FileState) -> list[bytes]:
        """Raise, as it is no file."""
        raise CopyFirstError(f"{self.place} is no file, and is read as a slide only: copy it first")

    def _bulk(self, uri: str) -> bytes:
        address = urljoin(f"{self._server}/studies/{self._study}/", uri)
        here, there = urlsplit(self._server), urlsplit(address)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            return b""  # who answers there is not to see the credentials
        try:
            parts = self._request(lambda: self._web.retrieve_bulkdata(address))
        except SlideError:
            return b""
        return bytes(parts[0]) if parts else b""

    def _nothing(self) -> SlideError:
        """Return why there is no whole-slide image."""
        others = self._request(
            lambda: self._web.search_for_instances(self._study, self._series, limit=1)
        )
        if not others:
            return SlideNotFoundError(f"there is no series {self.place}; check the address")
        kind = others[0].get("00080060", {}).get("Value", ["unknown"])[0]
        return NotASlideError(
            f"{self.place} holds images or objects of modality {kind}, and is not a slide; give "
            "the address of a series of whole-slide images"
        )

    def _request(self, ask: Callable[[], _T]) -> _T:
        def once() -> _T:
            if self._closed:
                raise self.closed_error()
            try:
                return ask()
            except (Again, SlideError):
                raise
            except Exception as error:  # of any of three libraries
                raise reason_or_again(error, self.place) from None

        return trying(self.place, once)


def series_hash(url: str, place: str) -> str:
    """Return a SHA-256 over the UIDs and frames of the images in a series.

    By DICOM's rules an image that changes gets another UID. Those of one series are the same on
    any server.

    Parameters
    ----------
    url, place
        As `DicomwebSeries`, whose errors it raises.
    """
    series = DicomwebSeries(url, place)
    lines = [f"{uid}\0{_frames_of(series, uid)}\n" for uid in series.instances()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def finest_image(url: str, place: str) -> Dataset:
    """Return the header of the largest whole-slide image of a series.

    Parameters
    ----------
    url, place
        As `DicomwebSeries`, whose errors it raises.
    """
    series = DicomwebSeries(url, place)
    images = [dataset_of(series.metadata(uid)) for uid in series.instances()]
    return max(images, key=lambda image: int(image.get("TotalPixelMatrixColumns") or 0))


def remember_frames(place: str, uid: str, metadata: dict[str, Any]) -> str:
    """Return how an instance is divided into frames, and keep it for `series_hash`."""
    values = (
        metadata.get(tag, {}).get("Value", [""])[0]
        for tag in ("00280008", "00280010", "00280011", "00480006", "00480007")
    )
    if len(_frames) >= _MAX_REMEMBERED:
        _frames.clear()
    return _frames.setdefault((place, uid), " ".join(str(value) for value in values))


def _frames_of(series: DicomwebSeries, uid: str) -> str:
    known = _frames.get((series.place, uid))
    return remember_frames(series.place, uid, series.metadata(uid)) if known is None else known


def stated_syntaxes(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the transfer syntaxes that an instance's metadata names, perhaps none."""
    return frozenset(
        str(value) for tag in _SYNTAXES for value in metadata.get(tag, {}).get("Value", ())
    )


def dataset_of(metadata: dict[str, Any]) -> Dataset:
    """Return metadata as pydicom has it, without what lies elsewhere on the server."""
    from pydicom import Dataset

    return Dataset.from_json(metadata, lambda *_: None)


def _host(parts: Any) -> str:
    return str(parts.netloc).rpartition("@")[2]


def _session(parts: Any) -> Any:
    """Return what holds connections, and adds the credentials of an address to each request."""
    from requests import Session
    from requests.adapters import HTTPAdapter

    session, adapter = Session(), HTTPAdapter()
    # Those authorities that this machine trusts count, as for every other address.
    adapter.init_poolmanager(
        REQUESTS_AT_ONCE, REQUESTS_AT_ONCE, ssl_context=ssl.create_default_context()
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    if parts.username:
        session.auth = (unquote(parts.username), unquote(parts.password or ""))
    session.params = dict(parse_qsl(parts.query, keep_blank_values=True))
    session.headers.update(_configured_headers(parts.scheme))
    return session


def _configured_headers(scheme: str) -> dict[str, str]:
    """Return the headers that fsspec's configuration has for all addresses of a kind."""
    from fsspec.config import conf

    return dict(conf.get(scheme, {}).get("client_kwargs", {}).get("headers", {}))
