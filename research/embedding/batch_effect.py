"""Measure whether an embedding tells where images come from better than what they show.

    python -m research.embedding.batch_effect ../shared/data

Takes images of each class from each source of the bundled model, embeds their middle at 0.5 um/px
with that model, as they are and with the stain of each changed at random (`StainJitter`), and
prints how often neighbours of other cases tell the source, and the class. The same for the frozen
trunk's features, which learnt from no slide. And what labels are worth that are asked for by the
queue, against labels at random, on each source by itself: features frozen, and the first guess
made from the other sources.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smse.active_learning.label_efficiency import BUDGETS, label_efficiency
from napari_smse.datasets.crops import crop_at
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.pixels import read_pixels
from napari_smse.models import SmseNetwork, load_model
from napari_smse.progress import run_task
from napari_smse.similarity.batch_effect import before_and_after
from napari_smse.training.augmentation import StainJitter
from research.bundled import SOURCES

MPP: Final = 0.5
TILE_PX: Final = 224
PER_CLASS: Final = 150
Vectors = NDArray[np.float32]


class EmbeddedImages:
    """Features and embeddings of images, as they are or stained anew, each computed once.

    Parameters
    ----------
    network
        Of the model.
    images
        To embed.
    strength
        Of the change of stain.
    """

    def __init__(self, network: SmseNetwork, images: list[LabelledImage], strength: float) -> None:
        self._network, self._images, self._strength = network.eval(), images, strength
        self._known: dict[tuple[int, int | None], Vectors] = {}

    def features(self, rows: NDArray[np.intp], seed: int | None) -> Vectors:
        """Return the trunk's features ``(n, d)``."""
        missing = [int(row) for row in rows if (int(row), seed) not in self._known]
        if missing:
            tiles = torch.stack([self._tile(row, seed) for row in missing])
            with torch.inference_mode():
                found = self._network.features(tiles).float().numpy()
            self._known |= {(row, seed): one for row, one in zip(missing, found, strict=True)}
        return np.stack([self._known[int(row), seed] for row in rows])

    def embeddings(self, rows: NDArray[np.intp], seed: int | None) -> Vectors:
        """Return the model's embeddings ``(n, d)``."""
        with torch.inference_mode():
            features = torch.from_numpy(self.features(rows, seed))
            return self._network.head(features).embedding.numpy()

    def _tile(self, row: int, seed: int | None) -> torch.Tensor:
        image = self._images[row]
        pixels = crop_at(read_pixels(image), image.mpp, MPP, (0.5, 0.5), TILE_PX)
        tile = torch.from_numpy(pixels).permute(2, 0, 1)
        if seed is None:
            return tile
        generator = torch.Generator().manual_seed(seed * 1_000_003 + row)
        return StainJitter(self._strength, generator)(tile)


def standardised(
    embed: Callable[[NDArray[np.intp], int | None], Vectors], number: int
) -> Callable[[NDArray[np.intp], int | None], Vectors]:
    """Return what embeds with every feature scaled alike, by the images as they are."""
    rows = np.arange(number)
    known = np.concatenate([embed(part, None) for part in np.array_split(rows, number // 64 + 1)])
    mean, std = known.mean(axis=0), known.std(axis=0) + 1e-6

    def scaled(some: NDArray[np.intp], seed: int | None) -> Vectors:
        found = (embed(some, seed) - mean) / std
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    return scaled


def chosen(data: LabelledSet, most: int) -> list[LabelledImage]:
    """Return up to so many images of each class of each source, cases by turns."""
    found: list[LabelledImage] = []
    rng = np.random.default_rng(0)
    groups: dict[tuple[str, int], list[LabelledImage]] = defaultdict(list)
    for image in data.images:
        low, high = image.mpp_range
        if low <= MPP <= high:
            groups[image.source, image.label].append(image)
    for some in groups.values():
        turn: dict[str, int] = defaultdict(int)
        keyed = []
        for number in rng.permutation(len(some)):
            image = some[number]
            keyed.append((turn[image.case], len(keyed), image))
            turn[image.case] += 1
        found += [image for _, _, image in sorted(keyed, key=lambda one: one[:2])[:most]]
    return found


def tell_effect(name: str, embed: Callable[..., Vectors], images: list[LabelledImage]) -> None:
    """Print the verdict as it is and with the stain changed."""
    result = run_task(
        before_and_after(
            embed,
            [one.source for one in images],
            [str(one.label) for one in images],
            cases=[one.case for one in images],
            unit="source",
        )
    )
    print(f"{name}\n  as they are:    {result.before.sentence}")
    print(f"  stained anew:   {result.after.sentence}", flush=True)


def first_guess(features: Vectors, images: list[LabelledImage], source: str) -> Vectors:
    """Return what the prototypes of all other sources say, ``(n, 2)``, spread to 0..1."""
    others = [row for row, one in enumerate(images) if one.source != source]
    labels = np.array([images[row].label for row in others])
    means = [features[others][labels == label].mean(axis=0) for label in (0, 1)]
    score = features @ (means[1] - means[0])
    own = score[[row for row, one in enumerate(images) if one.source == source]]
    p = 1 / (1 + np.exp(-(score - np.median(own)) / (own.std() + 1e-9)))
    return np.stack([1 - p, p], axis=1).astype(np.float32)


def tell_efficiency(features: Vectors, images: list[LabelledImage], source: str) -> None:
    """Print the label-efficiency curve of a source."""
    rows = [row for row, one in enumerate(images) if one.source == source]
    guess = first_guess(features, images, source)[rows]
    found = label_efficiency(
        features[rows],
        [images[row].label for row in rows],
        [images[row].case for row in rows],
        guess,
        splits=20,
        draws=20,
    )
    print(f"{source}: labels, AUC by queue, at random, difference (its standard error)")
    for number, budget in enumerate(BUDGETS):
        queue, random = found.queue.auc[:, number], found.random.auc[:, number]
        error = (queue - random).std(ddof=1) / np.sqrt(len(queue))
        print(
            f"  {budget:3d}  {queue.mean():.3f}  {random.mean():.3f}  "
            f"{(queue - random).mean():+.3f} ({error:.3f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("--per-class", type=int, default=PER_CLASS)
    parser.add_argument("--strength", type=float, default=1.0, help="of the change of stain")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = read_training_set(SOURCES, base=options.data)
    images = chosen(data, options.per_class)
    network = load_model("bundled").network
    assert isinstance(network, SmseNetwork)
    made = EmbeddedImages(network, images, options.strength)
    for source in data.sources:
        some = [one for one in images if one.source == source]
        print(f"{source}: {len(some)} images of {len({one.case for one in some})} cases")
    frozen = standardised(made.features, len(images))
    tell_effect("frozen ImageNet features", frozen, images)
    tell_effect("bundled model (it was trained on these images)", made.embeddings, images)
    features = frozen(np.arange(len(images)), None)
    for source in data.sources:
        tell_efficiency(features, images, source)


if __name__ == "__main__":
    main()
