"""The external test: BACH, another hospital and scanner. Never trained or tuned on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from napari_smse.datasets.crops import picture_tiles
from napari_smse.slides.backends.image import PICTURE_FORMATS

BACH_MPP: Final = 0.56
# The stored files are squeezed; this is their true shape at a scale of 0.56 um/px.
BACH_SIZE: Final = (1536, 1152)
_LABELS: Final = {"normal": 0, "benign": 0, "insitu": 1, "invasive": 1}


def bach_probabilities(
    network: nn.Module, folder: Path, mpp: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return label and mean malignant probability over tiles of each BACH image.

    Parameters
    ----------
    network
        Network whose second class is malignant.
    folder
        Folder with one folder of images a class.
    mpp
        Scale of the tiles, um/px.
    """
    labels, scores = [], []
    for image, label in bach_images(folder):
        tiles = np.stack([crop.tile for crop in picture_tiles(image, BACH_MPP, [mpp])])
        with torch.inference_mode():
            logits = network(torch.from_numpy(tiles).permute(0, 3, 1, 2)).logits
        labels.append(label)
        scores.append(float(torch.softmax(logits, dim=1)[:, 1].mean()))
    return np.array(labels), np.array(scores)


def bach_images(folder: Path) -> Iterator[tuple[Image.Image, int]]:
    """Yield the images of BACH in their true shape, at `BACH_MPP`, with 1 for malignant.

    Parameters
    ----------
    folder
        Folder with one folder of images a class.
    """
    for name, label in _LABELS.items():
        for path in sorted((folder / name).glob("*.jp*g")):
            with Image.open(path, formats=PICTURE_FORMATS) as file:
                yield file.convert("RGB").resize(BACH_SIZE, Image.Resampling.BICUBIC), label
