"""Pictures of a report: histograms, tissue around a spot, small pictures of slides."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.palette import Colour
from napari_smse.results.slide_summary import BINS, ScaleSummary
from napari_smse.slides import Region, Slide

if TYPE_CHECKING:
    from PIL import Image

_AROUND: Final = 2.0
"""A spot is shown in so many times its width, for what lies around it."""

_SPOT_PX: Final = 360
_FRAME: Final = (255, 212, 0)
_FRAME_PX: Final = 3
_HISTOGRAM_INCHES: Final = (5.2, 2.3)


def draw_histogram(
    scale: ScaleSummary,
    class_name: str,
    colours: Mapping[str, Colour],
    band: tuple[float, float] | None,
) -> bytes:
    """Draw how much tissue has which probability, coloured by what is called.

    Parameters
    ----------
    scale
        What was called.
    class_name
        The class whose probabilities it shows.
    colours
        Of all that may be called, RGB 0..255.
    band
        Probabilities of the class between which nothing is called.

    Returns
    -------
    bytes
        A PNG file.
    """
    # Half a second of importing that only this function needs.
    from matplotlib.figure import Figure

    figure = Figure(figsize=_HISTOGRAM_INCHES, layout="constrained")
    axes = figure.add_subplot()
    middles, below = (np.arange(BINS) + 0.5) / BINS, np.zeros(BINS)
    whole = scale.mm2 or 1.0
    for call, row in zip(scale.calls, scale.histogram, strict=True):
        colour = tuple(part / 255 for part in colours[call.name])
        height = 100 * row / whole
        axes.bar(middles, height, 0.92 / BINS, below, color=colour, label=call.name)
        below += height
    for edge in band or ():
        axes.axvline(edge, color="#555555", linewidth=1, linestyle=":")
    axes.set(xlim=(0, 1), xlabel=f"P({class_name})", ylabel="% of the tissue")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=180)
    return buffer.getvalue()


def picture_of_spot(slide: Slide, region: Region) -> bytes:
    """Return a spot with the tissue around it, the spot itself in a yellow frame, as JPEG.

    Parameters
    ----------
    slide, region
        Where it lies, level-0 px.

    Raises
    ------
    SlideError
        It cannot be read.
    """
    margins = [round((_AROUND - 1) / 2 * side) for side in (region.width, region.height)]
    around = Region(
        region.x - margins[0],
        region.y - margins[1],
        region.width + 2 * margins[0],
        region.height + 2 * margins[1],
    )
    pixels = slide.read(around, slide.mpp * around.width / _SPOT_PX).copy()
    _frame(pixels, region.width / around.width)
    return jpeg(pixels)


def _frame(pixels: NDArray[np.uint8], share: float) -> None:
    """Draw a frame around the middle of a picture, which takes this share of it."""
    height, width = pixels.shape[:2]
    top, left = (round(side * (1 - share) / 2) for side in (height, width))
    outer = np.zeros((height, width), dtype=bool)
    outer[top : height - top, left : width - left] = True
    outer[
        top + _FRAME_PX : height - top - _FRAME_PX, left + _FRAME_PX : width - left - _FRAME_PX
    ] = False
    pixels[outer] = _FRAME


def jpeg(pixels: NDArray[np.uint8], side: int | None = None) -> bytes:
    """Return RGB pixels ``(h, w, 3)`` as JPEG, at most `side` px wide and high."""
    from PIL import Image

    return _as_jpeg(Image.fromarray(pixels), side)


def as_jpeg(png: bytes, side: int | None = None) -> bytes:
    """Return a picture in a file's bytes as JPEG, at most `side` px wide and high."""
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        return _as_jpeg(picture.convert("RGB"), side)


def _as_jpeg(picture: Image.Image, side: int | None) -> bytes:
    if side is not None:
        picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
