"""Colours of the classes, and of heat maps.

The class colours are Okabe and Ito's (2008), which people with any of the common
colour-vision deficiencies can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
ANNOTATION_COLOURS: dict[str, Colour] = {
    **CLASS_COLOURS,
    "benign": (0, 145, 80),
    "malignant": (214, 0, 147),
}
"""Of outlines, in hues that no map has: they must be seen on a map of the same class."""
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
_DARKER = 0.7
_BAND_OPACITY = 0.55


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
    return _with_free_colours(classes, {**CLASS_COLOURS, **(given or {})})


def annotation_colours(
    classes: Sequence[str], given: Mapping[str, Colour] | None = None
) -> dict[str, Colour]:
    """Assign each class a colour to outline regions in, as `class_colours` does for maps."""
    return _with_free_colours(classes, {**ANNOTATION_COLOURS, **(given or {})})


def chosen_colours(drawn: Mapping[str, Colour]) -> dict[str, Colour]:
    """Return the colours that somebody chose of classes drawn with: others are for outlines."""
    return {name: rgb for name, rgb in drawn.items() if rgb != ANNOTATION_COLOURS.get(name)}


def _with_free_colours(classes: Sequence[str], fixed: Mapping[str, Colour]) -> dict[str, Colour]:
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


def diverging_ramp(
    steps: int = 256, low: Colour | None = None, high: Colour | None = None
) -> NDArray[np.float32]:
    """Opaque colours from blue (0, surely not) over pale grey (0.5) to dark orange (1, surely).

    Parameters
    ----------
    steps
        Number of colours.
    low, high
        Colours of the two ends, RGB 0..255, in place of blue and orange; the ends are darker.

    Returns
    -------
    numpy.ndarray
        (steps, 4) RGBA, 0..1.
    """
    stops = np.asarray(_DIVERGING, dtype=np.float32)
    for place, chosen, usual in ((0, low, "benign"), (3, high, "malignant")):
        if chosen is not None and chosen != CLASS_COLOURS[usual]:
            own = np.asarray(chosen, dtype=np.float32)
            ends = (own * _DARKER, own) if place == 0 else (own, own * _DARKER)
            stops[place : place + 2] = ends
    at = np.linspace(0, 1, len(_DIVERGING))
    value = np.linspace(0, 1, steps)
    channels = [np.interp(value, at, stop) for stop in stops.T / 255]
    return np.column_stack([*channels, np.ones(steps)]).astype(np.float32)


@dataclass(frozen=True)
class MapColours:
    """Colours of the map of one class.

    Parameters
    ----------
    colour
        Of the class, RGB 0..255.
    other
        Of the other class, if there are two: where this one is improbable, that one is shown.
    band
        Probabilities between which nothing is called; these are grey.
    """

    colour: Colour
    other: Colour | None = None
    band: tuple[float, float] | None = None

    def ramp(self, steps: int = 256) -> NDArray[np.float32]:
        """Return colours for probabilities from 0 to 1, (steps, 4) RGBA, 0..1.

        With two classes all are opaque; with more, a class is not shown where it is improbable.
        """
        if self.other is None:
            colours = class_ramp(self.colour, steps)
        else:
            colours = diverging_ramp(steps, self.other, self.colour)
        return self.with_band(colours)

    def with_band(
        self, colours: NDArray[np.float32], limits: tuple[float, float] = (0.0, 1.0)
    ) -> NDArray[np.float32]:
        """Return colours (n, 4) for probabilities between the limits, grey where none is called."""
        if self.band is None:
            return colours
        value = np.linspace(*limits, len(colours))
        inside = (value > self.band[0]) & (value < self.band[1])
        grey = colours.copy()
        grey[inside, :3] = np.asarray(UNKNOWN_COLOUR) / 255
        grey[inside, 3] = np.minimum(grey[inside, 3], _BAND_OPACITY)
        return grey


def map_colours(
    classes: Sequence[str],
    class_name: str,
    given: Mapping[str, Colour] | None = None,
    band: tuple[float, float] | None = None,
) -> MapColours:
    """Return the colours of the map of one of some classes.

    Parameters
    ----------
    classes
        All classes of the model.
    class_name
        The class that the map shows.
    given
        Colours that a model or a person chose, by class name.
    band
        Probabilities of this class between which nothing is called.
    """
    colours = class_colours(classes, given)
    others = [name for name in classes if name != class_name]
    other = colours[others[0]] if len(others) == 1 else None
    return MapColours(colours[class_name], other, band)
