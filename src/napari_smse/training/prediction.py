"""Predictions of a network for whole images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.datasets.crops import evaluation_crops
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.pixels import read_pixels
from napari_smse.metrics.classification import roc_auc
from napari_smse.models.smse_network import NetworkOutput
from napari_smse.training.augmentation import whole_frame

Predictor = Callable[[Sequence[LabelledImage]], Tensor]
"""Images -> ``(n, classes)`` logits."""

_IMAGES_AT_ONCE: Final = 8
_TILES_AT_ONCE: Final = 32
_READERS: Final = 2

Read = Callable[[LabelledImage], Image.Image]


class TileOutputs(NamedTuple):
    """Outputs of a network for the evaluation tiles of an image, float32 on the CPU.

    Attributes
    ----------
    embedding
        ``(tiles, d)``.
    logits
        ``(tiles, classes)``.
    mpps
        ``(tiles,)``, um/px.
    """

    embedding: Tensor
    logits: Tensor
    mpps: Tensor


def predict_images(
    network: nn.Module,
    images: Sequence[LabelledImage],
    *,
    tile_px: int = 224,
    device: str = "cpu",
) -> Tensor:
    """Return the logits ``(n, classes)`` of images, each the mean over its evaluation tiles.

    A network that takes whole images of one size is given these. It is put into evaluation mode
    and stays on the device.

    Parameters
    ----------
    network
        Gives `NetworkOutput` of RGB images.
    images
        To judge.
    tile_px
        Side of the tiles.
    device
        For torch.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    parts = list(predict_some(network.to(device), images, tile_px=tile_px))
    return torch.cat(parts) if parts else torch.empty(0, 0)


def predict_some(
    network: nn.Module,
    images: Sequence[LabelledImage],
    *,
    tile_px: int = 224,
    read: Read = read_pixels,
) -> Iterator[Tensor]:
    """Yield the logits ``(1, classes)`` of image after image, float32 on the CPU.

    Parameters
    ----------
    network, images
        As for `predict_images`.
    tile_px
        Side of the tiles.
    read
        What reads an image.
    """
    for found in tile_outputs(network, images, tile_px=tile_px, read=read):
        yield found.logits.mean(dim=0, keepdim=True)


def tile_outputs(
    network: nn.Module,
    images: Sequence[LabelledImage],
    *,
    tile_px: int = 224,
    read: Read = read_pixels,
) -> Iterator[TileOutputs]:
    """Yield the outputs of a network for the evaluation tiles of image after image.

    Parameters
    ----------
    network, images
        As for `predict_images`.
    tile_px
        Side of the tiles.
    read
        What reads an image.

    Yields
    ------
    TileOutputs
        Of an image.
    """
    network.eval()
    frame: tuple[int, int] | None = getattr(network, "input_size", None)

    def tiles_of(image: LabelledImage) -> tuple[Tensor, list[float]]:
        if frame is not None:
            return whole_frame(read(image), frame)[None], [image.mpp]
        views = evaluation_crops(read(image), image, tile_px)
        tiles = torch.from_numpy(np.stack([view.tile for view in views])).permute(0, 3, 1, 2)
        return tiles, [view.mpp for view in views]

    with ThreadPoolExecutor(_READERS, thread_name_prefix="judged") as pool:
        for first in range(0, len(images), _IMAGES_AT_ONCE):
            made = list(pool.map(tiles_of, images[first : first + _IMAGES_AT_ONCE]))
            sizes = [len(mpps) for _, mpps in made]
            output = _outputs(network, torch.cat([tiles for tiles, _ in made]))
            parts = zip(*(torch.split(tensor, sizes) for tensor in output), strict=True)
            for (embedding, logits), (_, mpps) in zip(parts, made, strict=True):
                yield TileOutputs(embedding, logits, torch.tensor(mpps))


def held_out_figures(logits: Tensor, labels: Sequence[int]) -> Mapping[str, float]:
    """Return AUC, accuracy and cross-entropy of images that were not learnt from.

    Of more than two classes, the AUC is the mean of each against the rest; NaN if there is only
    one class.
    """
    truth = torch.tensor(list(labels))
    scores = torch.softmax(logits.double(), dim=1)
    kinds = [1] if logits.shape[1] == 2 else range(logits.shape[1])
    areas = [roc_auc((truth == kind).numpy(), scores[:, kind].numpy()) for kind in kinds]
    known = [area for area in areas if not np.isnan(area)]
    return {
        "auc": float(np.mean(known)) if known else float("nan"),
        "accuracy": float((logits.argmax(dim=1) == truth).double().mean()),
        "loss": float(functional.cross_entropy(logits.double(), truth)),
    }


def _outputs(network: nn.Module, tiles: Tensor) -> NetworkOutput:
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [network(part.to(device)) for part in torch.split(tiles, _TILES_AT_ONCE)]
        columns = zip(*parts, strict=True)
        return NetworkOutput(*(torch.cat(column).float().cpu() for column in columns))
