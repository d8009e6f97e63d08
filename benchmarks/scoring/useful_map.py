"""How soon does a map say what the full one will?

    .venv/bin/python -m benchmarks.scoring.useful_map [--tiles 1500] [--mpps 0.5,1 --mpps 0.5]

A part of the composed slide is scored with a time limit that is never reached, so that all tissue
is seen once at the coarsest scale, and then where the call is uncertain. After each batch the map
so far is compared with the full one, tile by tile of the finest scale: each place has the value of
the finest scale that was scored there, and a place without any the mean of the others. What counts
is the share of the time after which the correlation is 0.95, and stays so. Ratio to quote: that
share, at most 1/6. Beside it stands what plain order, row by row, takes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.large_slide import compose
from benchmarks.scoring.engine import square_with
from napari_smse.models import Model, load_model
from napari_smse.scoring import (
    ComputeDevice,
    ScoreRequest,
    choose_device,
    open_run,
    score,
    select_runtime,
)
from napari_smse.scoring.progress import TileScores
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan, find_tissue

ENOUGH = 0.95
NEVER_S = 1e6
Batches = list[tuple[float, tuple[TileScores, ...]]]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiles", type=int, default=1500, help="of 0.5 um/px, about this many")
    parser.add_argument("--mpps", action="append", help="scales of a run, um/px; may be repeated")
    options = parser.parse_args()
    model = load_model()
    device = select_runtime(choose_device("cpu"), model)
    print("scales, order: tiles, seconds, share of the time until correlation 0.95")
    with open_slide(compose()) as slide:
        roi = square_with(slide, find_tissue(slide), options.tiles)
        for text in options.mpps or ("0.5,1", "0.5"):
            mpps = tuple(float(mpp) for mpp in text.split(","))
            for coarse_first in (True, False):
                request = ScoreRequest(mpps, roi=roi, coarse_first=coarse_first)
                plan = request.plan(slide, model.card)
                batches = scored(slide, model, request, plan, device)
                taken, share = batches[-1][0], useful_after(plan, batches)
                order = "coarse first" if coarse_first else "row by row"
                print(f"{text}, {order}: {plan.tile_count}, {taken:.0f}, {share:.2f}", flush=True)


def scored(
    slide: Slide, model: Model, request: ScoreRequest, plan: TilePlan, device: ComputeDevice
) -> Batches:
    """Results of a run, each with the seconds after which they were there."""
    folder = Path(tempfile.mkdtemp())
    store = open_run(folder / "scores.zarr", slide, model.card, request, plan, device)
    seconds = NEVER_S if request.coarse_first else None
    began = time.perf_counter()
    running = score(slide, model, plan, store, device, threads=2, seconds=seconds)
    batches = [(time.perf_counter() - began, progress.scores) for progress in running]
    shutil.rmtree(folder)
    return batches


def useful_after(plan: TilePlan, batches: Batches) -> float:
    """Share of the time after which the map so far has the correlation, and keeps it."""
    places = [_nearest_tiles(plan, scale) for scale in range(len(plan.scales))]
    values = [np.full(len(tiles), np.nan) for tiles in plan.scales]
    maps: list[tuple[float, NDArray[np.float64]]] = []
    for seconds, scores in batches:
        for part in scores:
            values[part.scale][part.index] = part.probability[:, -1]
        if scores:
            maps.append((seconds, _map_so_far(values, places)))
    full = maps[-1][1]
    useful = maps[-1][0]
    for seconds, so_far in reversed(maps):
        if not _correlation(so_far, full) >= ENOUGH:
            break
        useful = seconds
    return useful / maps[-1][0]


def _nearest_tiles(plan: TilePlan, scale: int) -> NDArray[np.intp]:
    """The tile of a scale whose middle is nearest to that of each tile of the finest scale."""
    from scipy.spatial import KDTree

    middles = [
        np.column_stack([tiles.x + tiles.width / 2, tiles.y + tiles.height / 2])
        for tiles in (plan.scales[0], plan.scales[scale])
    ]
    return np.asarray(KDTree(middles[1]).query(middles[0])[1])


def _map_so_far(
    values: list[NDArray[np.float64]], places: list[NDArray[np.intp]]
) -> NDArray[np.float64]:
    found = np.full(len(values[0]), np.nan)
    for known, place in zip(values, places, strict=True):
        found = np.where(np.isnan(found), known[place], found)
    return np.where(np.isnan(found), np.nanmean(found), found)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


if __name__ == "__main__":
    main()
