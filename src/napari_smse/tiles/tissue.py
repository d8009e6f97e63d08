"""Tissue, pen, dark and glass on an overview of an H&E slide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage import filters, morphology

from napari_smse.errors import RegionError
from napari_smse.slides import Region, Slide
from napari_smse.tiles.brightfield import DARK, brightest_channel, require_brightfield
from napari_smse.tiles.glass import ROWS_AT_ONCE, Glass, find_glass, is_uneven
from napari_smse.tiles.ink import find_flat_ink
from napari_smse.tiles.sections import absorbance_threshold, find_pale_sections
from napari_smse.tiles.stain import H_AND_E, name_stain
from napari_smse.tiles.tissue_mask import Ground, TissueMask

OVERVIEW_MPP = 8.0
"""Scale of the overview that tissue is found on, um/px."""

_OVERVIEW_SIDES = (512, 4096)
_MAX_OVERVIEW_PIXELS = 20_000_000_000
"""To be read for an overview; a slide of one level may have so many, in some minutes."""
_SMOOTHING_UM = 4.0
_SMALLEST_TISSUE_UM2 = 5_000.0
_LARGEST_HOLE_UM2 = 5_000.0
# Hues in degrees on white-balanced colours. Haematoxylin is blue-violet and eosin
# pink, so everything they dye lies between; blue pen lies below, red pen and ink
# are purer than eosin, and green or yellow is never H&E.
_HUE_FROM, _HUE_TO = 235.0, 20.0
_BLUE_PEN_HUE, _BLUE_PEN_SATURATION = 255.0, 0.55
_RED_PEN_HUE, _RED_PEN_SATURATION = 345.0, 0.75
_PEN_SATURATION, _BLACK_PEN_SATURATION, _BLACK_PEN_ABSORBANCE = 0.15, 0.25, 0.45
_TISSUE_SATURATION = 0.04
_FIELD_ABSORBANCE = 0.05
_FIELD_PEN_HUES, _FIELD_PEN_SATURATION = (30.0, 190.0), 0.35


def overview_mpp(area: Region, slide_mpp: float) -> float:
    """Scale to find tissue at: 8 um/px, finer on small images, coarser on huge ones.

    Parameters
    ----------
    area
        What is scanned, level-0 px.
    slide_mpp
        Scale of level 0, um/px.
    """
    longest_um = max(area.width, area.height) * slide_mpp
    min_side, max_side = _OVERVIEW_SIDES
    mpp = min(max(OVERVIEW_MPP, longest_um / max_side), longest_um / min_side)
    return max(mpp, slide_mpp)


def find_tissue(slide: Slide) -> TissueMask:
    """Find the tissue on a slide.

    Raises
    ------
    MissingScaleError
        If the slide's um/px is unknown.
    NotBrightfieldError
        If the slide is fluorescence, dark-field or black.
    RegionError
        If the slide has no level that an overview could be made of within minutes.
    """
    mpp = overview_mpp(slide.bounds, slide.mpp)
    _require_readable(slide, mpp)
    overview = slide.read(slide.bounds, mpp)
    require_brightfield(overview, slide.path)
    ground, stain = _ground_and_stain(overview, mpp)
    return TissueMask(ground, slide.bounds, stain)


def _require_readable(slide: Slide, mpp: float) -> None:
    level = slide.levels[slide.level_for(mpp / slide.mpp)]
    if level.width * level.height > _MAX_OVERVIEW_PIXELS:
        raise RegionError(
            f"{slide.path.name} has {level.width} x {level.height} px and no smaller level for an "
            "overview; convert it to a pyramid"
        )


def classify_ground(rgb: NDArray[np.uint8], mpp: float) -> NDArray[np.uint8]:
    """Classify each overview pixel as glass, tissue, pen or dark.

    On glass, tissue is what absorbs light and has a hue of H&E; of another stain, any hue. In a
    camera's field that has little glass or none, tissue is all but glass and pen. Pen is what has
    another hue, or is as flat as ink and strongly coloured.

    Parameters
    ----------
    rgb
        Overview, (h, w, 3).
    mpp
        Its scale, um/px; smoothing and the smallest piece are physical.

    Returns
    -------
    (h, w) uint8 of `Ground`
    """
    return _ground_and_stain(rgb, mpp)[0]


def _ground_and_stain(rgb: NDArray[np.uint8], mpp: float) -> tuple[NDArray[np.uint8], str]:
    smooth = filters.gaussian(
        rgb.astype(np.float32), sigma=_SMOOTHING_UM / mpp / 2, channel_axis=2, preserve_range=True
    )
    glass = find_glass(smooth, mpp)
    absorbance, hue, saturation = _absorbance_and_colour(smooth, glass.white)
    dark = brightest_channel(smooth) < DARK
    dyed = _dyed(absorbance, dark, glass, mpp)
    pen = find_flat_ink(dyed, absorbance, hue, saturation, mpp, glass.noise)
    stain = name_stain(absorbance, hue, saturation, dyed & ~pen, glass, mpp)
    if glass.surrounds and stain == H_AND_E:
        pen |= dyed & _is_pen(absorbance, hue, saturation)
        dyed &= ((hue >= _HUE_FROM) | (hue <= _HUE_TO)) & (saturation > _TISSUE_SATURATION)
    elif not glass.surrounds:
        pen |= dyed & _is_field_pen(hue, saturation)
    tissue = _drop_specks(dyed & ~pen, mpp) & ~pen & ~dark
    ground = np.full(dark.shape, Ground.GLASS, dtype=np.uint8)
    ground[tissue], ground[pen], ground[dark] = Ground.TISSUE, Ground.PEN, Ground.DARK
    return ground, stain


def _dyed(
    absorbance: NDArray[np.float32], dark: NDArray[np.bool_], glass: Glass, mpp: float
) -> NDArray[np.bool_]:
    """Where something lies on the glass and lets light through."""
    if glass.bright_is_tissue:
        return ~dark
    if glass.surrounds:
        threshold = absorbance_threshold(absorbance[~dark])
        paler = find_pale_sections(absorbance, dark, threshold, glass, mpp)
        return np.asarray(((absorbance > threshold) | paler) & ~dark)
    # Where glass is no large part, Otsu's threshold would part tissue from tissue; but
    # pale tissue is uneven, and glass is not.
    return ((absorbance > _FIELD_ABSORBANCE) | is_uneven(absorbance, mpp)) & ~dark


def _absorbance_and_colour(
    rgb: NDArray[np.float32], white: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Mean absorbance (log10), hue in degrees and saturation, relative to the glass."""
    found = np.empty((3, *rgb.shape[:2]), np.float32)
    # A few rows at a time: what lies between the steps then stays in the processor's cache.
    for top in range(0, len(rgb), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        found[:, rows] = _of_rows(rgb[rows], white)
    return found[0], found[1], found[2]


def _of_rows(
    rgb: NDArray[np.float32], white: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    # Channel by channel: NumPy is many times slower along an axis of three.
    red, green, blue = (
        np.clip(rgb[..., c] / max(white[c], np.float32(1)), 1 / 255, 1) for c in range(3)
    )
    absorbance = np.log10(red * green * blue) / -3
    return absorbance, *hue_and_saturation(red, green, blue)


def hue_and_saturation(
    red: NDArray[np.float32], green: NDArray[np.float32], blue: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hue and saturation of colours, after A. R. Smith, Color gamut transform pairs (1978).

    Parameters
    ----------
    red, green, blue
        The channels, 0..1, of any one shape.

    Returns
    -------
    hue, saturation
        In 0..360 degrees and 0..1; grey has neither.
    """
    brightest = np.maximum(np.maximum(red, green), blue)
    chroma = brightest - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(chroma > 0, chroma, 1).astype(np.float32)
    sixths = np.where(
        brightest == red,
        ((green - blue) / divisor) % 6,
        np.where(brightest == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    saturation = chroma / np.maximum(brightest, np.float32(1e-6))
    return np.asarray(sixths * 60, np.float32), np.asarray(saturation)


def _is_pen(
    absorbance: NDArray[np.float32], hue: NDArray[np.float32], saturation: NDArray[np.float32]
) -> NDArray[np.bool_]:
    other_hue = (hue > _HUE_TO) & (hue < _HUE_FROM) & (saturation > _PEN_SATURATION)
    blue = (hue < _BLUE_PEN_HUE) & (hue >= _HUE_FROM) & (saturation > _BLUE_PEN_SATURATION)
    red = ((hue >= _RED_PEN_HUE) | (hue <= _HUE_TO)) & (saturation > _RED_PEN_SATURATION)
    black = (absorbance > _BLACK_PEN_ABSORBANCE) & (saturation < _BLACK_PEN_SATURATION)
    return other_hue | blue | red | black


def _is_field_pen(hue: NDArray[np.float32], saturation: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Only what no camera makes of H&E: without glass, their casts cannot be taken away."""
    low, high = _FIELD_PEN_HUES
    return (hue > low) & (hue < high) & (saturation > _FIELD_PEN_SATURATION)


def _drop_specks(tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Remove dust and close small lumens, both by physical area."""
    smallest = min(_SMALLEST_TISSUE_UM2 / mpp**2, tissue.size / 10)
    largest_hole = _LARGEST_HOLE_UM2 / mpp**2
    without_specks = morphology.remove_small_objects(tissue, max_size=int(smallest))
    return np.asarray(morphology.remove_small_holes(without_specks, max_size=int(largest_hole)))
