"""Features of a frozen trunk: computed once, trained on many times."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import torch
from PIL.Image import Image as Picture
from torch import Tensor

from napari_smse.datasets.crops import evaluation_crops
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.pixels import read_pixels
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.progress import Progress, Task
from napari_smse.training.augmentation import augmented_tile
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import Crop
from napari_smse.training.seeding import generator_of

_READERS: Final = 2
_BATCH: Final = 32
_Tiles = tuple[Tensor, Tensor]


class TileFeatures(NamedTuple):
    """Features of tiles of one image.

    Attributes
    ----------
    values
        ``(tiles, features)`` float16.
    mpps
        ``(tiles,)`` their um/px, float64.
    """

    values: Tensor
    mpps: Tensor


class FeatureCache:
    """Features of images; all folds may share one, as nothing in it was learnt from labels.

    Parameters
    ----------
    network
        Whose trunk to use; its heads do not matter.
    recipe
        How crops are changed, and the seed; an image's crops do not depend on which others
        there are.
    crops_per_image
        How many augmented crops there are of each image.
    device
        For torch.
    """

    def __init__(
        self,
        network: SmseNetwork,
        recipe: Recipe,
        *,
        crops_per_image: int = 8,
        device: str = "cpu",
    ) -> None:
        self.network = network.eval().to(device)
        self.recipe = recipe
        self.crops_per_image = crops_per_image
        self.device = device
        self._evaluation: dict[LabelledImage, TileFeatures] = {}
        self._crops: dict[LabelledImage, TileFeatures] = {}

    def evaluation_features(self, image: LabelledImage) -> TileFeatures:
        """Return the features of an image's evaluation tiles, computed now if need be."""
        if image not in self._evaluation:
            self._evaluation[image] = self._found(*self._evaluation_tiles(image))
        return self._evaluation[image]

    def crops(self, image: LabelledImage) -> TileFeatures:
        """Return the features of an image's augmented crops, computed now if need be."""
        if image not in self._crops:
            self._crops[image] = self._found(*self._augmented_tiles(image))
        return self._crops[image]

    def fill(self, images: Sequence[LabelledImage]) -> Task[None]:
        """Compute what is missing, with progress in images.

        Raises
        ------
        DataError
            An image cannot be read.
        """
        cached = self._evaluation.keys() & self._crops.keys()
        missing = [image for image in dict.fromkeys(images) if image not in cached]
        done = len(images) - len(missing)
        for image, (tiles, mpps) in zip(missing, _ahead(self._all_tiles, missing), strict=True):
            features = self._found(tiles, mpps)
            count = len(tiles) - self.crops_per_image
            self._evaluation[image] = TileFeatures(features.values[:count], mpps[:count])
            self._crops[image] = TileFeatures(features.values[count:], mpps[count:])
            done += 1
            yield Progress(done, len(images))

    def _all_tiles(self, image: LabelledImage) -> _Tiles:
        """Return evaluation tiles, then crops, in as few batches as can be."""
        picture = read_pixels(image)
        both = self._evaluation_tiles(image, picture), self._augmented_tiles(image, picture)
        tiles, mpps = (torch.cat(parts) for parts in zip(*both, strict=True))
        return tiles, mpps

    def _evaluation_tiles(self, image: LabelledImage, picture: Picture | None = None) -> _Tiles:
        """Return uint8 tiles ``(n, 3, size, size)`` and their um/px."""
        views = evaluation_crops(picture or read_pixels(image), image, self.recipe.tile_px)
        tiles = torch.from_numpy(np.stack([view.tile for view in views])).permute(0, 3, 1, 2)
        return tiles, torch.tensor([view.mpp for view in views], dtype=torch.float64)

    def _augmented_tiles(self, image: LabelledImage, picture: Picture | None = None) -> _Tiles:
        """Return uint8 crops ``(n, 3, size, size)`` and their um/px."""
        picture, recipe = picture or read_pixels(image), self.recipe
        name = os.fsencode(f"{image.path.name} {image.region}")
        generator = generator_of(recipe.seed, crc32(name))
        low, high = np.log(np.clip(image.mpp_range, *recipe.mpp_limits))
        places = torch.rand(self.crops_per_image, generator=generator, dtype=torch.float64)
        mpps = torch.exp(low + (high - low) * places)
        crops = [
            augmented_tile(picture, image.mpp, Crop(0, float(mpp)), recipe, generator)
            for mpp in mpps
        ]
        return torch.stack(crops), mpps

    def _found(self, tiles: Tensor, mpps: Tensor) -> TileFeatures:
        values = [self.features(part) for part in torch.split(tiles, _BATCH)]
        return TileFeatures(torch.cat(values), mpps)

    def features(self, tiles: Tensor) -> Tensor:
        """Return the trunk's features ``(n, features)`` float16 of uint8 tiles."""
        mixed = self.recipe.precision == "bfloat16"
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=mixed):
            return self.network.features(tiles.to(self.device)).half().cpu()


def _ahead(
    make: Callable[[LabelledImage], _Tiles], images: Sequence[LabelledImage]
) -> Iterator[_Tiles]:
    """Make tiles in threads, a few images ahead, and hand them out in order."""
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[Future[_Tiles]] = deque()
        try:
            for image in images:
                waiting.append(pool.submit(make, image))
                if len(waiting) > 2 * _READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
