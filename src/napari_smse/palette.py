"""Colours of the classes, and of heat maps.

The class colours are Okabe and Ito's (2008), which people with any of the common
colour-vision deficiencies can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

IGNORE = "Ignore*"
"""The class of what is to be left out, such as folds and pen marks; QuPath calls it so, too."""

CLASS_COLOURS: dict[str, Colour] = {
    "benign": (0, 114, 178),
    "malignant": (213, 94, 0),
    IGNORE: (128, 128, 128),
}
USUAL_CLASSES = ("benign", "malignant")
"""What slides are annotated with as long as nobody says otherwise."""

PLOT_GREY, PLOT_BLUE, PLOT_ORANGE = "#8a8a8a", "#2b8cc4", "#d07a1f"
"""Lines and words in plots, which stand out from a dark background and from a light one."""

WARNING, PROBLEM = "#b26a00", "#c62828"
"""What is behind white words that must be seen, whatever napari's theme."""

NOTICE_STYLE = "color: white; padding: 4px; border-radius: 3px;"
"""How Qt shows them, beside what is behind them."""

UNKNOWN_COLOUR: Colour = (140, 140, 140)

_FREE_COLOURS: tuple[Colour, ...] = (
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
    (230, 159, 0),
)
# From sure of the other classes over undecided to sure of this one.
_DIVERGING: tuple[Colour, ...] = (
    (5, 73, 135),
    (67, 147, 195),
    (236, 232, 226),
    (235, 128, 50),
    (163, 32, 8),
)


def class_colours(
    classes: Sequence[str], given: Mapping[str, Colour] | None = None
) -> dict[str, Colour]:
    """Assign each class a colour: the one given, else its own, else the next free one.

    Parameters
    ----------
    classes
        All classes that are shown side by side, as they share out the free colours.
    given
        Colours that a model or a person chose, by class name.
    """
    fixed = {**CLASS_COLOURS, **(given or {})}
    used = {fixed[name] for name in classes if name in fixed}
    free = [colour for colour in _FREE_COLOURS if colour not in used] or _FREE_COLOURS
    unnamed = [name for name in classes if name not in fixed]
    assigned = {name: free[i % len(free)] for i, name in enumerate(unnamed)}
    return {name: fixed.get(name) or assigned[name] for name in classes}


def with_ignore(colours: Mapping[str, Colour]) -> dict[str, Colour]:
    """Return classes and their colours with `IGNORE`, which comes last unless it is there."""
    return {**colours, IGNORE: colours.get(IGNORE, CLASS_COLOURS[IGNORE])}


def class_ramp(colour: Colour, steps: int = 256) -> NDArray[np.float32]:
    """Colours for a map that is laid over the slide: nothing at 0, the class's colour at 1.

    The low end is transparent, because a translucent map would otherwise tint the
    whole slide where its value is 0.

    Parameters
    ----------
    colour
        RGB, 0..255.
    steps
        Number of colours.

    Returns
    -------
    numpy.ndarray
        (steps, 4) RGBA, 0..1.
    """
    value = np.linspace(0, 1, steps, dtype=np.float32)
    full = np.asarray(colour, dtype=np.float32) / 255
    pale = 0.35 + 0.65 * full
    rgb = pale + (full - pale) * value[:, None]
    alpha = np.clip(value * 1.25, 0, 1)
    return np.column_stack([rgb, alpha]).astype(np.float32)


def diverging_ramp(steps: int = 256) -> NDArray[np.float32]:
    """Opaque colours from blue (0, surely not) over pale grey (0.5) to dark orange (1, surely).

    Returns
    -------
    numpy.ndarray
        (steps, 4) RGBA, 0..1.
    """
    at = np.linspace(0, 1, len(_DIVERGING))
    stops = np.asarray(_DIVERGING, dtype=np.float32).T / 255
    value = np.linspace(0, 1, steps)
    channels = [np.interp(value, at, stop) for stop in stops]
    return np.column_stack([*channels, np.ones(steps)]).astype(np.float32)
