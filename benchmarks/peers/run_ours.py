"""napari-smse as a peer of the comparison; runs in the project's own environment."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from protocol import Answer, serve


def prepare(facts: dict[str, Any]) -> Answer:
    """Import, load the model and choose the device, as the dock has done when Run is pressed."""
    import numpy as np

    from napari_smse.models import load_model
    from napari_smse.scoring import ScoreRequest, choose_device, open_run, score, select_runtime
    from napari_smse.scoring.tile_classifier import TileClassifier
    from napari_smse.slides import open_slide

    # One for each precision, as a network is kept ready for the device it was last used on.
    as_installed, in_float32 = load_model("bundled"), load_model("bundled")
    threads = os.cpu_count() or 1
    auto = select_runtime(choose_device("auto"), as_installed)
    store_path = Path(facts["folder"]) / "ours.zarr"

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        device, model = auto, as_installed
        if "precision" in question:
            model = in_float32
            device = replace(auto, precision=question["precision"], runtime="torch")
        if "tiles" in question:
            classify = TileClassifier(model, device, threads)
            return {"probabilities": classify(np.load(question["tiles"]))[0].tolist()}
        shutil.rmtree(store_path, ignore_errors=True)
        began = time.perf_counter()
        with open_slide(question["slide"]) as slide:
            request = ScoreRequest((facts["mpp"],))
            plan = request.plan(slide, model.card)
            store = open_run(store_path, slide, model.card, request, plan, device)
            found = time.perf_counter()
            for _ in score(slide, model, plan, store, device, threads=threads):
                pass
        ended = time.perf_counter()
        assert store.complete
        return {
            "tiles": plan.tile_count,
            "seconds": ended - began,
            "tile seconds": ended - found,
            "precision": device.precision,
            "batch": device.batch_size,
        }

    return answer


if __name__ == "__main__":
    serve(prepare)
