"""Plots of a report, each one as an SVG or JPEG that can stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.metrics.bootstrap import bootstrap_counts
from napari_smse.metrics.classification import Predictions, Weights
from napari_smse.metrics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

# Blue and orange tell apart for every kind of colour vision, and in print.
_LINE: Final = "#1f5a96"
_BAND: Final = "#b9d3ec"
_COLOURS: Final = ("#1f5a96", "#c75a00", "#3c7a3c", "#7d4a9c", "#8a6d00", "#555555")
_GRID: Final = np.linspace(0, 1, 101)
_STYLE: Final[dict[str, Any]] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "svg.hashsalt": "napari-smse",
}


def _styled() -> AbstractContextManager[None]:
    import matplotlib as mpl

    style: dict[Any, Any] = _STYLE
    return mpl.rc_context(style)


def _figure(width: float = 4.4, height: float = 4.0) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def roc_plot(predictions: Predictions, classes: Sequence[str], draws: int = 300) -> bytes | None:
    """Return the ROC curve with its case-clustered band; one curve a class if there are more.

    None where it has no meaning: one class only.
    """
    shown = [predictions.positive] if len(classes) == 2 else list(range(len(classes)))
    shown = [label for label in shown if 0 < np.sum(predictions.labels == label) < len(predictions)]
    if not shown:
        return None
    with _styled():
        figure, axes = _figure()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
        for label, colour in zip(shown, _COLOURS * len(shown), strict=False):
            _draw_roc(axes, predictions, label, classes[label], colour, draws, band=len(shown) == 1)
        axes.set_xlabel("1 - specificity: share of the others called so")
        axes.set_ylabel("sensitivity: share found")
        axes.set_aspect("equal")
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure)


def _draw_roc(
    axes: Axes,
    predictions: Predictions,
    label: int,
    name: str,
    colour: str,
    draws: int,
    *,
    band: bool,
) -> None:
    if band and predictions.cases.max() > 0:
        weights = bootstrap_counts(predictions, draws)[:, predictions.cases].astype(np.float64)
        curves = roc_curves(predictions, label, weights)
        low, high = np.nanpercentile(curves, [2.5, 97.5], axis=0)
        axes.fill_between(_GRID, low, high, color=_BAND, linewidth=0, label="95 % interval")
    curve = roc_curves(predictions, label, np.ones((1, len(predictions))))[0]
    axes.plot(_GRID, curve, color=colour, linewidth=2, label=name)


def roc_curves(predictions: Predictions, label: int, weights: Weights) -> NDArray[np.float64]:
    """Return sensitivity at 0, 0.01 ... 1 of false positives, ``(draws, 101)``."""
    order = np.argsort(-predictions.probabilities[:, label], kind="stable")
    scores, truth = predictions.probabilities[order, label], predictions.labels[order] == label
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
    ordered = weights[:, order]
    hits_by_score, false = (
        np.cumsum(np.add.reduceat(ordered * side, starts, axis=1), axis=1)
        for side in (truth, ~truth)
    )
    curves = []
    for hits, alarms in zip(hits_by_score, false, strict=True):
        x, y = np.r_[0, alarms / alarms[-1]], np.r_[0, hits / hits[-1]]
        curves.append(np.interp(_GRID, x, y))
    return np.array(curves)


def confusion_plot(
    truth: NDArray[np.int64], called: NDArray[np.int64], classes: Sequence[str]
) -> bytes:
    """Return the confusion matrix: images by true class (rows) and called class (columns)."""
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (truth, called), 1)
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _styled():
        size = max(4.0, 1.0 + 0.8 * len(classes))
        figure, axes = _figure(size + 0.4, size)
        axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1.2)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if fraction[row, column] > 0.7 else "black"
            text = f"{count}\n{fraction[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) < 4 else 40)
        axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
        axes.set_xlabel("called by the network")
        axes.set_ylabel("true")
        return _svg(figure)


def reliability_plot(predictions: Predictions, classes: Sequence[str], bins: int = 10) -> bytes:
    """Return how often images are what their probability says, and how many there are.

    With two classes about the positive one; with more, about the class called.
    """
    if len(classes) == 2:
        stated = predictions.probabilities[:, predictions.positive]
        happened = predictions.labels == predictions.positive
        x_label, y_label = f"probability of {classes[predictions.positive]}", "share that is"
    else:
        stated, happened = predictions.probabilities.max(axis=1), predictions.right
        x_label, y_label = "probability of the class called", "share that is right"
    place = np.minimum((stated * bins).astype(int), bins - 1)
    with _styled():
        figure, axes = _figure()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
        number = np.bincount(place, minlength=bins)
        filled = np.flatnonzero(number)
        x = [stated[place == filled_bin].mean() for filled_bin in filled]
        y = [happened[place == filled_bin].mean() for filled_bin in filled]
        axes.bar(
            (np.arange(bins) + 0.5) / bins,
            0.25 * number / number.max(),
            width=0.9 / bins,
            color="#dddddd",
            label="how many images",
        )
        axes.plot(x, y, color=_LINE, marker="o", linewidth=1.5, label="observed")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x_label, ylabel=y_label, aspect="equal")
        axes.legend(frameon=False, loc="upper left")
        return _svg(figure)


def scale_plot(curve: Sequence[tuple[float, Estimate]]) -> bytes:
    """Return AUC against um/px, with intervals."""
    points = [
        (mpp, estimate.value, estimate) for mpp, estimate in curve if estimate.value is not None
    ]
    x, y = [mpp for mpp, _, _ in points], [value for _, value, _ in points]
    low = [value if estimate.low is None else estimate.low for _, value, estimate in points]
    high = [value if estimate.high is None else estimate.high for _, value, estimate in points]
    with _styled():
        figure, axes = _figure(6.0, 3.4)
        axes.fill_between(x, low, high, color=_BAND, linewidth=0, label="95 % interval")
        axes.plot(x, y, color=_LINE, marker="o", label="AUC")
        axes.axhline(0.5, color="#999999", linewidth=1, linestyle=":")
        axes.set(ylim=(min(0.45, *y), 1), xlabel="scale, µm/px", ylabel="AUC")
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure)


def thumbnail(picture: Image.Image, side: int = 360) -> bytes:
    """Return the picture as a small JPEG."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
