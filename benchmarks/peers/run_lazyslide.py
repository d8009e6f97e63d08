"""LazySlide as a peer of the comparison; runs in its own environment.

The network is handed to its feature extraction as a function, so that what it stores for each tile
are the probabilities. The transform does what the one of its documentation does, without the
normalisation, which the exported network holds.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from protocol import Answer, serve


def prepare(facts: dict[str, Any]) -> Answer:
    """Import, and load the network both as it is and optimised for inference."""
    import lazyslide
    import numpy as np
    import torch
    from torchvision.transforms.v2.functional import to_dtype, to_image
    from wsidata import open_wsi

    torch.set_num_threads(facts["threads"])
    plain = torch.jit.load(facts["network"], map_location="cpu").eval()
    optimised = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.script(plain)))
    networks = {"plain": plain, "optimised": optimised}
    folder = Path(facts["folder"]) / "lazyslide"

    def transform(tile: np.ndarray) -> torch.Tensor:
        return to_dtype(to_image(tile), torch.float32, scale=True)

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        network = networks[question["network"]]

        def probabilities(images: torch.Tensor) -> torch.Tensor:
            return network(images).softmax(dim=1)

        if "tiles" in question:
            with torch.inference_mode():
                batch = torch.stack([transform(tile) for tile in np.load(question["tiles"])])
                return {"probabilities": probabilities(batch).tolist()}
        shutil.rmtree(folder, ignore_errors=True)
        began = time.perf_counter()
        wsi = open_wsi(question["slide"], store=str(folder), reader="openslide")
        lazyslide.pp.find_tissues(wsi)
        lazyslide.pp.tile_tissues(
            wsi, facts["tile_px"], mpp=facts["mpp"], slide_mpp=facts["slide_mpp"]
        )
        found = time.perf_counter()
        lazyslide.tl.feature_extraction(
            wsi,
            probabilities,
            transform=transform,
            device="cpu",
            batch_size=question["batch"],
            num_workers=question["workers"],
            pbar=False,
        )
        wsi.write()
        ended = time.perf_counter()
        return {
            "tiles": len(wsi.shapes["tiles"]),
            "seconds": ended - began,
            "tile seconds": ended - found,
        }

    return answer


if __name__ == "__main__":
    serve(prepare)
