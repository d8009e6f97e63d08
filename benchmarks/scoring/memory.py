"""Does a large slide need more memory than a small one?

    .venv/bin/python -m benchmarks.scoring.memory [--few 2000] [--many 50000] [--out figures.json]

Two processes score parts of the composed slide (`large_slide.py`) at 0.5 and 1.0 um/px on the
CPU, one about 2,000 tiles and one about 50,000, and tell the most memory they held (resident,
which counts libraries and the slide's pages in use). The ratio may be 1.1 at most.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.large_slide import compose

MPPS = (0.5, 1.0)
LIMIT = 1.1


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--out", type=Path, help="also write the figures there")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(score_part(options.child)))
        return
    compose()
    runs = [in_own_process(tiles) for tiles in (options.few, options.many)]
    for run in runs:
        print(f"{run['tiles']:7} tiles: {run['peak MB']:6.0f} MB, {run['tiles/s']:.0f} tiles/s")
    ratio = runs[1]["peak MB"] / runs[0]["peak MB"]
    print(f"{'many / few':7}: {ratio:.2f} (limit {LIMIT})")
    if options.out:
        options.out.write_text(json.dumps({"runs": runs, "ratio": ratio}, indent=2) + "\n")


def in_own_process(tiles: int) -> dict[str, Any]:
    """Run `score_part` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scoring.memory", "--child", str(tiles)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def score_part(tiles: int) -> dict[str, Any]:
    """Score about so many tiles; tells how many, how fast, and the most memory held."""
    import numpy as np
    import shapely

    from napari_smse.models import load_model
    from napari_smse.scoring import ScoreRequest, choose_device, open_run, score, select_runtime
    from napari_smse.slides import open_slide
    from napari_smse.tiles import find_tissue

    model = load_model()
    device = select_runtime(choose_device("cpu"), model)
    with open_slide(compose()) as slide, tempfile.TemporaryDirectory() as folder:
        # Both find the tissue of the whole slide: what differs is only what is scored.
        mask = find_tissue(slide)
        everything = ScoreRequest(MPPS).plan(slide, model.card, mask).tile_count
        # Whole rows of the mask, from the top, until they hold as much of the tissue.
        so_far = np.cumsum(mask.tissue.sum(axis=1)) / mask.tissue.sum()
        rows = 1 + int(np.searchsorted(so_far, min(1.0, tiles / everything)))
        roi = shapely.box(0, 0, slide.width, rows * mask.cell[1])
        request = ScoreRequest(MPPS, roi=roi)
        plan = request.plan(slide, model.card, mask)
        path = Path(folder) / "s.zarr"
        store = open_run(path, slide, model.card, request, plan, device)
        began = time.monotonic()
        for _ in score(slide, model, plan, store, device, threads=os.cpu_count() or 1):
            pass
        seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tiles": plan.tile_count, "tiles/s": plan.tile_count / seconds, "peak MB": peak}


if __name__ == "__main__":
    main()
