"""int8 against float32: speed, deviation, and AUC on labelled images.

    .venv/bin/python -m benchmarks.scoring.int8 [--images 100] [--rounds 8] [--out figures.json]

The bundled model is quantised with tiles of the sample slide and of CMU-1-Small-Region (CC0), and
runs on one core, in turns with float32 by each runtime. Deviation is that of all tiles of both
slides, half of which it was calibrated on. AUC is on images of UCSB breast and BreakHis, of which
the model knows some: what counts is the difference. `SMSE_TEST_DATA` is the folder of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.evaluation.evaluate import match_classes
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import summarise
from napari_smse.models import Model, load_model
from napari_smse.models.smse_network import NetworkOutput
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreRequest, choose_device, read_block, select_runtime
from napari_smse.scoring.runtimes.base import TileRunner
from napari_smse.scoring.runtimes.factory import build_runner
from napari_smse.scoring.runtimes.quantised_network import device_in_int8
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.slides import Slide, open_slide
from napari_smse.training.trainer import predict_images
from napari_smse.workflows.models.quantise import quantise_model

DATA = Path(os.environ.get("SMSE_TEST_DATA", "data"))
SLIDES = (Path("sample_data/sample_slide.tif"), DATA / "slides" / "CMU-1-Small-Region.svs")
LABELLED = ("breast_ucsb", "breakhis")
OVERLAP = 0.5
"""Of tiles whose deviation is measured, so that most lie elsewhere than those calibrated on."""


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100, help="of each set, at most")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model()
    device = choose_device("cpu", exact=True)
    with ExitStack() as stack:
        slides = [stack.enter_context(open_slide(path)) for path in SLIDES]
        found: dict[str, Any] = {"told": asdict(run_task(quantise_model(model, slides, (0.5,))))}
        int8 = TileClassifier(model, device_in_int8(device, model.card), 1)
        exact = TileClassifier(model, device, 1)
        for slide in slides:
            found[slide.name] = deviation(tiles_of(slide, model), exact, int8)
            print(slide.name, found[slide.name], flush=True)
    found["tiles/s"] = speeds(model, options.rounds)
    print(found["tiles/s"], flush=True)
    for name in LABELLED:
        found[name] = aucs(model, name, options.images, {"float32": exact, "int8": int8})
        print(name, found[name], flush=True)
    print(json.dumps(found["told"]))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def tiles_of(slide: Slide, model: Model) -> NDArray[np.uint8]:
    """All tiles of a slide at 0.5 um/px, overlapping."""
    plan = ScoreRequest((0.5,), overlap=OVERLAP).plan(slide, model.card)
    return np.concatenate([read_block(slide, plan, block) for block in plan.blocks])


def deviation(
    tiles: NDArray[np.uint8], exact: TileClassifier, int8: TileClassifier
) -> dict[str, float]:
    """How far probabilities and embeddings lie off, and how many nearest tiles stay the same."""
    (probability, embedding), (probability_8, embedding_8) = exact(tiles), int8(tiles)
    difference = np.abs(probability - probability_8).max(axis=1)
    cosine = (embedding * embedding_8).sum(axis=1)
    return {
        "tiles": len(tiles),
        "mean |dP|": round(float(difference.mean()), 4),
        "largest |dP|": round(float(difference.max()), 4),
        "mean cosine": round(float(cosine.mean()), 4),
        "smallest cosine": round(float(cosine.min()), 4),
        "10 nearest, both int8": round(same_neighbours(embedding, embedding_8, embedding_8), 3),
        "10 nearest, int8 among float32": round(
            same_neighbours(embedding, embedding_8, embedding), 3
        ),
    }


def same_neighbours(
    embedding: NDArray[np.float32], queries: NDArray[np.float32], among: NDArray[np.float32]
) -> float:
    """Which part of the ten nearest tiles in float32 is found by queries among others."""
    expected, found = nearest(embedding, embedding), nearest(queries, among)
    shared = [len(set(one) & set(other)) for one, other in zip(expected, found, strict=True)]
    return float(np.mean(shared)) / expected.shape[1]


def nearest(
    queries: NDArray[np.float32], among: NDArray[np.float32], count: int = 10
) -> NDArray[np.int64]:
    """Numbers of the nearest tiles of each but itself, ``(n, count)``."""
    likeness = queries @ among.T
    np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1)[:, :count]


def speeds(model: Model, rounds: int) -> dict[str, Any]:
    """Tiles a second of each way on one core: of the fastest batch, and ratios round by round."""
    device = choose_device("cpu", exact=True)
    ways = {
        "torch": device,
        "ONNX Runtime": replace(device, runtime="onnxruntime"),
        "OpenVINO": replace(device, runtime="openvino"),
        "default": select_runtime(choose_device("cpu"), model),
        "int8": device_in_int8(device, model.card),
    }
    runners = {name: build_runner(model, way, 1) for name, way in ways.items()}
    with open_slide(SLIDES[1]) as slide:
        tiles = np.ascontiguousarray(tiles_of(slide, model)[: device.batch_size])
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            seconds[name].append(best_of_three(run, tiles))
    best = {name: round(len(tiles) / min(taken), 1) for name, taken in seconds.items()}
    ratios = {
        name: spread(np.array(taken) / np.array(seconds["int8"])) for name, taken in seconds.items()
    }
    return {"default is": ways["default"].how, "best": best, "int8 / it": ratios}


def best_of_three(run: TileRunner, tiles: NDArray[np.uint8]) -> float:
    """Seconds of the fastest of three batches, in processor time: others use the cores, too."""
    times = [time.process_time()]
    for _ in range(3):
        run(tiles)
        times.append(time.process_time())
    return min(after - before for before, after in pairwise(times))


def spread(ratios: NDArray[np.float64]) -> str:
    """Median, smallest and largest."""
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})"


class Classified(nn.Module):
    """A network whose outputs are those of a classifier, for what measures networks."""

    def __init__(self, classify: TileClassifier) -> None:
        super().__init__()
        self.classify = classify
        self.place = nn.Parameter(torch.zeros(1))  # networks are asked where they lie

    def forward(self, images: Tensor) -> NetworkOutput:
        """Classify images ``(n, 3, h, w)``, uint8."""
        probability, embedding = self.classify(images.permute(0, 2, 3, 1).contiguous().numpy())
        logits = torch.from_numpy(probability).clamp_min(1e-12).log()
        return NetworkOutput(torch.from_numpy(embedding), logits)


def aucs(
    model: Model, name: str, images: int, classifiers: Mapping[str, TileClassifier]
) -> dict[str, str]:
    """AUC over images of a set, with its interval by case, each way."""
    labelled = some_of(match_classes(read_training_set(DATA / name), model.card), images)
    found = {"images": str(len(labelled.images))}
    for way, classify in classifiers.items():
        logits = predict_images(
            Classified(classify), labelled.images, tile_px=model.card.tile_px, device="cpu"
        )
        held_out = HeldOutPredictions.from_fold(range(len(labelled.images)), logits)
        estimate = summarise(held_out, labelled).estimates["auc"]
        found[way] = f"{estimate.value:.4f} ({estimate.low:.3f}-{estimate.high:.3f})"
    return found


def some_of(labelled: LabelledSet, count: int) -> LabelledSet:
    """A part of a set, spread evenly over it."""
    return replace(labelled, images=tuple(spread_over(labelled.images, count)))


def spread_over(items: Sequence[Any], count: int) -> Iterator[Any]:
    """Yield so many of some items at most, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    yield from (items[place] for place in places)


if __name__ == "__main__":
    main()
