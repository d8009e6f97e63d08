"""TIAToolbox's PatchPredictor as a peer of the comparison; runs in its own environment.

The network is wrapped as its documentation asks for one of the user's own. Tiles reach it as
the bytes the reader gave, which is less work than the floats that its own networks ask for.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from protocol import Answer, serve


def prepare(facts: dict[str, Any]) -> Answer:
    """Import, and load the network both as it is and optimised for inference."""
    import numpy as np
    import torch
    import zarr
    from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
    from tiatoolbox.models.engine.patch_predictor import PatchPredictor
    from tiatoolbox.models.models_abc import ModelABC

    torch.set_num_threads(facts["threads"])

    class Network(ModelABC):
        """The exported network with the interface of the toolbox."""

        def __init__(self, scripted: torch.nn.Module) -> None:
            super().__init__()
            self.scripted = scripted

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """Return probabilities of images (n, 3, h, w) in 0..255."""
            return self.scripted(images / 255).softmax(dim=1)

        @staticmethod
        def infer_batch(
            model: torch.nn.Module, batch_data: torch.Tensor, *, device: str
        ) -> np.ndarray:
            """Return probabilities of a batch (n, h, w, 3), as the toolbox's own networks do."""
            images = batch_data.to(device=device, dtype=torch.float32).permute(0, 3, 1, 2)
            model.eval()
            with torch.inference_mode():
                return model(images).cpu().numpy()

    class TimedPredictor(PatchPredictor):
        """Remembers when the tissue was found and the first tile was asked for."""

        def infer_wsi(self, *arguments: Any, **options: Any) -> dict:
            self.found = time.perf_counter()
            return super().infer_wsi(*arguments, **options)

    plain = torch.jit.load(facts["network"], map_location="cpu").eval()
    optimised = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.script(plain)))
    networks = {"plain": Network(plain), "optimised": Network(optimised)}
    folder = Path(facts["folder"])
    side = (facts["tile_px"], facts["tile_px"])
    scale = {"units": "mpp", "resolution": facts["mpp"]}
    config = IOPatchPredictorConfig([scale], patch_input_shape=side, stride_shape=side)

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        network = networks[question["network"]]
        if "tiles" in question:
            tiles = torch.from_numpy(np.load(question["tiles"]))
            found = network.infer_batch(network, tiles, device="cpu")
            return {"probabilities": found.tolist()}
        slide = Path(question["slide"])
        if question["reader"] == "OpenSlide":  # it goes by the suffix
            slide = _linked(slide, folder / "tiatoolbox.svs")
        shutil.rmtree(folder / "tiatoolbox", ignore_errors=True)
        # Made anew, as it gathers what to leave out from run to run; that takes no time.
        predictor = TimedPredictor(network, verbose=False)
        began = time.perf_counter()
        written = predictor.run(
            [slide],
            patch_mode=False,
            ioconfig=config,
            save_dir=folder / "tiatoolbox",
            output_type="zarr",
            return_probabilities=True,
            batch_size=question["batch"],
            num_workers=question["workers"],
            wsireader_kwargs={"mpp": (facts["slide_mpp"],) * 2},
        )
        ended = time.perf_counter()
        probabilities = zarr.open(str(written[slide]), mode="r")["probabilities"]
        return {
            "tiles": probabilities.shape[0],
            "seconds": ended - began,
            "tile seconds": ended - predictor.found,
        }

    return answer


def _linked(slide: Path, link: Path) -> Path:
    link.unlink(missing_ok=True)
    link.symlink_to(slide.resolve())
    return link


if __name__ == "__main__":
    serve(prepare)
