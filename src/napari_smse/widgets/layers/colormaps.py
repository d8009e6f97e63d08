"""Colour maps for heat maps that lie on a slide: nothing where the value is low."""

from __future__ import annotations

import numpy as np
from napari.utils import Colormap
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_smse.palette import Colour, class_colours, class_ramp, diverging_ramp

CLASS_COLOUR = "Class colour"
DIVERGING = "Blue to orange"
COLOUR_MAPS = (CLASS_COLOUR, DIVERGING, "viridis", "inferno", "turbo")
_STEPS = 256


def map_colormap(
    name: str,
    class_name: str,
    *,
    colour: Colour | None = None,
    threshold: float = 0.0,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Colormap:
    """A napari colour map for the map of one class.

    Parameters
    ----------
    name
        One of `COLOUR_MAPS`.
    class_name
        The class that the map shows.
    colour
        Of the class, RGB 0..255; without one it gets its usual colour.
    threshold
        Probability below which a cell is not coloured at all.
    limits
        The probabilities that the ends of the colour map stand for.
    """
    colour = colour or class_colours([class_name])[class_name]
    colours = _ramp(name, colour)
    value = np.linspace(*limits, len(colours))
    colours[value < threshold, 3] = 0
    # napari keeps colour maps by name, and widens its controls for what it displays.
    unique = f"{name} {class_name} {colour} {threshold:.3f} {limits}"
    return Colormap(colours, display_name=name, name=unique)


def _ramp(name: str, colour: Colour) -> NDArray[np.float32]:
    if name == CLASS_COLOUR:
        return class_ramp(colour, _STEPS)
    if name == DIVERGING:
        return diverging_ramp(_STEPS)
    return np.asarray(ensure_colormap(name).map(np.linspace(0, 1, _STEPS)), dtype=np.float32).copy()
