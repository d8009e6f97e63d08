"""wsinfer as a peer of the comparison; runs in its own environment.

Its command line asks a model hub for a list when it is imported, so the two functions behind it
are called: they find the tissue and the patches, and score them into a CSV file. They load the
network anew for every slide; here they are handed the one that is loaded, so that this costs
them nothing.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from protocol import Answer, serve


def prepare(facts: dict[str, Any]) -> Answer:
    """Import, and load the network both as it is and as `--speedup` makes it."""
    import numpy as np
    import pandas as pd
    import torch
    from PIL import Image
    from wsinfer.modellib import run_inference as inference
    from wsinfer.modellib.models import LocalModelTorchScript, jit_compile
    from wsinfer.modellib.transforms import make_compose_from_transform_config
    from wsinfer.patchlib import segment_and_patch_directory_of_slides
    from wsinfer.wsi import set_backend
    from wsinfer_zoo.client import ModelConfiguration

    torch.set_num_threads(facts["threads"])
    set_backend("openslide")
    config = ModelConfiguration.from_dict(_configuration(facts))
    model = LocalModelTorchScript(config=config, model_path=facts["network"])
    plain = torch.jit.load(facts["network"], map_location="cpu").eval()
    optimised = jit_compile(plain)
    inference.get_pretrained_torch_module = lambda model: plain
    inference.jit_compile = lambda model: optimised
    results = Path(facts["folder"]) / "wsinfer"

    def probabilities(tiles: np.ndarray, network: torch.nn.Module) -> list[list[float]]:
        transform = make_compose_from_transform_config(config.transform)
        batch = torch.stack([transform(Image.fromarray(tile)) for tile in tiles])
        with torch.no_grad():
            return network(batch).softmax(dim=1).tolist()

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        if "tiles" in question:
            network = optimised if question["network"] == "optimised" else plain
            return {"probabilities": probabilities(np.load(question["tiles"]), network)}
        slide = Path(question["slide"])
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        began = time.perf_counter()
        segment_and_patch_directory_of_slides(slide.parent, results, facts["tile_px"], facts["mpp"])
        found = time.perf_counter()
        failed = inference.run_inference(
            slide.parent,
            results,
            model,
            batch_size=question["batch"],
            num_workers=question["workers"],
            speedup=question["network"] == "optimised",
        )
        ended = time.perf_counter()
        assert failed == ([], []), failed
        written = pd.read_csv(results / "model-outputs-csv" / f"{slide.stem}.csv")
        return {
            "tiles": len(written),
            "seconds": ended - began,
            "tile seconds": ended - found,
        }

    return answer


def _configuration(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "spec_version": "1.0",
        "architecture": "local",
        "num_classes": len(facts["classes"]),
        "class_names": facts["classes"],
        "patch_size_pixels": facts["tile_px"],
        "spacing_um_px": facts["mpp"],
        "transform": [{"name": "ToTensor"}],
    }


if __name__ == "__main__":
    serve(prepare)
