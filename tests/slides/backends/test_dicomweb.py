"""A series on a DICOMweb server is the slide that its files are, and fails by name."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from fsspec.config import conf

from napari_smse.errors import (
    ChangedSlideError,
    CopyFirstError,
    CredentialsError,
    DamagedSlideError,
    MissingReaderError,
    NotASlideError,
    NotBrightfieldError,
    SlideError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.reader import get_reader
from napari_smse.slides import Slide, may_be_slide, open_slide, slides_in_file
from napari_smse.slides.dicomweb_series import is_series
from napari_smse.slides.remote_path import slide_path
from napari_smse.workflows.batch.discovery import find_slides
from support.dicom_slides import ANNOTATIONS, write_dicom, write_dicom_level
from support.dicomweb_server import (
    JPEG,
    JPEG_2000,
    UNCOMPRESSED,
    DicomwebServer,
    dicomweb_server,
)
from support.remote import forget, no_waits
from support.slides import noise_image, pyramid

__all__ = ["no_waits"]  # the fixture
IMAGE = noise_image(760, 520, seed=3)
SECRET = "s3cr3t"
ICC = bytes(range(200))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of three levels with its pictures, another, and annotations."""
    folder = tmp_path_factory.mktemp("dicom")
    for index, level in enumerate(pyramid(IMAGE, 3)):
        write_dicom_level(folder / f"{index}.dcm", level, "1", 0.5 * 2**index, icc_profile=ICC)
    for kind, side in (("LABEL", 90), ("OVERVIEW", 200), ("THUMBNAIL", 60)):
        picture = np.ascontiguousarray(IMAGE[:side, : side + 5])
        write_dicom_level(folder / f"{kind}.dcm", picture, "1", 0.5, kind=kind)
    write_dicom_level(folder / "labels only.dcm", IMAGE[:90, :80], "2", kind="LABEL")
    for name in ("one", "same size"):
        write_dicom_level(folder / f"{name}.dcm", IMAGE[:90, :80], "3")
    uid = "1.2.826.0.1.3680043.9.7433.99."
    elements = [(0x00080060, "CS", "ANN"), (0x0020000D, "UI", f"{uid}2")]
    write_dicom(
        folder / "ann.dcm",
        [*elements, (0x0020000E, "UI", f"{uid}3.4"), (0x7FE00010, "OB", b"")],
        ANNOTATIONS,
    )
    return folder


@pytest.fixture
def server(files: Path, no_waits: None) -> Iterator[DicomwebServer]:
    forget()
    with dicomweb_server(files) as there:
        yield there
    forget()


def assert_same(remote: Slide, local: Slide) -> None:
    for fact in ("levels", "scale", "bounds", "background", "vendor", "objective_power"):
        assert getattr(remote, fact) == getattr(local, fact)
    for number, level in enumerate(local.levels):
        box = (number, 0, 0, level.width, level.height)
        assert np.array_equal(remote.read_level(*box), local.read_level(*box))


@pytest.mark.parametrize("syntaxes", [(UNCOMPRESSED,), (JPEG, JPEG_2000), (JPEG, UNCOMPRESSED)])
@pytest.mark.parametrize("told", [False, True])
def test_it_is_its_files_pixel_for_pixel(
    server: DicomwebServer, files: Path, syntaxes: tuple[str, ...], told: bool
) -> None:
    """Whatever a server offers: what is stored without loss is never taken as JPEG."""
    server.wado.syntaxes, server.wado.names_them = syntaxes, told
    with open_slide(server.series()) as remote, open_slide(files / "0.dcm") as local:
        assert_same(remote, local)
        assert (remote.backend_name, local.backend_name) == ("dicomweb", "openslide")
        box = (0, 101, 33, 300, 277)
        assert np.array_equal(remote.read_level(*box), IMAGE[33:310, 101:401])
        remote.require_unchanged(content=True)


def test_what_was_stored_with_loss_is_taken_as_it_is(server: DicomwebServer) -> None:
    server.wado.syntaxes = (UNCOMPRESSED, JPEG)
    server.wado.changes = {
        "00282110": {"vr": "CS", "Value": ["01"]},
        "00282114": {"vr": "CS", "Value": ["ISO_10918_1"]},
        "00280004": {"vr": "CS", "Value": ["YBR_FULL_422"]},
    }
    with open_slide(server.series()) as slide:
        pixels = slide.read_level(0, 0, 0, 760, 520).astype(int)
    difference = np.abs(pixels - IMAGE).mean()
    assert 0 < difference < 40  # noise, by JPEG of quality 60


def test_label_and_overview_are_pictures_beside_it(server: DicomwebServer, files: Path) -> None:
    with open_slide(server.series()) as slide:
        assert [(level.width, level.height) for level in slide.levels] == [
            (760, 520),
            (380, 260),
            (190, 130),
        ]
        assert set(slide.associated_images) == {"label", "macro", "thumbnail"}
        assert np.array_equal(slide.associated_image("label"), IMAGE[:90, :95])
        assert np.array_equal(slide.associated_image("macro"), IMAGE[:200, :205])
        assert "dicom.PatientName" not in slide.properties
    with pytest.raises(NotASlideError, match="holds labels and overviews only"):
        open_slide(server.series("2"))
    with pytest.raises(NotASlideError, match="several images of 80 x 90 px"):
        open_slide(server.series("3"))


@pytest.mark.parametrize("bulk", [False, True])
def test_its_colour_profile_is_read(server: DicomwebServer, bulk: bool) -> None:
    server.wado.bulk = bulk
    with open_slide(server.series()) as slide:
        assert slide.icc_profile == ICC


def test_no_one_else_is_asked_for_a_colour_profile(server: DicomwebServer, files: Path) -> None:
    with dicomweb_server(files) as other:
        address = f"{other.http.url}/web/icc"
        path = {
            "00282000": {"vr": "OB", "BulkDataURI": address},
            "00480106": {"vr": "SH", "Value": ["1"]},
        }
        server.wado.changes = {"00480105": {"vr": "SQ", "Value": [path]}}
        with open_slide(server.series().replace("//", f"//me:{SECRET}@")) as slide:
            assert slide.icc_profile == b""
        assert other.wado.requests == []


def test_tiles_that_are_not_stored_are_white(server: DicomwebServer) -> None:
    """A sparse image, whose frames lie where each says."""
    places = [(1, 1), (129, 65)]  # of 64 px tiles, from 1
    positions = [
        {
            "0048021A": {
                "vr": "SQ",
                "Value": [
                    {
                        "0048021E": {"vr": "SL", "Value": [x]},
                        "0048021F": {"vr": "SL", "Value": [y]},
                    }
                ],
            }
        }
        for x, y in places
    ]
    server.wado.changes = {
        "00209311": {"vr": "CS", "Value": ["TILED_SPARSE"]},
        "00280008": {"vr": "IS", "Value": [2]},
        "52009230": {"vr": "SQ", "Value": positions},
    }
    expected = np.full((130, 200, 3), 255, np.uint8)
    expected[:64, :64] = IMAGE[:64, :64]
    expected[64:128, 128:192] = IMAGE[:64, 64:128]  # the second frame that is stored
    with open_slide(server.series()) as slide:
        assert np.array_equal(slide.read_level(0, 0, 0, 200, 130), expected)


def frames_asked_for(server: DicomwebServer) -> Counter[tuple[str, str]]:
    found = (
        re.search(r"instances/([^/]+)/frames/([\d,]+)", path) for path, _ in server.wado.requests
    )
    return Counter((one[1], number) for one in found if one for number in one[2].split(","))


def test_a_frame_is_fetched_once_for_however_many_threads(server: DicomwebServer) -> None:
    server.wado.names_them = True  # so that none is fetched to try it
    with open_slide(server.series()) as slide:
        assert not frames_asked_for(server)
        slide.read_level(0, 70, 70, 50, 50)
        assert len(frames_asked_for(server)) == 1
        boxes = [(0, x, y, 300, 260) for x in (0, 100, 460) for y in (0, 30, 260)]
        with ThreadPoolExecutor(9) as pool:
            for box, pixels in zip(
                boxes, pool.map(lambda box: slide.read_level(*box), boxes), strict=True
            ):
                _, x, y, width, height = box
                assert np.array_equal(pixels, IMAGE[y : y + height, x : x + width])
    assert set(frames_asked_for(server).values()) == {1}
    with open_slide(server.series()) as again:
        again.read_level(0, 0, 0, 100, 100)
    assert set(frames_asked_for(server).values()) == {1}


def test_it_has_one_identity_wherever_it_is_served(tmp_path: Path, no_waits: None) -> None:
    write_dicom_level(tmp_path / "0.dcm", IMAGE, "1")
    with dicomweb_server(tmp_path) as one, dicomweb_server(tmp_path) as other:
        with open_slide(one.series()) as slide, open_slide(other.series()) as same:
            assert slide.quick_hash == same.quick_hash
            assert slide.name == same.name == one.series().rpartition("/")[2]
        narrower = {"00480006": {"vr": "UL", "Value": [759]}}
        for wado in (one.wado, other.wado):
            wado.changes = narrower
        with open_slide(f"{one.series()}/?a=b") as known:
            assert known.quick_hash == slide.quick_hash  # one of this UID never changes
        forget()
        with open_slide(other.series()) as divided:
            assert divided.quick_hash != slide.quick_hash


def test_a_picture_that_is_not_read_is_left_out(
    tmp_path: Path, no_waits: None, caplog: pytest.LogCaptureFixture
) -> None:
    write_dicom_level(tmp_path / "0.dcm", IMAGE, "1")
    for kind in ("LABEL", "OVERVIEW", "LOCALIZER"):
        path = write_dicom_level(tmp_path / f"{kind}.dcm", IMAGE[:90, :80], "1", kind=kind)
        if kind == "LABEL":
            file = pydicom.dcmread(path)
            file.PhotometricInterpretation = "MONOCHROME1"
            file.save_as(path)
    with dicomweb_server(tmp_path) as server, open_slide(server.series()) as slide:
        assert slide.associated_images == ("macro",)
        assert len(slide.levels) == 1
    assert "a picture is left out" in caplog.text


def test_a_series_that_changed_is_refused(tmp_path: Path, no_waits: None) -> None:
    write_dicom_level(tmp_path / "0.dcm", IMAGE, "1")
    with dicomweb_server(tmp_path) as server, open_slide(server.series()) as slide:
        slide.require_unchanged(content=True)
        write_dicom_level(tmp_path / "1.dcm", pyramid(IMAGE, 2)[1], "1", mpp=1.0)
        with pytest.raises(ChangedSlideError, match="changed after it was opened"):
            slide.require_unchanged()


def test_an_address_is_known_by_its_form_alone(server: DicomwebServer) -> None:
    url = server.series()
    for address in (url, f"{url}/", f"{url}?token=x", slide_path(url)):
        assert is_series(address)
        assert may_be_slide(address)
    assert get_reader(url) is not None
    assert find_slides([f"{url}/"]) == slides_in_file(url) == [slide_path(url)]
    assert server.http.requests == 0
    for other in (url.rpartition("/series")[0], f"{url}/instances/1.2", f"{url}/metadata"):
        assert not is_series(other)
        with pytest.raises(NotASlideError, match="ends with /studies/UID/series/UID"):
            open_slide(other)
    for other in ("studies/2023/series/a.svs", "studies/1.2/a.svs", "studies/1/series/2"):
        assert not is_series(f"http://nowhere.invalid/{other}")
        with pytest.raises(UnreachableSlideError, match="no server of the name"):
            open_slide(f"http://nowhere.invalid/{other}")
    with pytest.raises(CopyFirstError):
        slide_path(url).open("rb")
    with pytest.raises(NotASlideError, match="has no slide 2: it holds 1"):
        open_slide(f"{url}#2")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"status": 401}, CredentialsError, "only be read with credentials"),
        ({"status": 404}, SlideNotFoundError, "there is no series http.* check the address"),
        ({"status": 400}, UnreachableSlideError, "answers with status 400"),
        ({"status": 503}, UnreachableSlideError, "answers with error 503, 4 times"),
        ({"drop_every": 1}, UnreachableSlideError, "the connection broke off, 4 times"),
        ({"short": 99}, UnreachableSlideError, "ends its answer early, 4 times"),
        ({"seconds": 1.0}, UnreachableSlideError, "no answer in 0.2 s, 4 times"),
        ({"page": b"<html>Log in</html>"}, UnreachableSlideError, "no DICOMweb server, or asks"),
        ({"page": b'[{"00080018": '}, UnreachableSlideError, "its answer cannot be read, 4 times"),
        ({"page": b"7"}, UnreachableSlideError, "no DICOMweb server"),
    ],
)
def test_what_stops_it_has_its_name(
    server: DicomwebServer,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    error: type[SlideError],
    words: str,
) -> None:
    monkeypatch.setattr("napari_smse.slides.http_ranges.STALL_SECONDS", 0.2)
    url = server.series()
    for name, value in settings.items():
        setattr(server.http if hasattr(server.http, name) else server.wado, name, value)
    secret = url.replace("//", f"//me:{SECRET}@") + f"?token={SECRET}"
    with pytest.raises(error, match=words) as caught:
        open_slide(secret)
    assert SECRET not in str(caught.value)
    assert url in str(caught.value)


def test_other_series_and_none_are_told_apart(server: DicomwebServer) -> None:
    with pytest.raises(NotASlideError, match=r"modality ANN, and is not a slide"):
        open_slide(server.series("4"))
    with pytest.raises(SlideNotFoundError, match="there is no series"):
        open_slide(f"{server.series()}9")
    server.wado.filters = False  # tells all it has, whatever it is asked for
    with open_slide(server.series()) as slide:
        assert len(slide.levels) == 3
    with pytest.raises(NotASlideError, match="annotations of a slide"):
        open_slide(server.series("4"))


def test_no_server_there_has_its_name(server: DicomwebServer) -> None:
    path = server.series().removeprefix(server.http.url)
    with pytest.raises(UnreachableSlideError, match="takes no connection, 4 times"):
        open_slide(f"http://127.0.0.1:9{path}")
    with pytest.raises(UnreachableSlideError, match="no server of the name"):
        open_slide(f"http://nowhere.invalid{path}")


def test_a_certificate_of_its_own_is_not_trusted(files: Path, no_waits: None) -> None:
    with (
        dicomweb_server(files, certificate=True) as server,
        pytest.raises(UnreachableSlideError, match="certificate that is not trusted"),
    ):
        open_slide(server.series())


@pytest.mark.parametrize("settings", [{"short": 1}, {"drop_every": 5}])
def test_a_passing_failure_is_waited_for(server: DicomwebServer, settings: dict[str, int]) -> None:
    with open_slide(server.series()) as slide:
        for name, value in settings.items():
            setattr(server.http, name, value)
        assert np.array_equal(slide.read_level(0, 0, 0, 760, 520), IMAGE)


@pytest.mark.parametrize("syntax", [UNCOMPRESSED, JPEG_2000])
def test_a_frame_that_is_cut_short_is_named(server: DicomwebServer, syntax: str) -> None:
    server.wado.syntaxes = (syntax,)
    with open_slide(server.series()) as slide:
        server.wado.cut = 600
        with pytest.raises(DamagedSlideError, match=r"cannot be read everywhere \(frame 1 of"):
            slide.read_level(0, 0, 0, 60, 60)
        server.wado.cut = 0
        assert np.array_equal(slide.read_level(0, 0, 0, 60, 60), IMAGE[:60, :60])


@pytest.mark.parametrize(
    ("tag", "value", "error"),
    [
        ("00280010", None, DamagedSlideError),
        ("00280010", 0, DamagedSlideError),
        ("00280010", 60_000, DamagedSlideError),
        ("00280008", 3, DamagedSlideError),
        ("00480006", 10**9, DamagedSlideError),
        ("00480006", -5, DamagedSlideError),
        ("00480006", "wide", DamagedSlideError),
        ("00280002", 1, NotBrightfieldError),
        ("00280101", 16, NotASlideError),
        ("00480303", 3, NotASlideError),
        ("00080016", "1.2.840.10008.5.1.4.1.1.2", NotASlideError),
        ("00209161", "1.2.3", NotASlideError),
    ],
)
def test_what_cannot_be_is_refused(
    server: DicomwebServer, tag: str, value: Any, error: type[SlideError]
) -> None:
    kind = "US" if isinstance(value, int) else "UI"
    server.wado.changes = {tag: None if value is None else {"vr": kind, "Value": [value]}}
    with pytest.raises(error, match=re.escape(server.series())):
        open_slide(server.series())


def test_without_square_pixels_or_a_spacing_it_opens(server: DicomwebServer) -> None:
    server.wado.changes = {"52009229": None}
    with open_slide(server.series()) as slide:
        assert slide.scale.mpp is None
        assert [level.downsample for level in slide.levels] == [1, 2, 4]


@pytest.mark.parametrize("way", ["user", "token", "header"])
def test_credentials_are_sent_and_never_seen(
    server: DicomwebServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    url = server.series()
    server.http.token = "bWU6czNjcjN0" if way == "user" else SECRET  # me:s3cr3t
    with pytest.raises(CredentialsError):
        open_slide(url)
    if way == "header":
        headers = {"Authorization": f"Bearer {SECRET}"}
        monkeypatch.setitem(conf, "http", {"client_kwargs": {"headers": headers}})
    full = url.replace("//", f"//me:{SECRET}@") if way == "user" else url
    for name in ("napari_smse", "retrying", "dicomweb_client", "wsidicom"):
        caplog.set_level(logging.DEBUG, name)
    with open_slide(full + (f"?token={SECRET}" if way == "token" else "")) as slide:
        slide.read_level(0, 0, 0, 300, 300)
        slide.require_unchanged(content=True)
        texts = [repr(slide), str(slide.path), slide.name, caplog.text, *slide.properties.values()]
    assert not any(SECRET in text for text in texts)
    assert str(slide.path) == url


def test_closing_ends_what_waits_for_a_server(server: DicomwebServer) -> None:
    slide = open_slide(server.series())
    server.http.seconds = 0.2
    problems: list[SlideError] = []

    def read() -> None:
        try:
            slide.read_level(0, 0, 0, 760, 520)
        except SlideError as error:
            problems.append(error)

    reader = threading.Thread(target=read)
    before = server.http.requests
    reader.start()
    while server.http.requests == before:
        reader.join(0.01)
    slide.close()
    reader.join(30)
    assert not reader.is_alive()
    assert "was closed" in str(problems[0])
    assert len(frames_asked_for(server)) < 108  # frames of level 0
    with pytest.raises(SlideError, match="was closed"):
        slide.read_level(1, 0, 0, 90, 90)


def test_without_the_extra_it_is_named(
    server: DicomwebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wsidicom.web", None)
    with pytest.raises(MissingReaderError, match=r'run pip install "napari-smse\[dicomweb\]"'):
        open_slide(server.series())
    assert may_be_slide(server.series())
