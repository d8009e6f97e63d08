"""The heat maps of a scored slide, drawn as panels of one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from napari_smse.models.card import ModelCard
from napari_smse.palette import MapColours, map_colours
from napari_smse.results.picture import MapPanel, heat_map_picture
from napari_smse.results.run_context import RunContext
from napari_smse.scoring import (
    MULTI_SCALE_MEAN,
    HeatMap,
    ScaleScores,
    describe_scale,
    fuse,
    fused_scales,
    is_trained_scale,
)
from napari_smse.scoring.calls import OOD_LIMIT, OOD_SHARE
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.tiles import TissueMask, find_tissue

_THUMBNAIL_SIDE: Final = 1600
_OUTSIDE: Final = ": outside the model's magnifications"


def draw_maps(
    slide: Slide,
    scales: Sequence[ScaleScores],
    context: RunContext,
    mask: TissueMask | None = None,
) -> bytes:
    """Draw the slide and its maps: one of each scale, and the mean if there are several.

    Parameters
    ----------
    slide
        The slide.
    scales
        All that its store holds, fine to coarse.
    context
        Model, and what is known of out of distribution.
    mask
        The slide's tissue; by its colours by default.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    SlideError
        The slide cannot be read.
    """
    return heat_map_picture(
        slide.thumbnail(_THUMBNAIL_SIDE),
        list(_panels(slide, scales, context, mask or find_tissue(slide))),
        extent=(0, slide.width * slide.mpp, slide.height * slide.mpp, 0),
        caption=f"{path_text(slide.path.name)}, model {context.model}",
    )


def _panels(
    slide: Slide, scales: Sequence[ScaleScores], context: RunContext, mask: TissueMask
) -> Iterator[MapPanel]:
    classes, card = context.rule.classes, context.card
    shown = context.positive_class
    number = classes.index(shown)
    colours = map_colours(classes, shown, card.class_colours, context.rule.band_of(shown))
    unlike = [_out_of_distribution(scores, context) for scores in scales]
    for scores, own in zip(scales, unlike, strict=True):
        trained = is_trained_scale(scores.mpp, card)
        what = f"P({shown})" if card.knows_classes else "embedded"
        title = f"{what} at {describe_scale(scores.mpp)}{'' if trained else _OUTSIDE}"
        yield _panel(title, scores.heat_map(number), own, slide, mask, colours)
    if len(scales) > 1 and card.knows_classes:
        mpps = [scores.mpp for scores in scales]
        used = fused_scales(mpps, card)
        fused = fuse([scales[one].heat_map(number) for one in used])
        title = f"P({shown}), {_mean_title(mpps, card)}"
        yield _panel(title, fused, fuse([unlike[one] for one in used]), slide, mask, colours)


def _out_of_distribution(scores: ScaleScores, context: RunContext) -> HeatMap:
    """Return where nothing is called as the tissue, or the scale, is none the model knows."""
    unlike = context.ood_scores(scores.appearance, scores.mpp) > OOD_LIMIT
    if not is_trained_scale(scores.mpp, context.card):
        unlike = np.ones_like(unlike)
    return scores.map_of(np.where(unlike, 1.0, 0.0))


def _mean_title(mpps: Sequence[float], card: ModelCard) -> str:
    trained_count = sum(is_trained_scale(mpp, card) for mpp in mpps)
    if not trained_count:
        return MULTI_SCALE_MEAN + _OUTSIDE
    return MULTI_SCALE_MEAN + ("" if trained_count == len(mpps) else " of the trained scales")


def _panel(
    title: str,
    heat_map: HeatMap,
    unlike: HeatMap,
    slide: Slide,
    mask: TissueMask,
    colours: MapColours,
) -> MapPanel:
    rows, columns = heat_map.values.shape
    left, top = heat_map.x * slide.mpp, heat_map.y * slide.mpp
    cell = heat_map.cell * slide.mpp
    extent = (left, left + columns * cell, top + rows * cell, top)
    raster = MapRaster(heat_map, mask)
    hatched = raster.draw(unlike) >= OOD_SHARE
    return MapPanel(title, raster.draw(heat_map), extent, colours, hatched)
