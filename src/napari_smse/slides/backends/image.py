"""Ordinary pictures (PNG, JPEG, plain TIFF ...) as slides of one level."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.slides.backends.base import Level, SlideFacts, as_rgb
from napari_smse.slides.scale import StatedScale, mean_mpp, pixel_ratio

PICTURE_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Formats Pillow may take a file for, to be handed to every ``Image.open``.

Left to itself Pillow tries all it knows, whatever the file is called, and PostScript among
them is a program: it is handed to Ghostscript, and may never end.
"""

PIXEL_LIMIT = 500_000_000
"""Pictures are decoded whole; beyond this many pixels (1.5 GB) they are refused."""

_CONVERT = {"P": "RGBA", "PA": "RGBA", "1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB"}
_EIGHT_BIT = {"L", "LA", "RGB", "RGBA"}
_NOT_READ: Final = frozenset({".isyntax", ".i2syntax"})
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
_limit_lock = threading.Lock()


class ImageBackend:
    """Holds a decoded picture as the only level of a slide.

    Parameters
    ----------
    path : Path
        A picture in one of `PICTURE_FORMATS`.

    Raises
    ------
    NotASlideError
        When it is in another format, or the picture is too large or not 8-bit.
    DamagedSlideError
        When it cannot be decoded to its end.
    """

    name = "image"

    def __init__(self, path: Path) -> None:
        require_read_format(path)
        with _open_picture(path) as picture:
            kind, (across, down) = picture.format or "", _stated_spacing(picture)
            profile: bytes | None = picture.info.get("icc_profile")
            self._pixels = _decode(picture, path.name)
        height, width = self._pixels.shape[:2]
        self.levels: tuple[Level, ...] = (
            Level(width, height, 1.0, min(width, 512), min(height, 512)),
        )
        self.facts = SlideFacts(
            vendor=kind.lower(),
            stated_scale=StatedScale(
                tiff=mean_mpp(across, down, path.name), pixel_ratio=pixel_ratio(across, down)
            ),
            icc_profile=profile,
        )

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a copy of pixels (height, width, 3)."""
        return self._pixels[y : y + height, x : x + width].copy()

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Raise KeyError: a picture has no label and no macro."""
        raise KeyError(name)

    def close(self) -> None:
        """Do nothing; the pixels go with the last reference."""


def require_read_format(path: Path) -> None:
    """Raise `NotASlideError` for a slide in a format that no library reads safely enough."""
    if path.suffix.lower() in _NOT_READ:
        raise NotASlideError(
            f"{path.name} is a Philips iSyntax file, which is not read here: export it from "
            "Philips' software as TIFF or DICOM, or convert it to a pyramidal TIFF"
        )


def _open_picture(path: Path) -> Image.Image:
    try:
        # Pillow's own limit (89 megapixels) is below what a stitched field of view has.
        with _limit_lock, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, PIXEL_LIMIT
            try:
                return Image.open(path, formats=PICTURE_FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = usual
    except UnidentifiedImageError as error:
        with path.open("rb") as stream:
            is_picture = stream.read(8).startswith(_MAGIC)
        if is_picture:
            raise DamagedSlideError(f"{path.name} has a damaged header; copy it again") from error
        raise NotASlideError(
            f"{path.name} is no image that OpenSlide or tifffile knows, and none of the formats "
            f"{', '.join(PICTURE_FORMATS)}; open a slide file"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotASlideError(
            f"{path.name} has more than {PIXEL_LIMIT // 10**6} megapixels in one piece; "
            "convert it to a tiled, pyramidal TIFF"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise DamagedSlideError(
            f"{path.name} cannot be decoded ({error}); copy it again"
        ) from error


def _decode(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    try:
        picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise DamagedSlideError(f"{name} cannot be decoded ({error}); copy it again") from error
    if picture.mode not in _EIGHT_BIT and picture.mode not in _CONVERT:
        raise NotASlideError(
            f"{name} has {picture.mode} pixels, not 8-bit RGB; export it as 8-bit RGB"
        )
    has_alpha = "transparency" in picture.info
    mode = "RGBA" if has_alpha else _CONVERT.get(picture.mode, picture.mode)
    return np.ascontiguousarray(as_rgb(np.asarray(picture.convert(mode))))


def _stated_spacing(picture: Image.Image) -> tuple[float | None, float | None]:
    """Return um/px across and down from the dpi a picture states; 72 dpi is refused later."""
    dpi = picture.info.get("dpi")
    if not dpi or picture.info.get("jfif_unit") == 0:
        return None, None
    sides = [25400.0 / float(side) if float(side) > 0 else None for side in dpi]
    return sides[0], sides[1]
