"""Activations of the frozen early trunk, computed once and learnt from many times."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from napari_smse.learning.crops import augmented_crop, plain_crops
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.network.output import NetworkOutput
from napari_smse.network.smse_network import SmseNetwork

_log = logging.getLogger(__name__)


@dataclass
class Activations:
    """Early-trunk activations of crops, and which record each comes from.

    Attributes
    ----------
    values
        ``(crops, channels, h, w)``, or pooled ``(crops, features)``, float16.
    record
        ``(crops,)`` index of the record.
    plain
        ``(crops,)``, true for the plain crops that images are judged by.
    """

    values: Tensor
    record: NDArray[np.int64]
    plain: NDArray[np.bool_]


class Tail(nn.Module):
    """What follows the early part of an EfficientNet trunk: last stages, pooling, heads.

    Parameters
    ----------
    network
        Shares its modules with the tail, so training the tail trains it.
    stages
        Number of trunk stages in the tail; with 0 the whole trunk is early, its pooled features
        are what is cached, and only the heads can learn.
    """

    def __init__(self, network: SmseNetwork, stages: int = 0) -> None:
        super().__init__()
        body: Any = network.trunk.body
        blocks = list(body.blocks)
        first = len(blocks) - stages
        last = [body.conv_head, body.bn2, body.global_pool]
        self.early = nn.Sequential(body.conv_stem, body.bn1, *blocks[:first])
        self.late = nn.Sequential()
        (self.late if stages else self.early).extend([*blocks[first:], *last])
        self.network = network

    def features(self, activations: Tensor) -> Tensor:
        """Return pooled float32 features of early activations."""
        with torch.autocast(activations.device.type, dtype=torch.bfloat16):
            features = self.late(activations)
        return cast("Tensor", features.float())

    def forward(self, activations: Tensor) -> NetworkOutput:
        """Return the network's output from early activations."""
        return self.network.head(self.features(activations))


def compute_activations(
    tail: Tail, records: Sequence[LabelledImage], augmented: Sequence[int], seed: int = 0
) -> Activations:
    """Run the early trunk over the crops of each record.

    Parameters
    ----------
    tail
        Whose early part to run.
    records
        Images to read.
    augmented
        For each record, how many augmented crops to make beside the plain ones.
    seed
        Of the augmentation; each record has a stream of its own.
    """
    tail.eval().to(memory_format=torch.channels_last)
    chunks, record, plain = [], [], []
    for crops, owners, kinds in _batches(records, augmented, seed):
        chunks.append(_early(tail, crops))
        record += owners
        plain += kinds
        if len(chunks) % 20 == 0:
            _log.info("crops: %d", len(record))
    return Activations(torch.cat(chunks), np.array(record), np.array(plain, dtype=bool))


def _early(tail: Tail, crops: list[NDArray[np.uint8]]) -> Tensor:
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        values: Tensor = tail.early(tail.network.normalise(images))
    return values.half().contiguous()


_Batch = tuple[list[NDArray[np.uint8]], list[int], list[bool]]


def _batches(
    records: Sequence[LabelledImage], augmented: Sequence[int], seed: int, size: int = 32
) -> Iterator[_Batch]:
    crops: list[NDArray[np.uint8]] = []
    owners: list[int] = []
    kinds: list[bool] = []
    for index, (record, count) in enumerate(zip(records, augmented, strict=True)):
        rng = np.random.default_rng([seed, index])
        with Image.open(record.path) as file:
            image = file.convert("RGB")
        plain = plain_crops(image, record.mpp, record.mpp_range)
        extra = [augmented_crop(image, record.mpp, record.mpp_range, rng) for _ in range(count)]
        crops += plain + extra
        owners += [index] * (len(plain) + count)
        kinds += [True] * len(plain) + [False] * count
        while len(crops) >= size:
            yield crops[:size], owners[:size], kinds[:size]
            crops, owners, kinds = crops[size:], owners[size:], kinds[size:]
    if crops:
        yield crops, owners, kinds
