"""Opening whatever is a slide with what reads it best."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from napari_smse.address import is_url
from napari_smse.errors import DamagedSlideError, NotASlideError, SlideError, SlideNotFoundError
from napari_smse.slides.backends.base import Backend, Level, SlideFacts
from napari_smse.slides.backends.checked_levels import with_true_levels
from napari_smse.slides.backends.czi import CZI_MAGIC, CziBackend, scene_count
from napari_smse.slides.backends.dicom_header import is_dicom
from napari_smse.slides.backends.dicom_series import (
    folder_series,
    level_spacings,
    may_be_level,
    refused_dicom,
    slides_in_folder,
)
from napari_smse.slides.backends.image import ImageBackend
from napari_smse.slides.backends.level_steps import placed_levels
from napari_smse.slides.backends.ome_zarr import OmeZarrBackend, is_ome_zarr
from napari_smse.slides.backends.openslide import OpenSlideBackend
from napari_smse.slides.backends.remote import may_be_remote, open_remote
from napari_smse.slides.backends.square_pixels import SquarePixels
from napari_smse.slides.backends.tiff_images import TIFF_MAGIC, open_tiff, slide_images
from napari_smse.slides.backends.tifffile import TifffileBackend
from napari_smse.slides.image_number import file_and_image, with_image
from napari_smse.slides.remote_path import RemotePath, slide_path
from napari_smse.slides.scale import StatedScale, choose_scale, user_scale, warn_of_contradiction
from napari_smse.slides.slide import Slide

logger = logging.getLogger(__name__)

SLIDE_SUFFIXES: frozenset[str] = frozenset(
    {".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".tif", ".tiff"}
    | {".btf", ".tf8", ".czi", ".dcm", ".png", ".jpg", ".jpeg"}
)
"""Suffixes, in lower case, of files that may be slides."""

_PICTURES = {".png", ".jpg", ".jpeg"}
_PLAIN_TIFF = "generic-tiff"
_PLAIN_TIFF_VENDORS = {"", _PLAIN_TIFF, "aperio"}
_UNKNOWN_CODEC = "Unsupported TIFF compression"
_RGB = 2
_MAX_NAMED = 8


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide with the backend that serves it best.

    OpenSlide and tifffile are both tried where both can read: OpenSlide sees one level of an
    OME-TIFF pyramid, tifffile decodes tiles of plain TIFFs faster, and only OpenSlide
    knows most scanners' formats.

    Parameters
    ----------
    path : str or Path
        A slide file, an ordinary picture, a folder with one DICOM slide, or an OME-Zarr. Of a TIFF
        or CZI with several slides, its path with the number of one of them: ``slides.ome.tif#2``.
        An SVS, a TIFF or an OME-Zarr may lie at a URL: ``https://host/a.svs``, ``s3://bucket/a.svs``
        and whatever else fsspec reaches; so may a series on a DICOMweb server,
        ``https://host/studies/UID/series/UID``. It is read there, in parts.
    mpp : float, optional
        um/px that the user states; it goes before the file's own. Of pixels that are not square,
        which are resampled, their finer side.

    Raises
    ------
    SlideNotFoundError
        When there is nothing at the path.
    NotASlideError
        When it is empty, no image, a folder with no slide or several, or not 8-bit RGB.
    SeveralSlidesError
        When it is a file with several slides, and none of them is named.
    DamagedSlideError
        When it is a slide but cut short or broken.
    MissingReaderError
        When what reads its format comes with an extra that is not installed.
    NotBrightfieldError
        When it is a CZI of fluorescence.
    CopyFirstError
        When it is a URL of a file in another format, or on a server that gives no parts of files.
    CredentialsError, UnreachableSlideError
        When what a URL points to may not be read, or cannot be reached.
    SlideError
        When it may not be read.
    ScaleError
        When ``mpp`` lies outside 0.02-10 um/px.
    """
    path = slide_path(path)  # absolute: backends open it again later, from wherever
    stated = None if mpp is None else user_scale(mpp)
    try:
        file, image = file_and_image(path)
        backend = with_true_levels(_backend_of(file, image), path.name)
    except PermissionError as error:
        raise SlideError(f"{path} may not be read; ask for permission to read it") from error
    except OSError as error:
        raise DamagedSlideError(
            f"{path} cannot be read ({error.strerror or error}); check its drive, or copy it again"
        ) from error
    found = backend.facts.stated_scale
    if found.pixel_ratio != 1:
        backend = SquarePixels(backend, found.pixel_ratio)
    if stated is None:
        warn_of_contradiction(found, path.name)
    return Slide(path, backend, stated or choose_scale(found))


def may_be_slide(path: str | Path) -> bool:
    """Tell from the name, or from a folder's files, whether this may be a slide.

    Cheap: no pixels are opened; it never raises.
    """
    try:
        path = slide_path(path) if is_url(path) else Path(path)
        if isinstance(path, RemotePath):
            return may_be_remote(path, SLIDE_SUFFIXES - _PICTURES)
        if path.is_dir():
            if is_ome_zarr(path):
                return True
            files = sorted(path.iterdir())[:64]
            return any(is_dicom(file) for file in files) and bool(slides_in_folder(path))
        if path.suffix.lower() not in SLIDE_SUFFIXES or not path.is_file():
            return False
        return path.suffix.lower() != ".dcm" or may_be_level(path)
    except (OSError, ValueError, TypeError):
        return False


def slides_in_file(path: str | Path) -> list[Path]:
    """Return the path to open for each slide of a file: its own where there is one.

    Cheap: no pixels are read; a file that cannot be read is returned, so that opening it says why.
    """
    path = slide_path(path) if is_url(path) else Path(path)
    try:
        number = _slide_count(path)
    except Exception:
        return [path]
    return [with_image(path, i + 1) for i in range(number)] if number > 1 else [path]


def _slide_count(path: Path) -> int:
    with path.open("rb") as stream:
        magic = stream.read(4)
    is_remote = isinstance(path, RemotePath)
    if magic == CZI_MAGIC:
        return 1 if is_remote else scene_count(path)
    if magic not in TIFF_MAGIC or not (is_remote or _is_plain(path)):
        return 1
    with open_tiff(path) as tiff:
        return len(slide_images(tiff))


def _backend_of(file: Path, image: int | None) -> Backend:
    if isinstance(file, RemotePath):
        return open_remote(file, image)
    return _open_backend(_slide_file(file), image)


def _is_plain(path: Path) -> bool:
    return openslide.OpenSlide.detect_format(str(path)) in {None, _PLAIN_TIFF}


def _slide_file(path: Path) -> Path:
    """Return the file to open; raises if there is none."""
    if path.is_dir():
        return path if is_ome_zarr(path) else _file_in_folder(path)
    if not path.exists():
        raise SlideNotFoundError(f"there is no file {path}; check the path")
    if path.stat().st_size == 0:
        raise NotASlideError(f"{path.name} is empty (0 bytes); copy it again")
    return path


def _file_in_folder(folder: Path) -> Path:
    slides = slides_in_folder(folder)
    if len(slides) > 1:
        names = ", ".join(path.name for path in slides[:_MAX_NAMED])
        more = f" and {len(slides) - _MAX_NAMED} more" if len(slides) > _MAX_NAMED else ""
        raise NotASlideError(
            f"the folder {folder.name} holds {len(slides)} DICOM slides: "
            f"open a file of one of them, such as {names}{more}"
        )
    files = folder_series(folder).values()
    if not files:
        raise NotASlideError(f"the folder {folder.name} holds no DICOM slide; open a slide file")
    return next(iter(files))[0]


def _open_backend(file: Path, image: int | None) -> Backend:
    if file.is_dir():
        return OmeZarrBackend(file)
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic == CZI_MAGIC:
        return CziBackend(file, image)
    if image is not None:
        return _open_image(file, image, is_tiff=magic in TIFF_MAGIC)
    scanner = _try_openslide(file)
    vendor = "" if scanner is None else scanner.facts.vendor
    if magic in TIFF_MAGIC and vendor in _PLAIN_TIFF_VENDORS:
        return _open_tiff(file, scanner)
    if scanner is not None:
        if vendor == "dicom":
            scanner.levels = placed_levels(scanner.levels, level_spacings(file))
        return scanner
    if is_dicom(file):
        raise refused_dicom(file)
    if file.suffix.lower() == ".mrxs":  # which is itself a small JPEG
        raise DamagedSlideError(
            f"{file.name} lacks its data; put the folder {file.stem} of the scan beside it"
        )
    return ImageBackend(file)


def _open_image(file: Path, image: int, *, is_tiff: bool) -> Backend:
    if is_tiff:
        return TifffileBackend(file, image)
    if image == 1:
        return _open_backend(file, None)
    raise NotASlideError(f"{file.name} has no slide {image}: it holds one; open {file.name}")


def _try_openslide(file: Path) -> OpenSlideBackend | None:
    """Open a file that OpenSlide reads; None for one that other readers read as well."""
    try:
        return OpenSlideBackend(file)
    except openslide.OpenSlideUnsupportedFormatError:
        return None
    except openslide.OpenSlideError as error:
        vendor = openslide.OpenSlide.detect_format(str(file)) or ""
        reason = " ".join(str(error).split())
        if _is_plain_tiff(vendor, reason):
            return None
        raise DamagedSlideError(
            f"{file.name} is a slide of format {vendor or 'unknown'} that OpenSlide cannot read "
            f"({reason}); copy it again with all its files, or export it as a pyramidal TIFF"
        ) from error


def _is_plain_tiff(vendor: str, reason: str) -> bool:
    """Tell whether tifffile, which joins no tiles of scanners, reads a slide without loss."""
    if vendor == "aperio":  # whose tiles lie side by side: all that lacks is a decoder
        return reason.startswith(_UNKNOWN_CODEC)
    return vendor in _PLAIN_TIFF_VENDORS


def _open_tiff(file: Path, scanner: OpenSlideBackend | None) -> Backend:
    try:
        tiff = TifffileBackend(file)
    except NotASlideError:
        # OpenSlide and Pillow silently show 16-bit pixels and the first of a stack; they are
        # asked for palettes, CMYK and the like only, OpenSlide for what it knows as Aperio.
        if scanner is not None and scanner.facts.vendor == "aperio":
            return scanner
        if not _has_other_colours(file):
            raise
        return ImageBackend(file) if scanner is None else scanner
    if scanner is None:
        return tiff
    if _is_label(scanner, tiff):
        scanner.close()
        return tiff
    if _tifffile_serves(tiff, scanner):
        return _MergedBackend(pixels=tiff, other=scanner)
    return _MergedBackend(pixels=scanner, other=tiff)


def _has_other_colours(file: Path) -> bool:
    """Tell whether a TIFF is one 8-bit page in colours other than grey and RGB."""
    with open_tiff(file) as tiff:
        page = tiff.pages.first
        return len(tiff.pages) == 1 and page.bitspersample in {1, 8} and page.photometric != _RGB


def _is_label(scanner: OpenSlideBackend, tiff: TifffileBackend) -> bool:
    """Whether OpenSlide took a smaller image, the first of a plain TIFF, for the slide."""
    first, slide = scanner.levels[0], tiff.levels[0]
    plain = scanner.facts.vendor == _PLAIN_TIFF
    return plain and first.width * first.height < slide.width * slide.height


def _tifffile_serves(tiff: TifffileBackend, scanner: OpenSlideBackend) -> bool:
    if len(tiff.levels) > len(scanner.levels):
        return True
    same = [(a.width, a.height) for a in tiff.levels] == [
        (b.width, b.height) for b in scanner.levels
    ]
    return same and tiff.plainly_tiled


class _MergedBackend:
    """Pixels from one backend, with the metadata of another added."""

    def __init__(
        self, pixels: TifffileBackend | OpenSlideBackend, other: TifffileBackend | OpenSlideBackend
    ) -> None:
        self._pixels, self._other = pixels, other
        self.name = pixels.name
        self.levels: tuple[Level, ...] = pixels.levels
        backends = (pixels, other)
        scanner = next(backend for backend in backends if isinstance(backend, OpenSlideBackend))
        tiff = next(backend for backend in backends if isinstance(backend, TifffileBackend))
        if pixels is scanner:
            self.levels = placed_levels(scanner.levels, tiff.page_spacings())
        self.facts = _merged_facts(scanner.facts, tiff.facts)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        return self._pixels.read_level(level, x, y, width, height)

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a picture either of the two knows."""
        owner = self._pixels if name in self._pixels.facts.associated_images else self._other
        return owner.associated_image(name)

    def close(self) -> None:
        """Close both."""
        self._pixels.close()
        self._other.close()


def _merged_facts(scanner: SlideFacts, tiff: SlideFacts) -> SlideFacts:
    scanner_scale, tiff_scale = scanner.stated_scale, tiff.stated_scale
    properties: Mapping[str, str] = {**tiff.properties, **scanner.properties}
    names = dict.fromkeys((*scanner.associated_images, *tiff.associated_images))
    return replace(
        scanner,
        vendor=tiff.vendor if scanner.vendor == "generic-tiff" else scanner.vendor,
        properties=properties,
        stated_scale=StatedScale(
            scanner_scale.vendor or tiff_scale.vendor,
            scanner_scale.tiff or tiff_scale.tiff,
            scanner_scale.objective_power or tiff_scale.objective_power,
            scanner_scale.pixel_ratio if scanner_scale.pixel_ratio != 1 else tiff_scale.pixel_ratio,
        ),
        associated_images=tuple(names),
        icc_profile=scanner.icc_profile if tiff.icc_profile is None else tiff.icc_profile,
    )
