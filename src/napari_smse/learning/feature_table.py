"""Features of a trunk that does not learn: computed once, learnt from many times."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from napari_smse.learning.augment import augmented_tile
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.learning.pixels import read_pixels
from napari_smse.learning.recipe import Recipe
from napari_smse.learning.sampling import DrawnCrop
from napari_smse.learning.seeding import generator_of
from napari_smse.learning.views import judged_views
from napari_smse.network.smse_network import SmseNetwork

_READERS: Final = 2
_BATCH: Final = 32


class ImageFeatures(NamedTuple):
    """Features of an image's tiles.

    Attributes
    ----------
    judged
        ``(tiles, features)`` float16 of `judged_tiles`.
    judged_mpps
        ``(tiles,)`` their um/px, float64.
    crops
        ``(crops, features)`` float16 of augmented crops.
    mpps
        ``(crops,)`` um/px of the crops, float64.
    """

    judged: Tensor
    judged_mpps: Tensor
    crops: Tensor
    mpps: Tensor


class FeatureTable:
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
        self._known: dict[LabelledImage, ImageFeatures] = {}

    def __getitem__(self, image: LabelledImage) -> ImageFeatures:
        """Return an image's features, computed now if `fill` did not."""
        if image not in self._known:
            for _ in self.fill([image]):
                pass
        return self._known[image]

    def fill(self, images: Sequence[LabelledImage]) -> Iterator[tuple[int, int]]:
        """Compute what is missing, yielding how many images are done, and of how many.

        Raises
        ------
        DataError
            An image cannot be read.
        """
        missing = [image for image in dict.fromkeys(images) if image not in self._known]
        done = len(images) - len(missing)
        for image, (tiles, mpps) in zip(missing, _ahead(self._tiles, missing), strict=True):
            values = torch.cat([self.features(part) for part in torch.split(tiles, _BATCH)])
            judged = len(tiles) - self.crops_per_image
            self._known[image] = ImageFeatures(
                values[:judged], mpps[:judged], values[judged:], mpps[judged:]
            )
            done += 1
            yield done, len(images)

    def _tiles(self, image: LabelledImage) -> tuple[Tensor, Tensor]:
        """Return judged tiles, then crops, ``(n, 3, size, size)``, and the um/px of all."""
        picture, recipe = read_pixels(image), self.recipe
        generator = generator_of(recipe.seed, crc32(f"{image.path.name} {image.region}".encode()))
        views = judged_views(picture, image, recipe.tile_px)
        judged = torch.from_numpy(np.stack([view.tile for view in views])).permute(0, 3, 1, 2)
        low, high = np.log(np.clip(image.mpp_range, *recipe.mpp_limits))
        places = torch.rand(self.crops_per_image, generator=generator, dtype=torch.float64)
        mpps = torch.exp(low + (high - low) * places)
        crops = [
            augmented_tile(picture, image.mpp, DrawnCrop(0, float(mpp)), recipe, generator)
            for mpp in mpps
        ]
        seen = torch.tensor([view.mpp for view in views], dtype=torch.float64)
        return torch.cat([judged, torch.stack(crops)]), torch.cat([seen, mpps])

    def features(self, tiles: Tensor) -> Tensor:
        """Return the trunk's features ``(n, features)`` float16 of uint8 tiles."""
        mixed = self.recipe.precision == "bfloat16"
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=mixed):
            return self.network.features(tiles.to(self.device)).half().cpu()


_Tiles = tuple[Tensor, Tensor]


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
