"""The slides behind a viewer's layers, and the way between layer, world and level-0 px."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_smse.errors import SlideNotFoundError, SmseError
from napari_smse.reader import MAP_SLIDE_KEY, SLIDE_KEY
from napari_smse.slides import Slide, file_and_image, open_slide
from napari_smse.slides.remote_path import RemotePath

LAYER_KEY: Final = "napari_smse_layer"
"""Key of the metadata of a layer that lies on a slide: its `LayerMark`."""


class LayerKind(StrEnum):
    """What a layer that lies on a slide shows."""

    AGREEMENT = "agreement of scales"
    ANNOTATIONS = "annotations"
    CONTOURS = "contours"
    DIFFERENCE = "difference by fine-tuning"
    EXAMPLES = "examples"
    EXPORTED_MAP = "heat map that was opened from a file"
    HEAT_MAP = "heat map"
    HITS = "hits"
    OUT_OF_DISTRIBUTION = "out of distribution"
    OUTLINE = "outline of a tile"
    OTHER_SCORES = "scores by another program"
    PAIR_CONSTRAINTS = "pair constraints"
    SELECTION = "selected tiles"
    SHARPNESS = "sharpness"
    SIMILARITY = "similarity"
    STROKE = "stroke of the brush"
    TISSUE = "tissue"


COLOUR_MAPS: Final = frozenset(
    {
        LayerKind.AGREEMENT,
        LayerKind.DIFFERENCE,
        LayerKind.EXPORTED_MAP,
        LayerKind.HEAT_MAP,
        LayerKind.OTHER_SCORES,
        LayerKind.SHARPNESS,
        LayerKind.SIMILARITY,
    }
)
"""What covers a slide with colours, by whatever program: two on each other cannot be read."""

ALL_MAPS: Final = COLOUR_MAPS | {LayerKind.CONTOURS, LayerKind.OUT_OF_DISTRIBUTION}
"""Whatever says something of each place."""


@dataclass
class LayerMark:
    """How this plugin knows a layer of its own.

    Attributes
    ----------
    kind
        What it shows.
    slide
        Quick hash of the slide that it lies on; None if that cannot be opened any more.
    detail
        What else tells it from other layers of its kind, or belongs to it.
    """

    kind: LayerKind
    slide: str | None
    detail: Any = None

    @property
    def metadata(self) -> dict[str, LayerMark]:
        """The metadata of the layer."""
        return {LAYER_KEY: self}


def mark_of(layer: Layer) -> LayerMark | None:
    """Return the mark of a layer; None if it is not one of this plugin's, or a slide."""
    mark = layer.metadata.get(LAYER_KEY)
    if isinstance(mark, LayerMark):
        return mark
    slide = layer.metadata.get(MAP_SLIDE_KEY)  # the reader lies below marks
    return LayerMark(LayerKind.EXPORTED_MAP, slide) if isinstance(slide, str) else None


def is_of_kind(layer: Layer, kind: LayerKind, slide: str | None = None) -> bool:
    """Whether a layer shows this, on the slide with this quick hash or on any."""
    mark = mark_of(layer)
    return mark is not None and mark.kind is kind and slide in (None, mark.slide)


def tell_why_hidden(layer: Layer) -> None:
    """Say why what was just opened is not seen, if the user opened it by itself."""
    if is_of_kind(layer, LayerKind.EXPORTED_MAP):
        show_info(f"{layer.name} is of another slide, and is seen when that slide is in view.")


def layers_of_kind(viewer: ViewerModel, kind: LayerKind, slide: str | None = None) -> list[Layer]:
    """Return the layers that show this, on the slide with this quick hash or on any."""
    return [layer for layer in viewer.layers if is_of_kind(layer, kind, slide)]


def maps_on(
    viewer: ViewerModel, slide: str, kinds: Collection[LayerKind] = ALL_MAPS
) -> list[Layer]:
    """Return the maps on the slide with this quick hash, all or of some kinds."""
    marks = ((layer, mark_of(layer)) for layer in viewer.layers)
    return [
        layer
        for layer, mark in marks
        if mark is not None and mark.kind in kinds and mark.slide == slide
    ]


def slide_layers(viewer: ViewerModel) -> Iterator[Image]:
    """Layers that show a slide, or a colour picture from a file that can be opened as one."""
    return (layer for layer in viewer.layers if is_slide_layer(layer))


def is_slide_layer(layer: Layer) -> bool:
    """Whether a layer shows a slide, or a picture that can be opened as one."""
    return isinstance(layer, Image) and (SLIDE_KEY in layer.metadata or _is_picture_file(layer))


def pictures_without_file(viewer: ViewerModel) -> list[Image]:
    """Return colour pictures that are no slides, as they do not come from a file."""
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image)
        and layer.rgb
        and not is_slide_layer(layer)
        and mark_of(layer) is None
    ]


def _is_picture_file(layer: Image) -> bool:
    return bool(layer.rgb and layer.source.path and Path(layer.source.path).exists())


def layer_with(viewer: ViewerModel, quick_hash: str) -> Image | None:
    """Return the layer of an open slide, whatever it is called now; None if it was removed."""
    for layer in slide_layers(viewer):
        slide = layer.metadata.get(SLIDE_KEY)
        if isinstance(slide, Slide) and slide.quick_hash == quick_hash:
            return layer
    return None


def slide_of(layer: Layer) -> Slide:
    """The open slide of a layer.

    Raises
    ------
    SlideError
        If the layer's file cannot be opened as a slide.
    """
    slide = layer.metadata.get(SLIDE_KEY)
    if not isinstance(slide, Slide):
        if not layer.source.path:
            raise SlideNotFoundError(
                f"Layer {layer.name!r} does not come from a slide file: open the slide with "
                "File > Open."
            )
        slide = layer.metadata[SLIDE_KEY] = open_slide(layer.source.path)
        # As slides that this plugin opens: a picture of one level flickers from afar.
        if isinstance(layer, Image):
            layer.interpolation2d = "linear"
    # One at an address is asked for again when it is read, by who may wait for it.
    if not isinstance(slide.path, RemotePath) and not file_and_image(slide.path)[0].exists():
        raise SlideNotFoundError(
            f"{slide.path} is gone: put the file back, or open the slide from where it is now."
        )
    return slide


def slide_key(layer: Layer) -> str:
    """Return by what a slide layer and all that lies on it know each other."""
    mark = mark_of(layer)
    if mark is not None and mark.slide is not None:
        return mark.slide
    slide = layer.metadata.get(SLIDE_KEY)
    try:
        return slide.quick_hash if isinstance(slide, Slide) else layer.unique_id.hex
    except SmseError:  # its file is gone
        return str(layer.unique_id.hex)


def set_scale(layer: Layer, slide: Slide) -> None:
    """Give a slide layer the um/px of this slide, as when the user typed it."""
    layer.metadata[SLIDE_KEY] = slide
    layer.scale = (slide.mpp, slide.mpp)
    layer.units = ("um", "um")


def world_to_level0(layer: Layer, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """World points of napari, (n, 2) as (y, x), to the slide's level-0 px, (n, 2) as (x, y).

    napari's pixel i reaches from i - 0.5 to i + 0.5; here it reaches from i to i + 1.
    """
    data = (np.asarray(points, dtype=np.float64) - _translate(layer)) / _scale(layer)
    return data[:, ::-1] + 0.5


def level0_to_world(layer: Layer, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The slide's level-0 px, (n, 2) as (x, y), to world points of napari, (n, 2) as (y, x)."""
    data = np.asarray(points, dtype=np.float64)[:, ::-1] - 0.5
    return data * _scale(layer) + _translate(layer)


def _scale(layer: Layer) -> NDArray[np.float64]:
    return np.asarray(layer.scale, dtype=np.float64)[-2:]


def _translate(layer: Layer) -> NDArray[np.float64]:
    return np.asarray(layer.translate, dtype=np.float64)[-2:]
