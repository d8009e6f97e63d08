"""TIFFs as tifffile opens them, with what it would do without end or out of place refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tifffile

from napari_smse.errors import DamagedSlideError, NotASlideError

MAX_IMAGES: Final = 10_000
_FILE_NAMES: Final = re.compile(r'\bFileName="([^"]*)"')


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF.

    Raises
    ------
    NotASlideError
        It holds more than 10,000 images.
    DamagedSlideError
        Its OME-XML names files of other folders.
    """
    with tifffile.TiffFile(path) as tiff:
        # Counted first, a list of images that leads back to itself ends; gone through, it does not.
        if len(tiff.pages) > MAX_IMAGES:
            raise NotASlideError(
                f"{path.name} holds {len(tiff.pages)} images, and is not a slide; open a slide file"
            )
        if tiff.is_ome:
            _require_same_folder(tiff.ome_metadata or "", path)
        yield tiff


def ome_file_names(description: str) -> set[str]:
    """Return the names of files that OME-XML counts to an image."""
    return set(_FILE_NAMES.findall(description))


def _require_same_folder(description: str, path: Path) -> None:
    for name in ome_file_names(description):
        if re.search(r"[/\\:]|^\.\.$", name):
            raise DamagedSlideError(
                f"{path.name} says that a part of it is {name[:80]!r}, in another folder; put all "
                "parts beside it, and export it again"
            )
