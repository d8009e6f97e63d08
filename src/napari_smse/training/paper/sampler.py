"""Which images the paper's batches hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import TrainingError
from napari_smse.training.sampler import Crop


class PaperBatch(NamedTuple):
    """Anchors and their partners, as indices of images, ``(n,)`` each.

    Attributes
    ----------
    anchor
        Each with its class label.
    partners
        None, one (pairs), or two (positive, negative).
    same
        Whether a pair is of one class.
    """

    anchor: NDArray[np.int64]
    partners: tuple[NDArray[np.int64], ...]
    same: NDArray[np.bool_]


class PaperSampler:
    """Every image an anchor once an epoch, partners uniform at random from all training images.

    A partner may be of any magnification and any patient. Half of the pairs are of one class.

    Parameters
    ----------
    images
        Of the labelled set.
    training
        Indices into them.
    similarity
        ``"none"``, ``"pair"`` or ``"triplet"``.
    batch
        Anchors in a batch.
    seed
        Of the draws; they depend on it and on the step only.

    Raises
    ------
    TrainingError
        There are no two images of some class, or there is one class only.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        training: Sequence[int],
        similarity: str,
        batch: int,
        seed: int = 0,
    ) -> None:
        self._training = np.asarray(training, dtype=np.int64)
        self._mpp = [image.mpp for image in images]
        self.labels = np.array([image.label for image in images], dtype=np.int64)
        self._similarity, self._batch, self._seed = similarity, batch, seed
        counts = np.unique(self.labels[self._training], return_counts=True)[1]
        if len(counts) < 2 or counts.min() < 2:
            raise TrainingError(
                "Pairs and triplets need two classes with two images each to learn from: add some."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every image is an anchor once; the last may be smaller."""
        return -(-len(self._training) // self._batch)

    def plan(self, step: int) -> PaperBatch:
        """Return the images of a step's batch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(self._training)
        anchor = order[place * self._batch : (place + 1) * self._batch]
        rng = np.random.default_rng([self._seed, epoch, place + 1])
        near = np.array([rng.choice(self._like(i)) for i in anchor])
        far = np.array([rng.choice(self._unlike(i)) for i in anchor])
        same = rng.random(len(anchor)) < 0.5
        partners: dict[str, tuple[NDArray[np.int64], ...]] = {
            "none": (),
            "pair": (np.where(same, near, far),),
            "triplet": (near, far),
        }
        return PaperBatch(anchor, partners[self._similarity], same)

    def draw(self, step: int) -> list[Crop]:
        """Return a step's images, anchors first, as a feed takes them."""
        batch = self.plan(step)
        every = np.concatenate([batch.anchor, *batch.partners])
        return [Crop(int(i), self._mpp[i]) for i in every]

    def _like(self, anchor: int) -> NDArray[np.int64]:
        same = self.labels[self._training] == self.labels[anchor]
        return np.asarray(self._training[same & (self._training != anchor)])

    def _unlike(self, anchor: int) -> NDArray[np.int64]:
        return np.asarray(self._training[self.labels[self._training] != self.labels[anchor]])
