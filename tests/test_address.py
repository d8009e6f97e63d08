"""Addresses, and what of them nobody may see."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.address import file_system, is_url, plain_reason, without_credentials
from napari_smse.errors import OutputError, SlideError


@pytest.mark.parametrize(
    "place", ["s3://bucket/x", "memory://x", Path("https://host/a.svs"), "https://host"]
)
def test_a_url_is_known_from_a_path(place: str | Path) -> None:
    assert is_url(place)


@pytest.mark.parametrize("place", ["results/x", "C:\\results", "C:/results", "/a:/b", "a:b", ""])
def test_a_path_is_no_url(place: str) -> None:
    assert not is_url(place)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://me:secret@host/a.svs", "https://host/a.svs"),
        ("https://host/a.svs?token=secret&v=2", "https://host/a.svs"),
        ("https://host/a.svs?token=secret#2", "https://host/a.svs#2"),
        ("https://host/get?id=7&X-Amz-Signature=secret&sig=secret", "https://host/get?id=7"),
        ("https://host/get?access_token=secret", "https://host/get"),
        ("s3://bucket/a.svs", "s3://bucket/a.svs"),
    ],
)
def test_credentials_do_not_remain(url: str, public: str) -> None:
    assert without_credentials(url) == public


@given(st.text("abz059%.", min_size=6, max_size=30))
def test_a_password_or_token_never_remains(secret: str) -> None:
    secret = f"SECRET{secret}"
    for url in (f"https://me:{secret}@host/a.svs", f"s3://b/a.tif?X-Amz-Credential={secret}"):
        assert "SECRET" not in without_credentials(url)
        assert "SECRET" not in plain_reason(OSError(f"no answer from {url} (url='{url}')"))


def test_what_is_missing_is_said_in_the_class_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="pip install ocifs"):
        file_system("oci://bucket/x", OutputError)
    with pytest.raises(SlideError, match=r"carrier-pigeon://loft is no place"):
        file_system("carrier-pigeon://me:secret@loft", SlideError)

    # No server listens there, which this file system looks for at once.
    with pytest.raises(OutputError, match=r"ftp://127\.0\.0\.1:1/x cannot be reached.*network"):
        file_system("ftp://me:secret@127.0.0.1:1/x", OutputError)

    def without_aiohttp(url: str, **_: object) -> None:
        raise ImportError("No module named 'aiohttp'")

    # fsspec keeps what it imported once, so that hiding the module says nothing.
    monkeypatch.setattr("fsspec.core.url_to_fs", without_aiohttp)
    with pytest.raises(SlideError, match=r'pip install "napari-smse\[remote\]"'):
        file_system("https://host/a.svs", SlideError)
