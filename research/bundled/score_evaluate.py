"""Do `score` and `evaluate` say the same of a field? Both on the fields of two laboratories.

    python -m research.bundled.score_evaluate --data DATA [--model MODEL]

The fields of UCSB and of BACH, as somebody would give them to either: `evaluate` as a folder of
labelled images, `score` one by one, as slides, at the same scales. What `score` says of a field is
the mean probability of its tiles; a field that it refuses counts as 1/2, and is counted, as are
those of which it calls nothing, since all of it is out of distribution.

Intervals: 95 %, 1,000 bootstraps of fields.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import napari_smse as smse
from napari_smse.api.model import Model
from napari_smse.datasets.crops import evaluation_scales
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.errors import SmseError
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, paired_difference
from research.bundled.bach import BACH_MPP, bach_images
from research.bundled.laboratories import describe

CLASSES: Final = ("benign", "malignant")
UCSB_MPP: Final = 0.45


def main() -> None:
    """Measure both on each laboratory, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = smse.load_model(options.model)
    print(
        "| laboratory | fields | refused | nothing called | evaluate | score "
        "| score minus evaluate | mean difference of P |"
    )
    print("|---" * 8 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, mpp in (("ucsb", UCSB_MPP), ("bach", BACH_MPP)):
            place = Path(folder) / name
            write_fields(name, options.data, place)
            print(row(name, model, smse.read_dataset(place, mpp=mpp)), flush=True)


def write_fields(name: str, data: Path, place: Path) -> None:
    """Lay a laboratory's fields out in a folder for each class."""
    for label in CLASSES:
        (place / label).mkdir(parents=True)
    if name == "ucsb":
        for label in CLASSES:
            for path in (data / "breast_ucsb" / label).iterdir():
                shutil.copy(path, place / label / path.name)
        return
    for number, (picture, malignant) in enumerate(bach_images(data / "breast_bach_eval")):
        picture.save(place / CLASSES[malignant] / f"{number}.png")


def row(name: str, model: Model, data: LabelledSet) -> str:
    """Return a laboratory's row of the table."""
    evaluated = smse.evaluate(model, data, device="cpu").held_out
    found = [scored(model, image) for image in data.images]
    values = np.array([0.5 if one is None else one[0] for one in found])
    by_score = predictions(values)
    refused = found.count(None)
    uncalled = sum(one is not None and not one[1] for one in found)
    apart = np.abs(values - evaluated.probabilities[:, 1]).mean()
    figures = (
        estimate(evaluated, data, "auc"),
        estimate(by_score, data, "auc"),
        paired_difference(by_score, evaluated, data, "auc"),
    )
    written = [describe(one, sign) for one, sign in zip(figures, ("", "", "+"), strict=True)]
    counts = f"{len(values)} | {refused} | {uncalled}"
    return f"| {name} | {counts} | {' | '.join(written)} | {apart:.3f} |"


def predictions(malignant: NDArray[np.float64]) -> HeldOutPredictions:
    """Return probabilities of malignant as predictions of images."""
    both = np.log(np.stack([1 - malignant, malignant], axis=1).clip(1e-6))
    return HeldOutPredictions.from_fold(range(len(both)), torch.from_numpy(both))


def scored(model: Model, image: LabelledImage) -> tuple[float, bool] | None:
    """Return the mean probability of a field, and if anything is called; None if it is refused."""
    try:
        slide = smse.open_slide(image.path, mpp=image.mpp)
        scores = smse.score(slide, model, evaluation_scales(image.mpp_range), device="cpu")
    except SmseError as error:
        print(f"{image.path.name}: {error}")
        return None
    called = smse.summarise(scores, "malignant").leading.mean_probability is not None
    return float(scores.probability("malignant").mean()), called


if __name__ == "__main__":
    main()
