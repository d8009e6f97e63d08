"""A slide whose colours are brought to sRGB by the ICC profile in its file."""

from __future__ import annotations

import threading
from dataclasses import replace
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from napari_smse.errors import ColourProfileError
from napari_smse.slides.backends.base import Backend

INTENT: Final = ImageCms.Intent.RELATIVE_COLORIMETRIC
"""Bright glass becomes white, and each colour that sRGB has keeps its own, whatever tables for
other intents a scanner's vendor made."""

_WITHOUT: Final = "score it without (in a shell: leave out --icc)"


class SrgbPixels:
    """Converts what another backend reads, pixel by pixel.

    Parameters
    ----------
    backend : Backend
        Reads the file.
    name : str
        Of the file, for errors.

    Raises
    ------
    ColourProfileError
        When the file has no ICC profile, or one that does not convert RGB.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._profile = _usable_profile(backend.facts.icc_profile, name)
        self._file_name = name
        self._of_thread = threading.local()
        self.name = backend.name
        self.levels = backend.levels
        background = self._converted(np.array([[backend.facts.background]], dtype=np.uint8))
        red, green, blue = background[0, 0].tolist()
        self.facts = replace(backend.facts, background=(red, green, blue))

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        return self._converted(self._backend.read_level(level, x, y, width, height))

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a picture that belongs to the slide, as it is: another camera took it."""
        return self._backend.associated_image(name)

    def close(self) -> None:
        """Close the file."""
        self._backend.close()

    def _converted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(self._transform().apply(Image.fromarray(pixels)))

    def _transform(self) -> ImageCms.ImageCmsTransform:
        """Return this thread's own: that several may share one is not promised."""
        transform: ImageCms.ImageCmsTransform | None = getattr(self._of_thread, "transform", None)
        if transform is None:
            transform = self._of_thread.transform = _transform_to_srgb(
                self._profile, self._file_name
            )
        return transform


def describe_profile(profile: bytes | None) -> str | None:
    """Return what an ICC profile calls itself; None if there is none, "damaged" if it is that."""
    if profile is None:
        return None
    try:
        return ImageCms.getProfileDescription(_opened(profile)).strip() or "unnamed"
    except ImageCms.PyCMSError:
        return "damaged"


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.getOpenProfile(BytesIO(profile))


def _usable_profile(profile: bytes | None, name: str) -> bytes:
    if profile is None:
        raise ColourProfileError(f"{name} has no ICC profile to apply: {_WITHOUT}")
    try:
        colours = _opened(profile).profile.xcolor_space.strip()
    except ImageCms.PyCMSError as error:
        raise _damaged(name) from error
    if colours != "RGB":
        raise ColourProfileError(
            f"{name} has an ICC profile for {colours} colours, and its pixels are read as RGB: "
            f"{_WITHOUT}"
        )
    return profile


def _transform_to_srgb(profile: bytes, name: str) -> ImageCms.ImageCmsTransform:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        return ImageCms.buildTransform(_opened(profile), srgb, "RGB", "RGB", INTENT)
    except ImageCms.PyCMSError as error:
        raise _damaged(name) from error


def _damaged(name: str) -> ColourProfileError:
    return ColourProfileError(
        f"{name} has a damaged ICC profile: copy the slide again from the scanner, or {_WITHOUT}"
    )
