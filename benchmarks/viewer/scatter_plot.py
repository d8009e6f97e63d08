"""How long the embedding map takes to redraw 200,000 points while it is moved and zoomed.

The limit is 50 ms a redraw, at which moving looks smooth. For comparison, pyqtgraph's own scatter
of as many points is drawn, too. What happens once, at a lasso or with other colours, is
told beside. Run it with a display, or under Xvfb, which draws in software:

    xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python -m benchmarks.viewer.scatter_plot
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT_MS = 50.0
SIZE_PX = (700, 600)
_STEPS = 30
_PEER_STEPS = 5


def main() -> None:
    """Measure, print a table and JSON, and exit with 1 if the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    figures = measure(options.points, options.dims)
    for name, ms in figures["ms"].items():
        print(f"{name:32} median {ms['median']:7.1f} ms, max {ms['max']:7.1f} ms")
    print(f"slowest median redraw / limit of {LIMIT_MS:g} ms: {figures['over_limit']:.2f}")
    print(f"pyqtgraph's own scatter / ours, panning: {figures['peer_over_ours']:.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(figures["over_limit"] > 1)


def measure(number: int, dims: int) -> dict[str, Any]:
    """Lay out random groups and time what a user does to the plot."""
    from qtpy.QtWidgets import QApplication

    from napari_smse.similarity.clustering import find_clusters
    from napari_smse.similarity.projection import fit_pca
    from napari_smse.widgets.embedding_map.scatter_plot import ScatterPlot

    application = QApplication.instance() or QApplication([])
    embeddings, group = groups(number, dims)
    ms: dict[str, list[float]] = {}
    ms["principal components"] = times(lambda: fit_pca(embeddings)(embeddings), 3)
    ms["8 groups"] = times(lambda: find_clusters(embeddings, 8), 3)
    points = fit_pca(embeddings)(embeddings)
    colours = np.random.default_rng(1).integers(60, 255, (group.max() + 1, 3), dtype=np.uint8)
    plot = ScatterPlot()
    plot.resize(*SIZE_PX)
    plot.show_points(points)
    plot.set_colours(colours[group])
    plot.show_exemplars(points[::223], colours[group[::223]])
    plot.show()
    for _ in range(10):
        application.processEvents()
    wide, sides = plot.box.viewRect().width(), itertools.cycle([1, 1, -1, -1])
    redraws = {
        "redraw, panning": lambda: plot.box.translateBy(x=next(sides) * wide / 50),
        "redraw, zooming in": lambda: plot.box.scaleBy((0.93, 0.93)),
        "redraw, zooming out": lambda: plot.box.scaleBy((1 / 0.93, 1 / 0.93)),
    }
    for name, change in redraws.items():
        # Zooming out begins where zooming in ended, so that points are always seen.
        ms[name] = times(redrawn(plot, change), _STEPS)
    plot.show_all()
    chosen = group == 0
    ms["choosing a group, drawn"] = times(redrawn(plot, lambda: plot.select(chosen)), 10)
    ms["recolouring, drawn"] = times(redrawn(plot, lambda: plot.set_colours(colours[group])), 10)
    peer = peer_plot(application, points, colours[group])
    pan = redrawn(peer, lambda: peer.getViewBox().translateBy(x=next(sides) * wide / 50))
    ms["pyqtgraph's scatter, panning"] = times(pan, _PEER_STEPS)
    medians = {name: float(np.median(found)) for name, found in ms.items()}
    slowest = max(value for name, value in medians.items() if name.startswith("redraw"))
    return {
        "points": number,
        "size_px": SIZE_PX,
        "ms": {name: {"median": medians[name], "max": max(found)} for name, found in ms.items()},
        "over_limit": slowest / LIMIT_MS,
        "peer_over_ours": medians["pyqtgraph's scatter, panning"] / medians["redraw, panning"],
    }


def groups(number: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings in eight groups, and which each is of."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 8, number)
    made = rng.normal(size=(8, dims)).astype(np.float32)[group]
    made += rng.normal(scale=0.6, size=made.shape).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True), group


def redrawn(plot: Any, change: Callable[[], object]) -> Callable[[], None]:
    """Return a change that is drawn before it is done."""

    def change_and_draw() -> None:
        change()
        # Drawn in any case: a window that is not seen yet would leave it for later.
        plot.grab()

    return change_and_draw


def peer_plot(application: Any, points: np.ndarray, colours: np.ndarray) -> Any:
    """Return pyqtgraph's own scatter at its fastest: small squares of few kinds, no outline."""
    import pyqtgraph as pg

    plot = pg.PlotWidget()
    plot.resize(*SIZE_PX)
    kinds = {tuple(one) for one in colours.tolist()}
    for colour in kinds:
        of_kind = (colours == colour).all(axis=1)
        brush = pg.mkBrush(*colour)
        plot.addItem(
            pg.ScatterPlotItem(*points[of_kind].T, size=3, symbol="s", pen=None, brush=brush)
        )
    plot.show()
    for _ in range(10):
        application.processEvents()
    return plot


def times(work: Callable[[], object], repeats: int) -> list[float]:
    """Return how long work takes each time, ms, after it was done once."""
    work()
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        found.append((time.perf_counter() - begun) * 1000)
    return found


if __name__ == "__main__":
    main()
