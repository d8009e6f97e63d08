"""What lies over a slide beside its maps: tissue, agreement, change, what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_smse.palette import diverging_ramp
from napari_smse.scoring import MULTI_SCALE_MEAN, HeatMap, MapName, ScoreMaps, objective_power
from napari_smse.scoring.calls import OOD_SHARE
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.similarity.scale_agreement import ScaleAgreement
from napari_smse.slides import Slide
from napari_smse.tiles import Ground, TissueMask
from napari_smse.widgets.layers.coordinates import grid_placement, place, placement
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, layers_of_kind
from napari_smse.workflows.chosen_tissue import ground_areas

AGREE: Final = (0, 158, 115)
DIFFER: Final = (204, 121, 167)
DECIDING: Final = {
    "light blue": (86, 180, 233),
    "yellow": (240, 228, 66),
    "orange": (230, 159, 0),
    "white": (255, 255, 255),
}
"""By name, the colours of the scales that decide, fine to coarse."""


def show_agreement(
    viewer: ViewerModel, slide_layer: Layer, slide: Slide, found: ScaleAgreement, scales: int
) -> None:
    """Lay over the slide where the scales agree, and hidden below it which of them decides."""
    hide_agreement(viewer, slide)
    active = viewer.layers.selection.active
    several = max(2, scales)
    for name, heat_map, colours, shown in (
        ("Deciding scale", found.decided, _decide_colours(several), False),
        ("Scale agreement", found.agree, _ramp((DIFFER, AGREE), "SMSE agreement"), True),
    ):
        viewer.add_layer(
            Image(
                heat_map.values,
                name=f"{name} · {slide.name}",
                colormap=colours,
                contrast_limits=(0, 1 if shown else several - 1),
                interpolation2d="nearest",
                opacity=0.6,
                blending="translucent",
                visible=shown,
                metadata=LayerMark(LayerKind.AGREEMENT, slide.quick_hash).metadata,
                **placement(heat_map, slide_layer),
            )
        )
    viewer.layers.selection.active = active


def hide_agreement(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's layers of agreement, if there are any."""
    for layer in layers_of_kind(viewer, LayerKind.AGREEMENT, slide.quick_hash):
        viewer.layers.remove(layer)


def describe_agreement(found: ScaleAgreement, mpps: Sequence[float]) -> str:
    """Say in words how far the scales agree, and which decides how often."""
    if np.isnan(found.share):
        return "No place was scored at two scales."
    names = list(DECIDING)
    decided = ", ".join(
        f"{objective_power(mpp):.3g}x at {found.decided_share(number):.0%} "
        f"({names[number % len(names)]})"
        for number, mpp in enumerate(mpps)
    )
    return (
        f"The scales call the same class at {found.share:.0%} of the places (green) and differ at "
        f"the rest (purple). The surest scale is {decided}: show the layer “Deciding scale” to see "
        "where."
    ).replace("%", " %")


def _decide_colours(scales: int) -> Colormap:
    colours = list(DECIDING.values())
    return _ramp([colours[number % len(colours)] for number in range(scales)], f"SMSE {scales}")


def _ramp(colours: Sequence[tuple[int, int, int]], name: str) -> Colormap:
    """Return one colour for each whole number from 0; nothing where a map has no value."""
    rgba = np.ones((len(colours), 4))
    rgba[:, :3] = np.asarray(colours) / 255
    return Colormap(rgba, name=name, display_name=name)


def show_difference(
    viewer: ViewerModel, slide_layer: Layer, slide: Slide, before: ScoreMaps, after: ScoreMaps
) -> Image | None:
    """Show after minus before of the class that matters most, hidden until it is looked at.

    Returns
    -------
    Image or None
        None if the classes are others than before.
    """
    hide_difference(viewer, slide)
    if before.classes != after.classes:
        return None
    name = _most_telling(after)
    old, new = before.heat_map(name), after.heat_map(name)
    raster = MapRaster(new, after.plan.mask)
    layer = Image(
        raster.draw(replace(new, values=new.values - old.values)),
        name=f"Change of P({name.class_name}) · {slide.name}",
        **placement(new, slide_layer, raster.parts),
        colormap=_change_colormap(),
        contrast_limits=(-1, 1),
        interpolation2d="nearest",
        opacity=0.7,
        blending="translucent",
        visible=False,
        metadata=LayerMark(LayerKind.DIFFERENCE, slide.quick_hash).metadata,
    )
    active = viewer.layers.selection.active
    at = viewer.layers.index(slide_layer) + 1 if slide_layer in viewer.layers else 0
    viewer.layers.insert(at, layer)
    viewer.layers.selection.active = active
    return layer


def difference_of(viewer: ViewerModel, slide: Slide) -> Image | None:
    """Return the difference layer of a slide, if there is one."""
    layers = layers_of_kind(viewer, LayerKind.DIFFERENCE, slide.quick_hash)
    return next((layer for layer in layers if isinstance(layer, Image)), None)


def hide_difference(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's difference layer."""
    layer = difference_of(viewer, slide)
    if layer is not None:
        viewer.layers.remove(layer)


def _most_telling(maps: ScoreMaps) -> MapName:
    names = list(maps)
    wanted = "malignant" if "malignant" in maps.classes else maps.classes[-1]
    of_class = [name for name in names if name.class_name == wanted]
    return next((name for name in of_class if name.scale == MULTI_SCALE_MEAN), of_class[0])


def _change_colormap() -> Colormap:
    """Blue where it fell, orange where it rose, nothing where little changed."""
    colours: NDArray[np.float32] = diverging_ramp(257).copy()
    colours[:, 3] = np.clip(np.abs(np.linspace(-1, 1, 257)) * 2, 0, 1)
    return Colormap(colours, name="SMSE change", display_name="Change")


def show_tissue(viewer: ViewerModel, slide_layer: Layer, slide: Slide, mask: TissueMask) -> Labels:
    """Lay the mask over the slide, in place of an earlier one."""
    hide_tissue(viewer, slide)
    across, down = mask.cell
    layer = Labels(
        mask.ground,
        name=f"Tissue · {slide.name}",
        **grid_placement(slide_layer, (mask.region.y, mask.region.x), (down, across)),
        opacity=0.35,
        colormap=DirectLabelColormap(color_dict=_TISSUE_COLOURS),
        # Named in the status bar, where the pointer is.
        features={"index": list(map(int, Ground)), "shows": [one.words for one in Ground]},
        metadata=LayerMark(LayerKind.TISSUE, slide.quick_hash).metadata,
    )
    layer.editable = False
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer


def hide_tissue(viewer: ViewerModel, slide: Slide) -> bool:
    """Take a slide's mask away; False if it was not shown."""
    shown = layers_of_kind(viewer, LayerKind.TISSUE, slide.quick_hash)
    for layer in shown:
        viewer.layers.remove(layer)
    return bool(shown)


_TISSUE_COLOURS = {
    int(Ground.TISSUE): "#00ffb4",
    int(Ground.PEN): "#ffb000",
    int(Ground.DARK): "#404040",
    int(Ground.FOLD): "#e00000",
    int(Ground.FOREIGN): "#000000",
    int(Ground.BUBBLE): "#00a0ff",
    int(Ground.BLUR): "#f0e442",
    int(Ground.GLASS): "transparent",
    None: "transparent",
}


def describe_tissue(mask: TissueMask, mpp: float) -> str:
    """Say what a mask shows, in mm², each beside its colour, as rich text.

    Parameters
    ----------
    mask
        The slide's tissue.
    mpp
        um/px of level 0.
    """
    parts = [
        f'<span style="color:{_TISSUE_COLOURS[int(ground)]}">■</span> {ground.words} {mm2:.3g} mm²'
        for ground, mm2 in ground_areas(mask, mpp).items()
    ]
    return ", ".join(parts) or "No tissue found."


def show_sharpness(
    viewer: ViewerModel,
    slide_layer: Layer,
    slide: Slide,
    sharpness: HeatMap,
    scale: str,
    mask: TissueMask,
) -> Image:
    """Lay over the slide how sharp its tiles are, in place of an earlier map of that.

    Parameters
    ----------
    viewer, slide_layer, slide
        Where to.
    sharpness
        See `tiles.appearance.focus`; NaN where nothing was scored.
    scale
        Its name.
    mask
        The slide's tissue, which alone is coloured.
    """
    hide_sharpness(viewer, slide)
    raster = MapRaster(sharpness, mask)
    layer = Image(
        raster.draw(sharpness),
        name=f"Sharpness, {scale} · {slide.name}",
        colormap="viridis",
        contrast_limits=(0, _SHARP),
        interpolation2d="nearest",
        opacity=0.75,
        blending="translucent",
        metadata=LayerMark(LayerKind.SHARPNESS, slide.quick_hash).metadata,
        **placement(sharpness, slide_layer, raster.parts),
    )
    layer.colorbar.visible = True
    layer.colorbar.position = "top_left"
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer


def hide_sharpness(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's map of sharpness, if there is one."""
    for layer in layers_of_kind(viewer, LayerKind.SHARPNESS, slide.quick_hash):
        viewer.layers.remove(layer)


_SHARP: Final = 0.6
"""Most tissue that is sharp at 20x lies below; see `tiles.appearance.focus`."""

_KNOWN, _GREY, _STRIPE = 0, 1, 2
_MIN_PERIOD_PX: Final = 4
_STRIPE_SHARE: Final = 4
"""One part in so many is stripe."""


def show_out_of_distribution(
    viewer: ViewerModel,
    slide_layer: Layer,
    slide: Slide,
    unknown: HeatMap,
    mask: TissueMask | None = None,
) -> Image:
    """Hatch the cells that are 1 in a map, over all maps of the slide.

    Parameters
    ----------
    viewer, slide_layer, slide
        Where to.
    unknown
        1 out of distribution, 0 not; NaN where nothing was scored.
    mask
        The slide's tissue; nothing else is hatched. None to hatch whole cells.
    """
    raster = MapRaster(unknown, mask)
    drawn = hatching(raster.draw(unknown) >= OOD_SHARE, max(_MIN_PERIOD_PX, raster.parts))
    placed = placement(unknown, slide_layer, raster.parts)
    earlier = layers_of_kind(viewer, LayerKind.OUT_OF_DISTRIBUTION, slide.quick_hash)
    same = next((one for one in earlier if one.data.shape == drawn.shape), None)
    if isinstance(same, Image):
        # Removing a layer takes long.
        same.data = drawn
        place(same, placed)
        return same
    hide_out_of_distribution(viewer, slide)
    layer = Image(
        drawn,
        name=f"Out of distribution · {slide.name}",
        colormap=_ood_colormap(),
        contrast_limits=(_KNOWN, _STRIPE),
        interpolation2d="nearest",
        blending="translucent",
        metadata=LayerMark(LayerKind.OUT_OF_DISTRIBUTION, slide.quick_hash).metadata,
        **placed,
    )
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer


def hide_out_of_distribution(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's layer of what is unlike anything known, if there is one."""
    for layer in layers_of_kind(viewer, LayerKind.OUT_OF_DISTRIBUTION, slide.quick_hash):
        viewer.layers.remove(layer)


def hatching(unknown: NDArray[np.bool_], period: int) -> NDArray[np.uint8]:
    """Return grey, with a stripe every so many pixels, where true; nothing elsewhere."""
    rows, columns = np.indices(unknown.shape, sparse=True)
    stripe = (rows + columns) % period < max(1, period // _STRIPE_SHARE)
    return np.where(unknown, np.where(stripe, _STRIPE, _GREY), _KNOWN).astype(np.uint8)


def _ood_colormap() -> Colormap:
    # What lies below must stay readable: it may well be what somebody wants to look into.
    colours = np.array([[0, 0, 0, 0], [0.6, 0.6, 0.6, 0.35], [0.1, 0.1, 0.1, 0.75]])
    return Colormap(colours, name="SMSE unknown", display_name="Unknown")
