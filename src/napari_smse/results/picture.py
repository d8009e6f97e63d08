"""Heat maps as one picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.palette import MapColours, diverging_ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

NOTICE = "Research use only"
# In inches; placed by hand, as matplotlib's own layouts draw everything twice to find its size.
_PICTURE_WIDTH = 4.4
_LEFT, _RIGHT, _ABOVE, _BELOW = 0.5, 0.1, 0.3, 0.45
"""What a picture has around it: numbers to its left and below, its title above."""
_CAPTION = 0.3
_SHORT = 46
"""So many letters of the usual size fit above a picture."""
_BAR_WIDTH, _BAR_LABELS = 0.15, 0.6
_MAX_PER_ROW = 3
_OPACITY = 0.72
_STRIPES = 90
"""Of the hatching, along the longer side of a map."""
_PALE, _DARK = (0.75, 0.75, 0.75, 0.9), (0.3, 0.3, 0.3, 0.9)

Extent = tuple[float, float, float, float]


class MapPanel(NamedTuple):
    """A map to show.

    Attributes
    ----------
    title
        Title, such as `P(malignant) at 0.5 um/px`.
    values
        (rows, columns) probabilities, NaN where there was nothing to score.
    extent
        Left, right, bottom, top of the array in um of the slide; the slide's corner is
        (0, 0) and y points down, so that bottom > top.
    colours
        Colours of the class; without them, the map goes from blue to orange.
    out_of_distribution
        (rows, columns) pixels that show tissue unlike what the model knows; they are hatched.
    """

    title: str
    values: NDArray[np.float32]
    extent: Extent
    colours: MapColours | None = None
    out_of_distribution: NDArray[np.bool_] | None = None


def heat_map_picture(
    thumbnail: NDArray[np.uint8],
    maps: Sequence[MapPanel | tuple[str, NDArray[np.float32], Extent]],
    *,
    extent: Extent,
    caption: str,
) -> bytes:
    """Show the slide and, beside it, each map laid over it, in one picture.

    Parameters
    ----------
    thumbnail
        (height, width, 3) RGB picture of the slide.
    maps
        The maps, of one class each.
    extent
        Left, right, bottom, top of the thumbnail in um.
    caption
        Text under the picture: slide, model, date. "Research use only" is added.

    Returns
    -------
    bytes
        A PNG file.
    """
    panels = [MapPanel(*panel) for panel in maps]
    figure = _figure(panels, thumbnail, extent)
    figure.text(0.01, 0.01, caption, ha="left", va="bottom", fontsize=9)
    figure.text(0.99, 0.01, NOTICE, ha="right", va="bottom", fontsize=9, weight="bold")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, pil_kwargs={"compress_level": 2})
    return buffer.getvalue()


def _figure(panels: Sequence[MapPanel], thumbnail: NDArray[np.uint8], extent: Extent) -> Figure:
    # Half a second of importing that only this function needs.
    from matplotlib.figure import Figure

    count = len(panels) + 1
    columns = count if count <= _MAX_PER_ROW else math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    left, right, bottom, top = extent
    height = _PICTURE_WIDTH * min(max((bottom - top) / (right - left), 0.3), 2.5)
    across, down = _LEFT + _PICTURE_WIDTH + _RIGHT, _ABOVE + height + _BELOW
    width = columns * across + _BAR_WIDTH + _BAR_LABELS
    figure = Figure(figsize=(width, _CAPTION + rows * down))

    def place(x: float, y: float, wide: float, high: float) -> Axes:
        size = figure.get_size_inches()
        return figure.add_axes((x / size[0], y / size[1], wide / size[0], high / size[1]))

    axes = [
        place(
            _LEFT + (number % columns) * across,
            _CAPTION + _BELOW + (rows - 1 - number // columns) * down,
            _PICTURE_WIDTH,
            height,
        )
        for number in range(count)
    ]
    _show_slide(axes[0], "Slide", thumbnail, extent)
    for axis, panel in zip(axes[1:], panels, strict=True):
        shown = _show_map(axis, panel, thumbnail, extent)
    if panels:
        bar_height = min(rows * down - _ABOVE - _BELOW, 5.0)
        middle = _CAPTION + rows * down / 2
        bar = place(columns * across, middle - bar_height / 2, _BAR_WIDTH, bar_height)
        figure.colorbar(shown, cax=bar, label="Probability")
    return figure


def _show_slide(axis: Axes, title: str, picture: NDArray[Any], extent: Extent) -> None:
    unit, um = ("mm", 1000.0) if extent[1] - extent[0] > 2000 else ("µm", 1.0)
    axis.imshow(picture, extent=extent, interpolation="antialiased")
    axis.set_title(title, fontsize=11 if len(title) <= _SHORT else 8, loc="left")
    axis.set_xlabel(unit, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value / um:g}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value / um:g}")


def _show_map(
    axis: Axes, panel: MapPanel, thumbnail: NDArray[np.uint8], extent: Extent
) -> AxesImage:
    from matplotlib.colors import ListedColormap

    _show_slide(axis, panel.title, _faded(thumbnail), extent)
    shown = axis.imshow(
        np.ma.masked_invalid(panel.values),
        extent=panel.extent,
        cmap=ListedColormap(_ramp(panel.colours)),
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    if panel.out_of_distribution is not None:
        _hatch(axis, panel.out_of_distribution, panel.extent)
    if not np.isfinite(panel.values).any():
        axis.text(0.5, 0.5, "nothing scored", transform=axis.transAxes, ha="center", fontsize=11)
    # The last picture decides the limits, and a map may reach over the slide's edge.
    axis.set_xlim(extent[0], extent[1])
    axis.set_ylim(extent[2], extent[3])
    return shown


def _hatch(axis: Axes, where: NDArray[np.bool_], extent: Extent) -> None:
    """Lay grey stripes, as wide whatever the size of the cells, over a part of a map."""
    if not where.any():
        return
    rows, columns = np.ogrid[: where.shape[0], : where.shape[1]]
    period = max(4, max(where.shape) // _STRIPES)
    stripe = (rows + columns) % period < period // 2
    rgba = np.zeros((*where.shape, 4), dtype=np.float32)
    rgba[where] = _PALE
    rgba[where & stripe] = _DARK
    axis.imshow(rgba, extent=extent, interpolation="nearest")


def _ramp(colours: MapColours | None) -> NDArray[np.float32]:
    # Made translucent here: an opacity given to the picture would replace that of the ramp's low
    # end, which shows the tissue.
    ramp = diverging_ramp() if colours is None else colours.ramp()
    ramp[:, 3] *= _OPACITY
    return ramp


def _faded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey and pale, so that the only colours are the map's."""
    grey = picture.mean(axis=2, keepdims=True)
    return np.repeat(255 - (255 - grey) * 0.75, 3, axis=2).astype(np.uint8)
