"""Labelled tiles as a model embeds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.progress import Progress, Task
from napari_smse.training.prediction import TileOutputs, tile_outputs


@dataclass(frozen=True)
class EmbeddedTiles:
    """Embeddings with what is known of their tiles.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    labels
        ``(n,)`` int64, indices into `classes`.
    images
        ``(n,)`` int64, which image each tile is of; logits are averaged over an image's tiles.
    mpps
        ``(n,)`` float32, um/px.
    cases
        ``(n,)``, what is held out together: case, slide, or region.
    sources
        ``(n,)``.
    classes
        Names.
    """

    embeddings: Tensor
    labels: Tensor
    images: Tensor
    mpps: Tensor
    cases: tuple[str, ...]
    sources: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cases)

    def moved(self, embeddings: Tensor) -> EmbeddedTiles:
        """Return the same tiles with other embeddings."""
        return replace(self, embeddings=embeddings.detach())

    def image_means(self, logits: Tensor) -> tuple[list[int], Tensor]:
        """Return the images there are, in order, and their mean logits ``(images, classes)``."""
        numbers, place = torch.unique(self.images, return_inverse=True)
        sums = torch.zeros(len(numbers), logits.shape[1]).index_add_(0, place, logits.float())
        return numbers.tolist(), sums / torch.bincount(place)[:, None]


def embed_images(
    network: nn.Module,
    labelled_set: LabelledSet,
    indices: Sequence[int],
    tile_px: int = 224,
    precomputed: Mapping[LabelledImage, TileOutputs] | None = None,
) -> Task[tuple[EmbeddedTiles, Tensor]]:
    """Embed the evaluation tiles of images, with progress in images.

    Parameters
    ----------
    network
        On the device to use.
    labelled_set, indices
        The images; `EmbeddedTiles.images` are indices into the set.
    tile_px
        Side of the tiles.
    precomputed
        Outputs of the network for some images; these are not read.

    Returns
    -------
    tuple[EmbeddedTiles, Tensor]
        The tiles, and the network's own logits of them, ``(n, classes)``.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    images, found, precomputed = labelled_set.select(indices), [], precomputed or {}
    unknown = [image for image in images if image not in precomputed]
    outputs = tile_outputs(network, unknown, tile_px=tile_px)
    for image in images:
        found.append(precomputed[image] if image in precomputed else next(outputs))
        if image not in precomputed:
            yield Progress(len(found), len(images))
    if not unknown:
        yield Progress(len(found), len(images))
    rows = [i for i, output in enumerate(found) for _ in output.mpps]
    tiles = EmbeddedTiles(
        # Cloned, since tensors of an inference cannot be learnt from.
        torch.cat([output.embedding for output in found]).clone(),
        torch.tensor([images[i].label for i in rows]),
        torch.tensor([int(indices[i]) for i in rows]),
        torch.cat([output.mpps for output in found]).float(),
        tuple(images[i].case for i in rows),
        tuple(images[i].source for i in rows),
        labelled_set.classes,
    )
    return tiles, torch.cat([output.logits for output in found]).clone()
