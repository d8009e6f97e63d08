"""Decoded images, kept as long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from PIL import Image

from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.learning.pixels import read_pixels

CACHE_BYTES: Final = 1 << 30


class ImageCache:
    """Reads images and keeps those used last; for several threads at once.

    Parameters
    ----------
    most_bytes
        Of decoded pixels to keep.
    """

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._kept: OrderedDict[LabelledImage, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes of decoded pixels kept just now."""
        return self._held

    def read(self, image: LabelledImage) -> Image.Image:
        """Return an image's pixels, RGB at ``image.mpp``.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        with self._lock:
            if image in self._kept:
                self._kept.move_to_end(image)
                return self._kept[image]
        # Outside the lock, so that threads decode side by side; two may rarely decode the same.
        picture = read_pixels(image)
        with self._lock:
            if image not in self._kept:
                self._kept[image] = picture
                self._held += _bytes(picture)
            while self._held > self._most:
                self._held -= _bytes(self._kept.popitem(last=False)[1])
        return picture


def _bytes(picture: Image.Image) -> int:
    return 3 * picture.width * picture.height
