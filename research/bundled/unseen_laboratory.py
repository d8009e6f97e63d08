"""What a trunk is worth where it learnt nothing: few labels, and one place at two magnifications.

    python -m research.bundled.unseen_laboratory --data DATA --networks FOLDER

FOLDER is one that `laboratories` wrote, with the weights of networks that never saw a source. On
that source, and beside the trunk they started from (ImageNet's):

*Few labels.* Logistic regression on the trunk's features of 25, 50 and 100 images of half of the
cases, judged on the other half, 50 divisions of the cases.

*Two magnifications.* The tile around the middle of each image at 0.5 um/px looks for the one at
0.25 um/px among those of all images; how often its nearest by the embedding is of the same place.
Images whose pixels do not support both are left out.

Intervals: 95 %, 1,000 bootstraps of cases.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smse.datasets.crops import crop_at
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.pixels import ImageCache
from napari_smse.evaluation.few_shot import few_shot_auc
from napari_smse.metrics.estimate import Estimate, share_estimate
from napari_smse.models import SmseNetwork
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import Recipe
from research.bundled.kept_networks import kept_networks, recipe_of
from research.bundled.laboratories import by_alike, describe, read_laboratories

LABELS: Final = (25, 50, 100)
DIVISIONS: Final = 50
FINE, COARSE = 0.25, 0.5
_TILE_PX: Final = 224
_AT_ONCE: Final = 32
_log = logging.getLogger(__name__)


def main() -> None:
    """Measure each network on the source that it never saw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--networks", type=Path, required=True, help="written by laboratories")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = by_alike(read_laboratories(options.data))
    recipe = recipe_of(options.networks)
    start = started(recipe, len(data.classes))
    print("| source | network | " + " | ".join(f"{n} labels" for n in LABELS) + " | same place |")
    print("|---" * (3 + len(LABELS)) + "|")
    for source, learnt in kept_networks(options.networks):
        if source not in data.sources:
            continue
        own = data.select_sources([source])
        for name, network in (("ImageNet", start), ("learnt", learnt)):
            print(f"| {source} | {name} | {' | '.join(row(network, own))} |", flush=True)


def started(recipe: Recipe, classes: int) -> SmseNetwork:
    """Return a network as its training started, but for the principal components."""
    network, _ = new_network(recipe, classes)
    assert isinstance(network, SmseNetwork)
    return network.eval()


def row(network: SmseNetwork, data: LabelledSet) -> Iterator[str]:
    """Yield the figures of one network on one source."""
    features = features_of(network, data.images, COARSE)
    for number in LABELS:
        areas = few_shot_auc(features, data, number, divisions=DIVISIONS)
        areas = areas[np.isfinite(areas)]
        yield f"{np.mean(areas):.3f} ± {np.std(areas):.3f}" if len(areas) else "-"
    found = same_place(network, data.images)
    yield "-" if found is None else describe(found)


def features_of(
    network: SmseNetwork, images: Sequence[LabelledImage], mpp: float, *, embedded: bool = False
) -> NDArray[np.float32]:
    """Return features, or embeddings, of the tile around the middle of each image."""
    cache = ImageCache()
    found = []
    for first in range(0, len(images), _AT_ONCE):
        crops = [
            crop_at(cache.read(image), image.mpp, mpp, (0.5, 0.5), _TILE_PX)
            for image in images[first : first + _AT_ONCE]
        ]
        tiles = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found.append(network(tiles).embedding if embedded else network.features(tiles))
    return torch.cat(found).float().numpy()


def same_place(network: SmseNetwork, images: Sequence[LabelledImage]) -> Estimate | None:
    """Return how often the nearest at the finer scale is of the same place; None without images."""
    both = [image for image in images if image.mpp_range[0] <= FINE < COARSE <= image.mpp_range[1]]
    if len(both) < 2:
        return None
    fine, coarse = (features_of(network, both, mpp, embedded=True) for mpp in (FINE, COARSE))
    nearest = (coarse @ fine.T).argmax(axis=1)
    return share_estimate(nearest == np.arange(len(both)), [image.case for image in both])


if __name__ == "__main__":
    main()
