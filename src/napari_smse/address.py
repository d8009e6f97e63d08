"""Addresses of files elsewhere, as ``s3://bucket/a``: their credentials, and what reaches them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from napari_smse.errors import SmseError

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]{1,2}[^/\\]")
_USER: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_WITHIN_TEXT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>)]+")
_SECRET: Final = re.compile(
    r"token|sig|secret|pass|pwd|credential|auth|key|jwt|session|policy|expire|code"
    r"|^(x-(amz|goog|ms)-.*|s[eiprstv]|srt|spr|sk[estv]|skoid|sktid)$",
    re.IGNORECASE,
)


def is_url(place: object) -> bool:
    """Whether this is a URL, as ``s3://bucket/x``, rather than a path.

    A path that was made of one, which has but one slash behind the colon, counts as well.
    """
    text = str(place)
    return "://" in text or _ADDRESS.match(text) is not None


def without_credentials(url: str) -> str:
    """Return a URL as it may be printed and written: without user, password, tokens, signature.

    The whole query goes where the file has a name without it.
    """
    head, mark, fragment = _USER.sub("", url).partition("#")
    place, question, query = head.partition("?")
    if not question or PurePosixPath(place).suffix:
        return place + mark + fragment
    open_to_all = [pair for pair in query.split("&") if not _SECRET.search(pair.partition("=")[0])]
    return "?".join([place, *(["&".join(open_to_all)] if open_to_all else [])]) + mark + fragment


def plain_reason(error: BaseException) -> str:
    """Return what an error says in one line, without the credentials of URLs in it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _WITHIN_TEXT.sub(lambda match: without_credentials(match[0]), text)


def file_system(url: str, kind: type[SmseError]) -> tuple[Any, str]:
    """Return the file system of fsspec behind a URL, and the path on it.

    Parameters
    ----------
    url
        With its credentials, if it has some.
    kind
        Class of error to raise.

    Raises
    ------
    SmseError
        Of that class: what reaches it is not installed, there is no such kind of place, or it
        cannot be reached.
    """
    place = without_credentials(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise kind(
            f"fsspec, which reaches {place}, is not installed: "
            'run pip install "napari-smse[remote]".'
        ) from error
    try:
        # Object stores have no folders, and others make them as they need; a local disk does not.
        options = {"auto_mkdir": True} if url.startswith(("file://", "local://")) else {}
        files, path = url_to_fs(url, **options)
    except ImportError as error:
        raise kind(f"{place} cannot be reached: {_install_hint(url, error)}.") from error
    except ValueError as error:
        raise kind(
            f"{place} is no place that can be reached ({plain_reason(error)}): give a path, or a "
            "URL such as s3://bucket/folder."
        ) from None
    except Exception as error:  # some connect at once, and each has its own errors
        raise kind(
            f"{place} cannot be reached ({plain_reason(error)}): check the address and the network."
        ) from error
    return files, str(path).rstrip("/")


def _install_hint(url: str, error: ImportError) -> str:
    """Return which package to install for a backend, from what fsspec knows of it."""
    from fsspec.registry import known_implementations

    scheme = urlsplit(url).scheme
    if scheme in {"http", "https"}:
        return 'aiohttp is not installed; run pip install "napari-smse[remote]"'
    backend = known_implementations.get(scheme, {})
    package = str(backend.get("class", "")).partition(".")[0]
    if package and package != "fsspec":
        return f"its backend is not installed; run pip install {package}"
    return str(backend.get("err", error)).rstrip(".")
