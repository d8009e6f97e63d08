"""The header of an image file, read before any pixel is decoded."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from napari_smse.errors import DataError
from napari_smse.slides.backends.image import PICTURE_FORMATS

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
"""Suffixes, in lower case, of files taken for images."""

EIGHT_BIT_MODES: Final = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)
"""Pillow's modes that become 8-bit RGB without loss of meaning."""

UNREADABLE: Final = (OSError, ValueError, SyntaxError, EOFError, struct.error)
"""What Pillow raises on damaged files."""


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file, px, from its header.

    Raises
    ------
    DataError
        It is no image, or none that can become 8-bit RGB; the message is a reason to be
        shown beside the file's name.
    """
    with open_header(path) as picture:
        return picture.size


def open_header(path: Path) -> Image.Image:
    """Open an image whose pixels are then still to be decoded.

    Raises
    ------
    DataError
        As `image_size`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=PICTURE_FORMATS)
    except FileNotFoundError as error:
        raise DataError("is missing") from error
    except UnidentifiedImageError as error:
        raise DataError(_why_unknown(path)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError("is too large for one image; annotate it as a slide") from error
    except UNREADABLE as error:
        raise DataError(f"cannot be read ({short_reason(error)})") from error
    reason = _why_not_rgb(picture)
    if reason:
        picture.close()
        raise DataError(reason)
    return picture


def is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a path below a folder is hidden, or left behind by an operating system."""
    return any(
        part.startswith(".") or part in {"__MACOSX", "Thumbs.db", "desktop.ini"}
        for part in path.relative_to(folder).parts
    )


def files_below(folder: Path) -> Iterator[Path]:
    """Walk a folder at any depth and hand out its files in order, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not is_hidden(path, folder):
            yield path


def leads_out(path: Path, folder: Path) -> bool:
    """Tell whether a path, as it is written, lies outside a folder.

    Links are followed: people make subsets of a collection out of them.
    """
    written = Path(os.path.normpath(path.absolute()))
    return not written.is_relative_to(os.path.normpath(folder.absolute()))


def short_reason(error: Exception) -> str:
    """Return the message of an error, in one line and without the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def _why_unknown(path: Path) -> str:
    return "is empty (0 bytes)" if not path.stat().st_size else "is no image, or damaged"


def _why_not_rgb(picture: Image.Image) -> str:
    if min(picture.size) < 1:
        return "is an image without pixels"
    if picture.mode not in EIGHT_BIT_MODES:
        return f"has {picture.mode} pixels, not 8-bit RGB"
    return ""
