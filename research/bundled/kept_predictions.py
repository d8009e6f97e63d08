"""Predictions of trainings, kept as text: what the card's figures are computed from.

A training takes minutes and its weights are large; what it said of the images it never saw is
small. Those of the bundled model's trainings lie in ``research/bundled/predictions``, so that each
figure can be made again, or another made of them, without training anew.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from napari_smse.atomic_write import atomic_path
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.evaluation.cross_validation import Learner
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.training.prediction import Predictor

_Key = tuple[str, str, str]
"""An image, and the scales it is judged at, um/px."""


def keeping_predictions(learner: Learner, description: str, folder: Path, root: Path) -> Learner:
    """Return a learner that learns only if something is to be predicted that was not before.

    The files are called after the source that was not learnt from, or *fold*, and the seed.

    Parameters
    ----------
    learner
        Any.
    description
        Of what it does, such as the recipe as JSON; another one is another training.
    folder
        For the files.
    root
        The data folder, which images are called from.
    """

    def learn(
        data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        signature = _signature(description, data.select(training), seed, root)
        learnt: list[Predictor] = []

        def predict(images: Sequence[LabelledImage]) -> Tensor:
            if not learnt:
                # What asks may have switched gradients off.
                with torch.inference_mode(False), torch.enable_grad():
                    learnt.append(learner(data, training, validation, seed))
            return learnt[0](images)

        path = folder / f"{training_name(data, training)}_{seed}.csv"
        return KeptPredictions(path, signature, predict, root)

    return learn


def training_name(data: LabelledSet, training: Sequence[int]) -> str:
    """Return the source that a training leaves out, *all* if nothing, or else *fold*."""
    missing = set(data.sources) - {data.images[i].source for i in training}
    if len(missing) == 1:
        return missing.pop()
    return "all" if len(training) == len(data.images) else "fold"


class KeptPredictions:
    """A predictor that asks another one only what is not in its file yet.

    Parameters
    ----------
    path
        The file: CSV with the image, the scales it is judged at (um/px) and its logits.
    training
        Identifies the training.
    predictor
        Asked for what is missing.
    root
        The data folder, which images are called from.

    Raises
    ------
    RuntimeError
        The file is of another training.
    """

    def __init__(self, path: Path, training: str, predictor: Predictor, root: Path) -> None:
        self._path = path
        self._training = training
        self._predictor = predictor
        self._root = root
        found, self._logits = _read(path) if path.exists() else (training, {})
        if found != training:
            raise RuntimeError(f"{path} is of another training: name another folder, or delete it.")

    def __call__(self, images: Sequence[LabelledImage], /) -> Tensor:
        """Return the logits ``(n, classes)``."""
        keys = [_key(image, self._root) for image in images]
        missing = {
            key: image for key, image in zip(keys, images, strict=True) if key not in self._logits
        }
        if missing:
            found = self._predictor(list(missing.values())).detach().float().cpu()
            self._logits |= dict(zip(missing, found.tolist(), strict=True))
            self._write()
        return torch.tensor([self._logits[key] for key in keys])

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["training", self._training])
            for key, logits in self._logits.items():
                writer.writerow([*key, *(f"{value:.6g}" for value in logits)])


def read_predictions(
    folder: Path, source: str, data: LabelledSet, root: Path
) -> HeldOutPredictions | None:
    """Return what networks that never saw a source say of it; None if nothing is kept.

    Parameters
    ----------
    folder
        As `keeping_predictions` wrote it; each seed is a repeat.
    source
        Its name.
    data, root
        The images, and the data folder.
    """
    parts = []
    images = {_key(image, root): i for i, image in enumerate(data.images) if image.source == source}
    for repeat, path in enumerate(sorted(folder.glob(f"{source}_*.csv"))):
        logits = _read(path)[1]
        rows = [(i, logits[key]) for key, i in images.items() if key in logits]
        indices, values = zip(*rows, strict=True)
        parts.append(HeldOutPredictions.from_fold(indices, torch.tensor(values), repeat=repeat))
    return join(parts) if parts else None


def _read(path: Path) -> tuple[str, dict[_Key, list[float]]]:
    with path.open(newline="", encoding="utf-8") as file:
        (_, training), *rows = csv.reader(file)
    return training, {(row[0], row[1], row[2]): [float(value) for value in row[3:]] for row in rows}


def _key(image: LabelledImage, root: Path) -> _Key:
    name = image.path.relative_to(root).as_posix()
    place = "" if image.region is None else f" {image.region}"
    finest, coarsest = image.mpp_range
    return name + place, f"{finest:.6g}", f"{coarsest:.6g}"


def _signature(description: str, images: Sequence[LabelledImage], seed: int, root: Path) -> str:
    found = hashlib.sha256(f"{description} {seed}".encode())
    for image in images:
        found.update(repr((_key(image, root), image.label, image.case)).encode())
    return found.hexdigest()
