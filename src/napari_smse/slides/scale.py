"""A slide's um/px, and where it is stated."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from enum import StrEnum

from napari_smse.errors import ScaleError

logger = logging.getLogger(__name__)

PLAUSIBLE_MPP = (0.02, 10.0)
"""um/px that a microscope can have: a 100x objective on a camera with 2-um pixels, to the coarsest
levels of scans; a 72-dpi TIFF reads as 352."""

ANISOTROPY_WARNING = 0.01
"""Relative difference of um/px across and down beyond which a warning is logged."""
SQUARE_WITHIN = 0.05
"""Relative difference up to which pixels are taken for square."""
_MAX_PIXEL_RATIO = 5.0
_MAX_CONTRADICTION = 1.6


class ScaleSource(StrEnum):
    """Origin of the um/px, most trusted first."""

    USER = "user override"
    VENDOR = "vendor metadata"
    TIFF = "TIFF resolution"
    OBJECTIVE = "objective power (estimate)"
    NONE = "not stated"


@dataclass(frozen=True)
class PhysicalScale:
    """The um/px of level 0 and where it comes from.

    Parameters
    ----------
    mpp : float or None
        um/px, or None when nothing plausible is stated.
    source : ScaleSource
        Origin of the um/px.
    rejected : float or None
        The first implausible um/px the file stated, for the message.
    """

    mpp: float | None
    source: ScaleSource
    rejected: float | None = None


@dataclass(frozen=True)
class StatedScale:
    """All that a file states about its scale, in um/px; None where it states nothing.

    `pixel_ratio` is the height of its pixels over their width.
    """

    vendor: float | None = None
    tiff: float | None = None
    objective_power: float | None = None
    pixel_ratio: float = 1.0


def is_plausible(mpp: float) -> bool:
    """Tell whether a um/px lies within the range of microscopes."""
    low, high = PLAUSIBLE_MPP
    return math.isfinite(mpp) and low <= mpp <= high


def user_scale(mpp: float) -> PhysicalScale:
    """Return the scale a user typed in.

    Raises
    ------
    ScaleError
        When it lies outside 0.02-10 um/px.
    """
    if not is_plausible(mpp):
        low, high = PLAUSIBLE_MPP
        raise ScaleError(
            f"{mpp:g} µm/px is no scale of a microscope; give a value between {low:g} and {high:g}"
        )
    return PhysicalScale(float(mpp), ScaleSource.USER)


def choose_scale(stated: StatedScale) -> PhysicalScale:
    """Take the most trusted plausible um/px of those a file states.

    The order is vendor metadata, TIFF resolution, objective power (10/power, the
    usual rule that 20x is 0.5 um/px), none.
    """
    power = stated.objective_power
    estimate = 10.0 / power if power is not None and power > 0 else None
    rejected = None
    for mpp, source in (
        (stated.vendor, ScaleSource.VENDOR),
        (stated.tiff, ScaleSource.TIFF),
        (estimate, ScaleSource.OBJECTIVE),
    ):
        if mpp is None:
            continue
        if is_plausible(mpp):
            return PhysicalScale(mpp, source, rejected)
        rejected = mpp if rejected is None else rejected
    return PhysicalScale(None, ScaleSource.NONE, rejected)


def mean_mpp(across: float | None, down: float | None, file_name: str) -> float | None:
    """Join um/px across and down into one; a slide has one scale here.

    Parameters
    ----------
    across, down : float or None
        um/px along x and y; when one is None the other counts.
    file_name : str
        File to name in the warning when they differ by more than 1%.

    Returns
    -------
    float or None
        The mean, or the finer one where pixels are not square (`pixel_ratio`).
    """
    if across is None or down is None:
        return across if down is None else down
    mean = (across + down) / 2
    if pixel_ratio(across, down) != 1:
        logger.warning(
            "%s: %g µm/px across but %g down; it is resampled to square pixels of %g",
            file_name,
            across,
            down,
            min(across, down),
        )
        return min(across, down)
    if mean > 0 and abs(across - down) > ANISOTROPY_WARNING * mean:
        logger.warning(
            "%s: %g µm/px across but %g down; the mean %g is used", file_name, across, down, mean
        )
    return mean


def pixel_ratio(across: float | None, down: float | None) -> float:
    """Return the height of pixels over their width; 1 within 5 %, or where it cannot be so."""
    if across is None or down is None or not (is_plausible(across) and is_plausible(down)):
        return 1.0
    ratio = down / across
    is_square = abs(across - down) <= SQUARE_WITHIN * (across + down) / 2
    return 1.0 if is_square or max(ratio, 1 / ratio) > _MAX_PIXEL_RATIO else ratio


def warn_of_contradiction(stated: StatedScale, file_name: str) -> None:
    """Log a warning where um/px and the power of the objective cannot both be right."""
    power, mpp = stated.objective_power, stated.vendor or stated.tiff
    if not power or power <= 0 or mpp is None or not is_plausible(mpp):
        return
    factor = mpp * power / 10.0
    if max(factor, 1 / factor) > _MAX_CONTRADICTION:
        logger.warning(
            "%s states %gx, but %g µm/px, which is usual at %.3gx; the µm/px is used",
            file_name,
            power,
            mpp,
            10.0 / mpp,
        )
