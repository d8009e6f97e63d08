"""A DICOMweb server on this machine, of the DICOM files in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import imagecodecs
import numpy as np
import pydicom

from support.slide_server import Handler, SlideServer, served

UNCOMPRESSED, JPEG_2000 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
JPEG = "1.2.840.10008.1.2.4.50"
_PLACE = re.compile(
    r"/web/studies/(?P<study>[^/]+)"
    r"(?:/series/(?P<series>[^/]+))?"
    r"(?:/instances/(?P<instance>[^/]+))?"
    r"(?P<rest>/.*)?"
)


@dataclass
class Wado:
    """How the server answers what is DICOMweb's own.

    Attributes
    ----------
    syntaxes
        Transfer syntaxes in which it gives frames.
    names_them
        Whether a search tells them.
    filters
        Whether a search looks at what it is asked for, or tells all there is.
    bulk
        Whether ICC profiles are told by their address.
    changes
        Other elements of the metadata of each level; None for one that lacks.
    page
        What it answers instead of everything, as a page to log in.
    cut
        Bytes that a frame lacks, though the answer is whole.
    requests
        Path and ``Authorization`` of each request.
    """

    syntaxes: tuple[str, ...] = (UNCOMPRESSED,)
    names_them: bool = False
    filters: bool = True
    bulk: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    page: bytes = b""
    cut: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class DicomwebServer:
    """A running server, and how it answers."""

    http: SlideServer
    wado: Wado

    def series(self, number: str = "1") -> str:
        """Return the address of a series that `support.dicom_slides` wrote."""
        file = next(
            one
            for path in self.http.folder.glob("*.dcm")
            if (one := pydicom.dcmread(path, stop_before_pixels=True)).SeriesInstanceUID.endswith(
                f".{number}"
            )
        )
        return (
            f"{self.http.url}/web/studies/{file.StudyInstanceUID}/series/{file.SeriesInstanceUID}"
        )


@contextmanager
def dicomweb_server(folder: Path, **options: bool) -> Iterator[DicomwebServer]:
    """Serve the DICOM files of a folder."""
    wado = Wado()

    class Wired(_Handler):
        settings = wado

    with served(folder, handler=Wired, **options) as http:
        yield DicomwebServer(http, wado)


class _Handler(Handler):
    settings: Wado

    def _answer(self, place: str, query: str, file: Path) -> None:
        wado = self.settings
        wado.requests.append((self.path, self.headers.get("Authorization", "")))
        found = _PLACE.fullmatch(place)
        if wado.page:
            self._give_body(place, "text/html", wado.page)
        elif found is None:
            self._empty(404)
        elif found["rest"] == "/instances":
            self._search(place, found, parse_qs(query))
        else:
            self._instance(place, found)

    def _search(self, place: str, found: re.Match[str], query: dict[str, list[str]]) -> None:
        wanted = {
            "StudyInstanceUID": found["study"],
            "SeriesInstanceUID": found["series"] or query.get("0020000E", [None])[0],
            "SOPClassUID": query.get("00080016", [None])[0],
            "Modality": query.get("00080060", [None])[0],
        }
        answers = [
            _told(one, ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality"))
            for one in self._all()
            if not self.settings.filters
            or all(one.get(name) == value for name, value in wanted.items() if value)
        ]
        if self.settings.names_them:
            for answer in answers:
                answer["00083002"] = {"vr": "UI", "Value": list(self.settings.syntaxes)}
        if answers:
            self._give_body(place, "application/dicom+json", json.dumps(answers).encode())
        else:
            self._empty(204)

    def _instance(self, place: str, found: re.Match[str]) -> None:
        one = next((file for file in self._all() if file.SOPInstanceUID == found["instance"]), None)
        rest = found["rest"] or ""
        if one is None or one.SeriesInstanceUID != found["series"]:
            self._empty(404)
        elif rest == "/metadata":
            self._give_body(
                place, "application/dicom+json", json.dumps([self._stated(one)]).encode()
            )
        elif rest == "/icc":
            self._give_parts(
                place, "application/octet-stream", [one.OpticalPathSequence[0].ICCProfile]
            )
        elif rest.startswith("/frames/"):
            self._frames(place, one, [int(number) for number in rest[8:].split(",")])
        else:
            self._empty(404)

    def _stated(self, one: pydicom.Dataset) -> dict[str, Any]:
        stated = one.to_json_dict()
        del stated["7FE00010"]
        if self.settings.bulk:
            path = stated["00480105"]["Value"][0]
            path["00282000"] = {"vr": "OB", "BulkDataURI": self.path.replace("metadata", "icc")}
        if "VOLUME" in one.get("ImageType", ()):
            stated |= self.settings.changes
        return {tag: value for tag, value in stated.items() if value is not None}

    def _frames(self, place: str, one: pydicom.Dataset, numbers: list[int]) -> None:
        asked = re.search(r"transfer-syntax=([\d.]+)", self.headers.get("Accept", ""))
        syntax = asked[1] if asked else UNCOMPRESSED
        if syntax not in self.settings.syntaxes:
            return self._empty(406)
        shape = (one.Rows, one.Columns, 3)
        size = one.Rows * one.Columns * 3
        frames = [
            _encoded(one.PixelData[(number - 1) * size : number * size], shape, syntax)
            for number in numbers
        ]
        kind = {
            UNCOMPRESSED: "application/octet-stream",
            JPEG_2000: "image/jp2",
            JPEG: "image/jpeg",
        }
        cut = self.settings.cut
        return self._give_parts(
            place, kind[syntax], [frame[: len(frame) - cut] for frame in frames]
        )

    def _all(self) -> list[pydicom.Dataset]:
        folder = self.server.settings.folder
        return [_read(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.dcm"))]

    def _give_parts(self, place: str, kind: str, parts: list[bytes]) -> None:
        head = f"\r\n--frontier\r\nContent-Type: {kind}\r\n\r\n".encode()
        body = b"".join(head + part for part in parts) + b"\r\n--frontier--"
        self._give_body(place, f'multipart/related; type="{kind}"; boundary=frontier', body)

    def _give_body(self, place: str, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self._send(place, body)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> pydicom.Dataset:
    return pydicom.dcmread(path)


def _told(one: pydicom.Dataset, names: tuple[str, ...]) -> dict[str, Any]:
    part = pydicom.Dataset()
    for name in names:
        if name in one:
            setattr(part, name, one[name].value)
    return part.to_json_dict()


@lru_cache(maxsize=512)
def _encoded(frame: bytes, shape: tuple[int, int, int], syntax: str) -> bytes:
    if syntax == UNCOMPRESSED:
        return frame
    pixels = np.frombuffer(frame, np.uint8).reshape(shape)
    if syntax == JPEG:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=60))
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k"))
