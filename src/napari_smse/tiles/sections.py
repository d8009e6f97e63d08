"""Sections of a slide that are paler than others on it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters

from napari_smse.tiles.glass import Glass, local_mean_and_deviation

_ABSORBANCE_BETWEEN: Final = (0.03, 0.10)
_CELL_UM: Final = 100.0
_MIN_CELL_FRACTION: Final = 0.2
_MIN_UNEVEN_FRACTION: Final = 0.5
_UNEVEN_UM: Final = 20.0
_MIN_DEVIATION: Final = 0.002
_NOISES: Final = 2.0
"""Tissue is uneven by more than so many times the noise of glass."""
_TOUCHING: Final = np.ones((3, 3), dtype=bool)


def absorbance_threshold(absorbance: NDArray[np.float32]) -> float:
    """Otsu's threshold, held between what paper-thin and what thick tissue absorbs."""
    low, high = _ABSORBANCE_BETWEEN
    if absorbance.size == 0 or float(np.ptp(absorbance)) < low:
        return low
    return float(np.clip(filters.threshold_otsu(absorbance), low, high))


def find_pale_sections(
    absorbance: NDArray[np.float32],
    dark: NDArray[np.bool_],
    threshold: float,
    glass: Glass,
    mpp: float,
) -> NDArray[np.bool_]:
    """Find tissue that absorbs less than the threshold that dark sections beside it gave.

    Each section, a group of places less than 0.1 mm apart where anything absorbs, gets a threshold
    of its own. What it adds is tissue if most of it is more uneven than glass; a haze is not.

    Parameters
    ----------
    absorbance
        Mean absorbance of an overview relative to its glass, (h, w).
    dark
        Where no light comes through, (h, w).
    threshold
        Of the whole slide.
    glass
        The slide's.
    mpp
        Scale of the overview, um/px.

    Returns
    -------
    (h, w), True where there is such tissue.
    """
    found = np.zeros(absorbance.shape, dtype=bool)
    low, _ = _ABSORBANCE_BETWEEN
    if threshold <= low:
        return found
    candidates = (absorbance > low) & ~dark
    uneven: NDArray[np.bool_] | None = None
    for rows, columns, own in _sections(candidates, max(1, round(_CELL_UM / mpp))):
        part = absorbance[rows, columns]
        lower = absorbance_threshold(part[~dark[rows, columns]])
        added = (part > lower) & (part <= threshold) & own & ~dark[rows, columns]
        if lower >= threshold or not added.any():
            continue
        if uneven is None:
            _, deviation = local_mean_and_deviation(absorbance, _UNEVEN_UM, mpp)
            uneven = deviation > max(_MIN_DEVIATION, _NOISES * glass.noise)
        if uneven[rows, columns][added].mean() >= _MIN_UNEVEN_FRACTION:
            found[rows, columns] |= added
    return found


def _sections(
    candidates: NDArray[np.bool_], cell: int
) -> list[tuple[slice, slice, NDArray[np.bool_]]]:
    """Return rows and columns around each section, and where in these it lies."""
    height, width = candidates.shape
    rows, columns = -(-height // cell), -(-width // cell)
    padded = np.pad(candidates, ((0, rows * cell - height), (0, columns * cell - width)))
    cells = padded.reshape(rows, cell, columns, cell).mean(axis=(1, 3)) > _MIN_CELL_FRACTION
    labels, _ = ndimage.label(cells, _TOUCHING)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        # With a rim of glass, without which there is nothing to part tissue from.
        first, last = (max(0, box[0].start - 1), box[0].stop + 1)
        left, right = (max(0, box[1].start - 1), box[1].stop + 1)
        own = labels[first:last, left:right] == number
        place = slice(first * cell, min(last, rows) * cell), slice(left * cell, right * cell)
        near = ndimage.binary_dilation(own, _TOUCHING)
        mask = near.repeat(cell, axis=0).repeat(cell, axis=1)
        box_rows = slice(place[0].start, min(place[0].stop, height))
        box_columns = slice(place[1].start, min(place[1].stop, width))
        shape = (box_rows.stop - box_rows.start, box_columns.stop - box_columns.start)
        found.append((box_rows, box_columns, mask[: shape[0], : shape[1]]))
    return found
