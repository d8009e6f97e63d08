"""What the points of an embedding map are coloured by, and what the colours mean."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_smse.palette import UNKNOWN_COLOUR, Colour, diverging_ramp
from napari_smse.scoring import describe_scale, shown_class
from napari_smse.scoring.calls import OUT_OF_DISTRIBUTION
from napari_smse.workflows.embedding_map import EmbeddingMap
from napari_smse.workflows.out_of_distribution import OodScores

_STEPS: Final = 256
_PLAIN: Final[tuple[Colour, ...]] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)
# The grey of heat maps, which lie on bright tissue, is hardly seen on a dark plot.
_OOD_ON_DARK: Final[Colour] = (98, 98, 112)
_GOLDEN: Final = 0.618034
# From like the training over the limit, at the middle, to unlike anything.
_UNLIKE: Final[tuple[Colour, ...]] = ((70, 80, 95), (150, 160, 170), (255, 60, 200))
MOST_UNLIKE: Final = 2.0
"""Distance over threshold from which on colours differ no more."""


class ColourBy(StrEnum):
    """What colours stand for."""

    CALL = "Call"
    PROBABILITY = "Probability"
    SLIDE = "Slide"
    SCALE = "Scale"
    CLUSTER = "Cluster"
    UNLIKE = "Out of distribution"


@dataclass(frozen=True)
class Ramp:
    """Colours for numbers: of the lower end, the upper end, and all between, ``(steps, 3)``."""

    low: str
    high: str
    colours: NDArray[np.uint8]


@dataclass(frozen=True)
class Colouring:
    """The colour of each point, and what it means.

    Attributes
    ----------
    colours
        ``(n, 3)`` uint8.
    names
        What single colours stand for.
    ramp
        What colours of numbers stand for, if they do.
    """

    colours: NDArray[np.uint8]
    names: tuple[tuple[str, Colour], ...] = ()
    ramp: Ramp | None = None


def colouring(
    space: EmbeddingMap,
    by: ColourBy,
    *,
    clusters: NDArray[np.intp] | None = None,
    unlike: OodScores | None = None,
) -> Colouring:
    """Return colours for the tiles of a map.

    Where groups or what is out of distribution are needed and not known (yet), all are grey, and
    the legend says why.
    """
    if by is ColourBy.CALL and unlike is not None:
        return by_call(space, unlike)
    if by is ColourBy.PROBABILITY:
        classes = space.slides[0].tiles.classes
        name = shown_class(classes)
        values = space.probability[:, classes.index(name)]
        return _by_number(values, f"{name} 0", "1", diverging_ramp(_STEPS))
    if by is ColourBy.SLIDE:
        return _by_name(space.slide_number, [one.slide.name for one in space.slides])
    if by is ColourBy.SCALE:
        mpps, number = np.unique(space.mpps, return_inverse=True)
        return _by_name(number, [describe_scale(float(mpp)) for mpp in mpps])
    if by is ColourBy.CLUSTER and clusters is not None:
        sizes = np.bincount(clusters)
        return _by_name(clusters, [f"{i + 1} ({size:,})" for i, size in enumerate(sizes)])
    if by is ColourBy.UNLIKE and unlike is not None and unlike.known:
        values = unlike.values
        share = float(np.mean(values > 1)) if len(values) else 0.0
        high = f"unlike ({share:.0%} of the tiles)"
        return _by_number(values / MOST_UNLIKE, "like the training", high, _unlike_ramp())
    why = "being worked out …"
    if by is ColourBy.UNLIKE and unlike is not None:
        why = "this model does not say what its training tiles look like"
    return _of_table(np.zeros(len(space), np.intp), [(why, UNKNOWN_COLOUR)])


def by_call(space: EmbeddingMap, unlike: OodScores) -> Colouring:
    """Return the colours of what is called, as the heat maps show it."""
    colours = space.rule.colours(space.card.class_colours) | {OUT_OF_DISTRIBUTION: _OOD_ON_DARK}
    return _of_table(
        space.calls(unlike.values).astype(np.intp), [(name, colours[name]) for name in colours]
    )


def plain_colours(number: int) -> list[Colour]:
    """Return so many colours that can be told apart: seven well, further ones by their hue."""
    further = (
        colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.55 + 0.4 * (i % 2), 0.95 - 0.25 * (i % 3 == 2))
        for i in range(max(0, number - len(_PLAIN)))
    )
    hues = [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in further]
    return [*_PLAIN[:number], *hues]


def _by_name(number: NDArray[np.intp], names: Sequence[str]) -> Colouring:
    return _of_table(number, list(zip(names, plain_colours(len(names)), strict=True)))


def _of_table(number: NDArray[np.intp], names: Sequence[tuple[str, Colour]]) -> Colouring:
    table = np.array([colour for _, colour in names], dtype=np.uint8)
    return Colouring(table[number], tuple(names))


def _by_number(
    values: NDArray[np.floating], low: str, high: str, ramp: NDArray[np.float32]
) -> Colouring:
    table = (ramp[:, :3] * 255).round().astype(np.uint8)
    at = np.clip(np.nan_to_num(values) * (_STEPS - 1), 0, _STEPS - 1).astype(np.intp)
    return Colouring(table[at], ramp=Ramp(low, high, table))


def _unlike_ramp() -> NDArray[np.float32]:
    at = np.linspace(0, 1, _STEPS)
    stops = np.array(_UNLIKE, dtype=np.float32).T / 255
    return np.stack([np.interp(at, (0, 0.5, 1), stop) for stop in stops], axis=1).astype(np.float32)


_RAMP_PX: Final = (120, 12)


class ColourLegend(QWidget):
    """One line, or several where there are many names."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names, self.low, self.ramp, self.high = (QLabel() for _ in range(4))
        self.names.setWordWrap(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.names, stretch=1)
        for label in (self.low, self.ramp, self.high):
            row.addWidget(label)
        row.addStretch()

    def explain(self, shown: Colouring) -> None:
        """Explain these colours."""
        self.names.setText(" &nbsp; ".join(_entry(*one) for one in shown.names))
        self.names.setVisible(bool(shown.names))
        for label in (self.low, self.ramp, self.high):
            label.setVisible(shown.ramp is not None)
        if shown.ramp is not None:
            self.low.setText(shown.ramp.low)
            self.high.setText(shown.ramp.high)
            self.ramp.setPixmap(_picture(shown.ramp.colours))


def _entry(name: str, colour: tuple[int, int, int]) -> str:
    square = "#{:02x}{:02x}{:02x}".format(*colour)
    plain = name.replace("&", "&amp;").replace("<", "&lt;").replace(" ", "&nbsp;")
    return f"<span style='color: {square}'>&#9632;</span>&nbsp;{plain}"


def _picture(colours: NDArray[np.uint8]) -> QPixmap:
    width, height = _RAMP_PX
    line = colours[np.linspace(0, len(colours) - 1, width).astype(np.intp)]
    pixels = np.ascontiguousarray(np.broadcast_to(line, (height, width, 3)))
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())
