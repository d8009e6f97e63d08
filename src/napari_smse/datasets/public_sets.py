"""The public data sets that the bundled model learnt from, known by the names of their files.

Their pictures may not be shipped with the model. Whoever has a set on disk, in whatever folders,
gives its images back their case and scale by this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from napari_smse.datasets.image_header import files_below
from napari_smse.datasets.pixels import read_file
from napari_smse.datasets.readers.breakhis import BreakHisName, mpp_of, parse_name

SQUARE_PX: Final = 224
"""Edge of the images of EBHI-Seg, and to which those of the oral set were shrunk, px."""

_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_EBHI = re.compile(r"(?P<case>GT[a-z]*\d+)-\d+-400-\d+", re.IGNORECASE)
_EBHI_MPP: Final = 1.1
_ORAL = re.compile(r"(?P<label>Normal|OSCC)_(?P<power>100|400)x_(?P<number>\d+)", re.IGNORECASE)
_ORAL_MPP: Final = 0.85
_UCSB = re.compile(r"(?P<case>ytma\d+_\d+_(?:benign|malignant)\d+)(?:_ccd)?", re.IGNORECASE)
_UCSB_MPP: Final = 0.45
_ORAL_BLOCK: Final = 20
"""So many consecutive images of the oral set are taken for one case: it names no patients."""


@dataclass(frozen=True)
class PublicImage:
    """An image of a public data set.

    Attributes
    ----------
    path
        Its file.
    case
        Its case as the bundled model's training named it, beginning with the name of the set.
    """

    path: Path
    case: str
    _breakhis: BreakHisName | None = None
    _mpp: float = 0.0
    _square: bool = False

    def read(self) -> tuple[Image.Image, float]:
        """Return the picture, RGB, as it was learnt from, and its um/px.

        Raises
        ------
        DataError
            It cannot be read.
        """
        picture = read_file(self.path)
        if self._breakhis is not None:
            return picture, mpp_of(self._breakhis, picture.size)
        side = min(picture.size)
        if self._square and picture.size != (SQUARE_PX, SQUARE_PX):
            left, top = ((length - side) // 2 for length in picture.size)
            box = (left, top, left + side, top + side)
            picture = picture.resize((SQUARE_PX, SQUARE_PX), Image.Resampling.LANCZOS, box=box)
        return picture, self._mpp


def public_images(folder: Path) -> Iterator[PublicImage]:
    """Yield the images below a folder that are of a set the bundled model learnt from."""
    for path in files_below(folder):
        image = public_image(path)
        if image is not None:
            yield image


def public_image(path: Path) -> PublicImage | None:
    """Return what a file of this name is in its public data set; None for another name.

    BreakHis, EBHI-Seg, the oral set of Rahman et al., of which only images at 400x were learnt
    from, and UCSB's breast tissue microarrays. LC25000's lung is not among them: of its files, 25
    show one field, and their names do not say which.
    """
    if path.suffix.lower() not in _IMAGES:
        return None
    named = parse_name(path.name)
    if named is not None:
        return PublicImage(path, f"breakhis {named.number}", named)
    ebhi = _EBHI.fullmatch(path.stem)
    if ebhi is not None:
        return PublicImage(path, f"colon {ebhi['case']}", _mpp=_EBHI_MPP, _square=True)
    oral = _ORAL.fullmatch(path.stem)
    if oral is not None and oral["power"] == "400":
        label = "OSCC" if oral["label"].upper() == "OSCC" else "Normal"
        block = int(oral["number"]) // _ORAL_BLOCK
        return PublicImage(path, f"oral {label}-400-{block}", _mpp=_ORAL_MPP, _square=True)
    ucsb = _UCSB.fullmatch(path.stem)
    if ucsb is not None:
        return PublicImage(path, f"ucsb {ucsb['case']}", _mpp=_UCSB_MPP)
    return None
