"""Score the slides of a folder by wsinfer's own functions; runs in its environment.

python score_by_wsinfer.py SLIDES MODEL OUT, and prints the seconds that the tiles took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import segment_and_patch_directory_of_slides
from wsinfer.wsi import set_backend
from wsinfer_zoo.client import ModelConfiguration


def main() -> None:
    """Find tissue and patches, and score them."""
    slides, folder, out = map(Path, sys.argv[1:])
    set_backend("openslide")
    torch.set_num_threads(2)
    values = json.loads((folder / "config.json").read_text())
    config = ModelConfiguration.from_dict(values)
    model = LocalModelTorchScript(config=config, model_path=str(folder / "torchscript_model.pt"))
    out.mkdir(parents=True)
    segment_and_patch_directory_of_slides(
        slides, out, config.patch_size_pixels, config.spacing_um_px
    )
    began = time.perf_counter()
    failed = run_inference(slides, out, model, batch_size=8, num_workers=0, speedup=False)
    assert failed == ([], []), failed
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
