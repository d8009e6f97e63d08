"""Slides put together from labelled images: a pyramidal TIFF a case, annotated.

The images of a case lie in rows on glass, with glass around them, and a polygon around each says
its class, as somebody would have drawn it. So what reads slides can be measured where only images
are to be had.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import shapely
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_smse.annotations import Annotation, AnnotationSet, write_annotations
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.pixels import read_pixels
from napari_smse.datasets.readers.annotated_slides import FIELD_MPP, FIELD_PX
from napari_smse.training.augmentation import STAINS

Pixels = NDArray[np.uint8]

MPP: Final = 0.5
"""Of level 0, um/px, as of a 20x scan."""
CELL_PX: Final = round(FIELD_PX * FIELD_MPP / MPP)
"""Side of the square an image has to itself: that of a field, so a field shows one image."""
GAP_PX: Final = 16
MOST_IMAGES: Final = 24
GLASS: Final = (244, 243, 241)
_TILE: Final = 256
_SMALLEST_LEVEL: Final = 512


@dataclass(frozen=True)
class Scanner:
    """How another laboratory stains and another scanner sees.

    Attributes
    ----------
    stains
        Factors of haematoxylin, eosin and the residual, on optical densities.
    gamma
        Of the tone curve; below 1 shows it lighter.
    white
        What white becomes, red, green and blue, 0..1.
    blur_um
        Standard deviation of its point spread.
    """

    stains: tuple[float, float, float]
    gamma: float
    white: tuple[float, float, float]
    blur_um: float


OTHER_SCANNER: Final = Scanner((0.65, 1.4, 1.0), 0.85, (1.0, 0.98, 0.94), 0.4)
"""Written down once and never searched for: pale nuclei, much eosin, a yellowish lamp, soft."""


def compose_slides(
    data: LabelledSet, folder: Path, *, scanner: Scanner | None = None, most: int = MOST_IMAGES
) -> list[Path]:
    """Write a slide and its annotations for every case.

    Parameters
    ----------
    data
        Images with their um/px.
    folder
        Where to write; made if it is not there.
    scanner
        What the slides are seen through; as the images are by default.
    most
        Images of a case, evenly chosen where there are more, so that none counts for too much.

    Returns
    -------
    list of Path
        The slides, by case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    of_case: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in data.images:
        of_case[image.case].append(image)
    return [
        _write_slide(folder, case, evenly(of_case[case], most), data.classes, scanner)
        for case in sorted(of_case)
    ]


def evenly(images: Sequence[LabelledImage], most: int) -> list[LabelledImage]:
    """Return at most so many images, evenly chosen in their order."""
    if len(images) <= most:
        return list(images)
    return [images[i] for i in np.linspace(0, len(images) - 1, most).round().astype(int)]


def seen_through(pixels: Pixels, scanner: Scanner, mpp: float = MPP) -> Pixels:
    """Return RGB ``(h, w, 3)`` as another laboratory and scanner would have given it."""
    mixing = np.linalg.inv(STAINS) @ np.diag(scanner.stains) @ STAINS * scanner.gamma
    density = -np.log((pixels.astype(np.float32) + 1) / 256)
    light = np.exp(-density @ mixing.astype(np.float32)) * np.array(scanner.white, np.float32)
    sigma = scanner.blur_um / mpp
    blurred = ndimage.gaussian_filter(light, (sigma, sigma, 0), mode="nearest")
    return np.asarray((blurred * 256 - 1).round().clip(0, 255), dtype=np.uint8)


def write_pyramid(path: Path, pixels: Pixels, mpp: float = MPP) -> None:
    """Write a tiled TIFF that states its um/px, every level half as wide as the one before."""
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate(_levels(pixels)):
            per_cm = 1e4 / mpp / 2**index
            tiff.write(
                level,
                photometric="rgb",
                tile=(_TILE, _TILE),
                compression="zlib",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=1 if index else 0,
                metadata=None,
            )


def _levels(pixels: Pixels) -> list[Pixels]:
    levels = [pixels]
    while min(levels[-1].shape[:2]) >= 2 * _SMALLEST_LEVEL:
        whole = Image.fromarray(levels[-1])
        levels.append(np.asarray(whole.reduce(2)))
    return levels


def _write_slide(
    folder: Path,
    case: str,
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    scanner: Scanner | None,
) -> Path:
    across = math.ceil(math.sqrt(len(images)))
    down = math.ceil(len(images) / across)
    # A ring of empty cells, as there is glass around tissue.
    canvas = np.full(((down + 2) * CELL_PX, (across + 2) * CELL_PX, 3), GLASS, dtype=np.uint8)
    drawn = []
    for place, image in enumerate(images):
        row, column = divmod(place, across)
        box = _paste(canvas, _fitted(image), row + 1, column + 1)
        drawn.append(Annotation(classes[image.label], box))
    path = folder / f"{case.replace(' ', '_')}.tif"
    write_pyramid(path, canvas if scanner is None else seen_through(canvas, scanner))
    write_annotations(path.with_suffix(".geojson"), AnnotationSet(tuple(drawn)))
    return path


def _fitted(image: LabelledImage) -> Pixels:
    """Return an image at `MPP`, its middle if it is larger than a cell without the gap."""
    picture = read_pixels(image)
    width, height = (round(length * image.mpp / MPP) for length in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
    most = CELL_PX - GAP_PX
    top, left = max(0, height - most) // 2, max(0, width - most) // 2
    return pixels[top : top + most, left : left + most]


def _paste(canvas: Pixels, pixels: Pixels, row: int, column: int) -> shapely.Polygon:
    """Put an image into the middle of a cell, and return its outline, level-0 px."""
    height, width = pixels.shape[:2]
    top = row * CELL_PX + (CELL_PX - height) // 2
    left = column * CELL_PX + (CELL_PX - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return shapely.box(left, top, left + width, top + height)
