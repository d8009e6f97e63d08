"""What may go wrong on the way to a slide, each with its name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from napari_smse.errors import (
    ChangedSlideError,
    CopyFirstError,
    CredentialsError,
    SlideNotFoundError,
    UnreachableSlideError,
)
from napari_smse.slides import http_ranges
from napari_smse.slides.remote_file import RemoteFile
from napari_smse.slides.remote_path import RemotePath, slide_path
from support.remote import impatient, server
from support.slide_server import SlideServer

__all__ = ["impatient", "server"]  # the fixtures
CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def url(server: SlideServer) -> str:
    (server.folder / "a.bin").write_bytes(CONTENT)
    return f"{server.url}/a.bin"


def opened(url: str) -> RemoteFile:
    path = slide_path(url)
    assert isinstance(path, RemotePath)
    path.state()
    return path.open_file()


@pytest.mark.parametrize("status", [401, 403])
def test_what_needs_credentials_says_so(server: SlideServer, url: str, status: int) -> None:
    server.status = status
    with pytest.raises(CredentialsError, match="only be read with credentials"):
        opened(url)


@pytest.mark.parametrize("way", ["?token=s3cr3t&v=1", "user"])
def test_credentials_of_the_address_are_sent(server: SlideServer, url: str, way: str) -> None:
    server.token = "s3cr3t" if way != "user" else "bWU6czNjcjN0"  # me:s3cr3t, as HTTP encodes it
    with pytest.raises(CredentialsError):
        opened(url)
    full = url.replace("//", "//me:s3cr3t@") if way == "user" else url + way
    assert opened(full).read(0, 9) == CONTENT[:9]


def test_no_error_shows_a_credential(server: SlideServer, url: str) -> None:
    secret = url.replace("//", "//me:s3cr3t@") + "?sig=s3cr3t"
    for status in (401, 404, 500, 400):
        server.status = status
        with pytest.raises(Exception, match=r"a\.bin") as caught:
            opened(secret)
        assert "s3cr3t" not in f"{caught.value} {caught.value.__cause__}"
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_not_there_says_so(server: SlideServer) -> None:
    with pytest.raises(SlideNotFoundError, match=r"there is no file http.*b\.svs; check the addr"):
        opened(f"{server.url}/b.svs")


def test_other_answers_are_refused_with_their_status(server: SlideServer, url: str) -> None:
    server.status = 400
    with pytest.raises(UnreachableSlideError, match="answers with status 400"):
        opened(url)


def test_a_server_that_fails_now_and_then_is_asked_again(server: SlideServer, url: str) -> None:
    server.drop_every = 3
    server.short = 2
    file = opened(url)
    assert b"".join(file.read(at, 70_000) for at in range(0, len(CONTENT), 70_000)) == CONTENT


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"status": 503}, "answers with error 503, 4 times"),
        ({"drop_every": 1}, "broke off .*, 4 times"),
        ({"short": 99}, "ends its answer early, 4 times"),
        ({"seconds": 2.0}, "no answer in 0.5 s, 4 times"),
    ],
)
def test_a_server_that_always_fails_is_left_with_the_reason(
    server: SlideServer, url: str, settings: dict[str, float], reason: str
) -> None:
    file = opened(url)
    for name, value in settings.items():
        setattr(server, name, value)
    with pytest.raises(UnreachableSlideError, match=reason):
        file.read(500_000, 9)
    server.status = server.drop_every = server.short = 0
    server.seconds = 0.0
    assert file.read(500_000, 9) == CONTENT[500_000:500_009]  # nothing of it was taken for good


def test_a_small_file_is_fetched_whole_and_once_where_no_parts_are_given(
    server: SlideServer, url: str
) -> None:
    server.ranges = False
    file = opened(url)
    before = server.bytes_served
    assert file.read(500_000, 9) == CONTENT[500_000:500_009]
    assert file.read(0, len(CONTENT)) == CONTENT
    assert server.bytes_served - before == len(CONTENT)


def test_a_large_file_is_refused_where_no_parts_are_given(
    server: SlideServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_ranges, "LARGEST_WHOLE", len(CONTENT) - 1)
    server.ranges = False
    with pytest.raises(CopyFirstError, match="only as a whole, not parts of it: copy it first"):
        opened(url)


@pytest.mark.parametrize("change", ["content", "size", "tag"])
def test_a_file_that_changes_meanwhile_is_refused(
    server: SlideServer, url: str, change: str
) -> None:
    file = opened(url)
    file.read(0, 9)
    if change == "tag":
        server.tag = "2"
    else:
        (server.folder / "a.bin").write_bytes(
            CONTENT[::-1] if change == "content" else CONTENT + b"9"
        )
    with pytest.raises(ChangedSlideError, match="changed after it was opened"):
        file.read(900_000, 9)


def test_a_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnreachableSlideError, match=r"no server of the name in http://no\.invalid"):
        opened("http://no.invalid/a.svs")


def test_a_port_where_nobody_listens_is_named(impatient: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnreachableSlideError, match="takes no connection, 4 times"):
        opened(f"http://127.0.0.1:{port}/a.svs")


def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path, impatient: None) -> None:
    from support.slide_server import served

    with (
        served(tmp_path, certificate=True) as there,
        pytest.raises(UnreachableSlideError, match="certificate that is not trusted"),
    ):
        opened(f"{there.url}/a.svs")


def test_an_empty_file_is_one(server: SlideServer) -> None:
    (server.folder / "empty.bin").write_bytes(b"")
    file = opened(f"{server.url}/empty.bin")
    assert (file.size, file.read(0, 5)) == (0, b"")
