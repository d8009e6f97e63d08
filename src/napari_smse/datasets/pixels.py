"""The pixels of labelled images, cached as long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image

from napari_smse.datasets.image_header import UNREADABLE, open_header, short_reason
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError, SmseError
from napari_smse.slides import Slide, open_slide

CACHE_BYTES: Final = 1 << 30


class ImageCache:
    """Reads images and caches those used last; for several threads at once.

    Parameters
    ----------
    max_bytes
        Bytes of decoded pixels to cache.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._images: OrderedDict[LabelledImage, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def cached_bytes(self) -> int:
        """Bytes of decoded pixels cached just now."""
        return self._bytes

    def read(self, image: LabelledImage) -> Image.Image:
        """Return an image's pixels, RGB at ``image.mpp``.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        with self._lock:
            if image in self._images:
                self._images.move_to_end(image)
                return self._images[image]
        # Outside the lock, so that threads decode side by side; two may rarely decode the same.
        picture = read_pixels(image)
        with self._lock:
            if image not in self._images:
                self._images[image] = picture
                self._bytes += _bytes(picture)
            while self._bytes > self._max:
                self._bytes -= _bytes(self._images.popitem(last=False)[1])
        return picture


def _bytes(picture: Image.Image) -> int:
    return 3 * picture.width * picture.height


MAX_OPEN_SLIDES: Final = 16


def read_pixels(image: LabelledImage) -> Image.Image:
    """Return an image, or a field of a slide, as RGB at ``image.mpp``.

    Transparent parts are laid on white. May be called from several threads at once; slides
    are kept open between calls.

    Raises
    ------
    DataError
        The file is missing, damaged, or has no 8-bit pixels.
    """
    return read_file(image.path) if image.region is None else _read_field(image)


def close_slides() -> None:
    """Close all slides that `read_pixels` keeps open and that nobody reads just now."""
    _slides.close_idle(max_open=0)


def read_file(path: Path) -> Image.Image:
    """Return an image file as RGB; transparent parts are laid on white.

    Raises
    ------
    DataError
        It is missing, damaged, or has no 8-bit pixels.
    """
    try:
        with open_header(path) as picture:
            picture.load()
            return _rgb(picture)
    except DataError as error:
        raise DataError(f"{path} {error}: replace it, or leave it out.") from error
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be decoded ({short_reason(error)}): copy it again."
        ) from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return picture.convert("RGB")


def _read_field(image: LabelledImage) -> Image.Image:
    region = image.region
    assert region is not None
    try:
        with _slides.borrow(image.path) as slide:
            # image.mpp is the slide's own scale, so that nothing is resampled.
            source = slide.with_icc() if image.icc else slide
            pixels = source.read_level(0, region.x, region.y, region.width, region.height)
    except SmseError as error:
        raise DataError(
            f"A field of {image.path} cannot be read ({error}): copy the slide again."
        ) from error
    return Image.fromarray(pixels)


class _OpenSlides:
    """The slides read last, kept open; one that is being read is never closed."""

    def __init__(self, max_open: int) -> None:
        self._max = max_open
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, Slide] = OrderedDict()
        self._readers: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def borrow(self, path: Path) -> Iterator[Slide]:
        """Hold a slide open, opened if need be, for as long as the context lasts."""
        with self._lock:
            if path not in self._open:
                self._open[path] = open_slide(path)
            self._open.move_to_end(path)
            self._readers[path] = self._readers.get(path, 0) + 1
            slide = self._open[path]
        try:
            yield slide
        finally:
            with self._lock:
                self._readers[path] -= 1
            self.close_idle(self._max)

    def close_idle(self, max_open: int) -> None:
        """Close slides that nobody reads, the longest unused first, down to `max_open`."""
        with self._lock:
            idle = [path for path in self._open if not self._readers[path]]
            for path in idle[: max(0, len(self._open) - max_open)]:
                self._open.pop(path).close()
                del self._readers[path]


_slides = _OpenSlides(MAX_OPEN_SLIDES)
