"""Slides at addresses: which of them can be read where they are, and how."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from napari_smse.errors import CopyFirstError, NotASlideError
from napari_smse.slides.backends.dicomweb import DicomwebBackend
from napari_smse.slides.backends.image import require_read_format
from napari_smse.slides.backends.ome_zarr import OmeZarrBackend
from napari_smse.slides.backends.tiff_images import TIFF_MAGIC, open_tiff
from napari_smse.slides.backends.tifffile import TifffileBackend
from napari_smse.slides.dicomweb_series import is_series, require_series
from napari_smse.slides.remote_path import RemotePath

_OTHER_FORMATS: Final = frozenset(
    {".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi", ".dcm", ".zvi", ".vsi"}
)
"""Of scanners: what reads them wants files of this machine, or several files."""

_SCANNER_KINDS: Final = ("ndpi", "scn", "bif", "philips", "qpi")
"""Of TIFFs, as tifffile names them, whose tiles only OpenSlide puts in their places."""


def may_be_remote(file: RemotePath, suffixes: Collection[str]) -> bool:
    """Tell from an address whether it may be a slide's; nothing is asked of the server."""
    return file.is_dir() or is_series(file) or file.suffix.lower() in suffixes


def open_remote(
    file: RemotePath, image: int | None
) -> TifffileBackend | OmeZarrBackend | DicomwebBackend:
    """Open a slide where it lies.

    Parameters
    ----------
    file
        Its address, without the number of an image.
    image
        Which of the slides of a TIFF, from 1; None where there is but one.

    Raises
    ------
    NotASlideError
        It is no slide.
    CopyFirstError
        It has a format that is read from local copies only.
    SlideError
        One of its classes, as opening and reaching do.
    """
    if is_series(file):
        return DicomwebBackend(file, image)
    require_series(file)
    require_read_format(file)
    if file.suffix.lower() in _OTHER_FORMATS:
        raise CopyFirstError(_copy_first(file, f"{file.suffix.lower()} files are"))
    if file.is_dir():
        return OmeZarrBackend(file)
    if file.state().size == 0:
        raise NotASlideError(f"{file} is empty (0 bytes); upload it again")
    with file.open("rb") as stream:
        if stream.read(4) not in TIFF_MAGIC:
            raise CopyFirstError(_copy_first(file, "what is no SVS, TIFF or OME-Zarr is"))
    _require_plain(file)
    backend = TifffileBackend(file, image)
    if image is None and not _is_all_there(backend):
        backend.close()
        raise CopyFirstError(_copy_first(file, "files with such tiles or levels are"))
    return backend


def _is_all_there(backend: TifffileBackend) -> bool:
    """Whether OpenSlide, which a copy might be read by, would give the same pixels and levels."""
    if backend.facts.vendor not in {"aperio", "generic-tiff"}:
        return True
    sizes = {(level.width, level.height) for level in backend.levels}
    tiled = {(width, height) for width, height, _ in backend.page_spacings()}
    return tiled <= sizes and (backend.plainly_tiled or backend.facts.vendor != "aperio")


def _require_plain(file: RemotePath) -> None:
    """Refuse what OpenSlide reads otherwise than tifffile: scores are to be those of a copy."""
    try:
        with open_tiff(file) as tiff:
            kind = next((name for name in _SCANNER_KINDS if getattr(tiff, f"is_{name}")), None)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        return  # a damaged header, of which opening gives the reason
    if kind is not None:
        raise CopyFirstError(_copy_first(file, f"{kind.upper()} files are"))


def _copy_first(file: RemotePath, what: str) -> str:
    return f"{file} cannot be read where it is, as {what} read by OpenSlide: copy it first"
