"""Labelled sets made up for the tests, without files unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.training.prediction import Predictor

CLASSES = ("benign", "malignant")
MPP = {"40X": 0.492, "100X": 0.197, "200X": 0.098, "400X": 0.049}


def image(
    case: str, label: int, name: str = "x.png", magnification: str = "", source: str = "made up"
) -> LabelledImage:
    return LabelledImage(
        path=Path(name),
        label=label,
        case=f"{source} {case}",
        mpp=MPP.get(magnification, 0.5),
        mpp_range=(0.2, 0.6),
        source=source,
        stratum=f"{source} {magnification}",
        magnification=magnification,
    )


def labelled_set(images: Sequence[LabelledImage], classes: Sequence[str] = CLASSES) -> LabelledSet:
    names = dict.fromkeys(image.source for image in images)
    return LabelledSet(tuple(classes), tuple(images), {name: Source(name) for name in names})


def random_set(
    cases: int = 12, images: int = 8, classes: int = 2, seed: int = 0, source: str = "made up"
) -> LabelledSet:
    """Cases of one class each, with a few images at several magnifications."""
    rng = np.random.default_rng(seed)
    made = [
        image(str(case), case % classes, f"{case}_{i}.png", magnification, source)
        for case in range(cases)
        for i, magnification in enumerate(rng.choice(list(MPP), size=rng.integers(2, images + 1)))
    ]
    names = CLASSES if classes == 2 else tuple(f"class {i}" for i in range(classes))
    return labelled_set(made, names)


def random_held_out(
    data: LabelledSet, repeats: int = 1, skill: float = 1.0, seed: int = 0
) -> HeldOutPredictions:
    """Predictions that are right more often than not; folds of whole cases."""
    rng = np.random.default_rng(seed)
    labels = np.array([one.label for one in data.images] * repeats)
    logits = rng.normal(size=(len(labels), len(data.classes)))
    logits[np.arange(len(labels)), labels] += skill
    # Ties, as networks in half precision give them.
    logits = logits.round(1)
    number = {case: i for i, case in enumerate(sorted(data.cases))}
    folds = [number[one.case] // 2 % 3 for one in data.images] * repeats
    images = list(range(len(data.images))) * repeats
    return HeldOutPredictions(
        np.array(images),
        torch.from_numpy(logits).float(),
        np.array(folds),
        np.repeat(np.arange(repeats), len(data.images)),
    )


class NameLearner:
    """Learns nothing: its logits come from labels, right with a known chance."""

    def __init__(self, right: float = 0.8) -> None:
        self.right = right
        self.asked: list[tuple[list[int], list[int], int]] = []
        self.predicted: list[list[int]] = []

    def __call__(
        self, data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        self.asked.append((list(training), list(validation), seed))
        rng = np.random.default_rng(seed)
        number = {image.path: i for i, image in enumerate(data.images)}

        def predict(images: Sequence[LabelledImage]) -> torch.Tensor:
            self.predicted.append([number[image.path] for image in images])
            labels = np.array([image.label for image in images])
            wrong = rng.uniform(size=len(labels)) > self.right
            called = (labels + wrong) % len(data.classes)
            return torch.eye(len(data.classes))[torch.from_numpy(called)] * 2

        return predict


def write_picture(path: Path, label: int, seed: int, size: tuple[int, int] = (64, 64)) -> Path:
    """A noisy picture whose class shows: malignant is redder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    colour = np.array([(200, 160, 200), (220, 90, 150)][label % 2])
    rgb = np.clip(colour + rng.normal(scale=20, size=(size[1], size[0], 3)), 0, 255)
    Image.fromarray(rgb.astype(np.uint8)).save(path)
    return path
