"""Colour maps for heat maps that lie on a slide: nothing where the value is low."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.utils import Colormap
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_smse.palette import MapColours, class_ramp
from napari_smse.workflows.viewer_session.record import CLASS_COLOURS

ONE_CLASS = "Colour of this class"
COLOUR_MAPS = (CLASS_COLOURS, ONE_CLASS, "viridis", "inferno", "turbo")
_STEPS = 256


def map_colormap(
    name: str,
    class_name: str,
    colours: MapColours,
    *,
    threshold: float = 0.0,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Colormap:
    """A napari colour map for the map of one class.

    Parameters
    ----------
    name
        One of `COLOUR_MAPS`. The first goes from the colour of the other class to that of this one
        where there are two.
    class_name
        The class that the map shows.
    colours
        Of the class, and the probabilities between which nothing is called; these are grey.
    threshold
        Probability below which a cell is not coloured at all.
    limits
        The probabilities that the ends of the colour map stand for.
    """
    ramp = colours.with_band(_ramp(name, colours), limits)
    value = np.linspace(*limits, len(ramp))
    ramp[value < threshold, 3] = 0
    # napari keeps colour maps by name, and widens its controls for what it displays.
    unique = f"{name} {class_name} {colours} {threshold:.3f} {limits}"
    return Colormap(ramp, display_name=name, name=unique)


def _ramp(name: str, colours: MapColours) -> NDArray[np.float32]:
    if name == CLASS_COLOURS:
        return replace(colours, band=None).ramp(_STEPS)
    if name == ONE_CLASS:
        return class_ramp(colours.colour, _STEPS)
    return np.asarray(ensure_colormap(name).map(np.linspace(0, 1, _STEPS)), dtype=np.float32).copy()
