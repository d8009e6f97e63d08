"""Appearance of the tiles that a network learns from: its out-of-distribution reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.crops import evaluation_crops, evaluation_scales
from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.pixels import read_pixels
from napari_smse.errors import DataError
from napari_smse.progress import Progress, Task
from napari_smse.similarity.ood.reference import OodReference, SourceAppearance, fitted_appearance
from napari_smse.tiles.appearance import MEASURES, appearance_features
from napari_smse.training.exemplar_selection import by_turns

MAX_IMAGES: Final = 25
"""Of a class of a source at the same scales; more add little where a reference is there."""

MIN_TILES: Final = 4 * len(MEASURES)
"""So many tiles of other cases must be left to fit on where nothing is known yet: of fewer, a
covariance of so many measures is worth nothing, and neither is a limit by it."""

_FOLDS: Final = 5
_SHARE: Final = 0.95


@dataclass(frozen=True)
class TileAppearances:
    """Appearance features of tiles.

    Attributes
    ----------
    appearances
        ``(n, k)``, see `napari_smse.tiles.appearance`.
    sources, cases
        ``(n,)``, of each tile.
    mpps
        ``(n,)`` um/px.
    """

    appearances: NDArray[np.float32]
    sources: NDArray[np.str_]
    cases: NDArray[np.str_]
    mpps: NDArray[np.float64]

    def added_to(self, known: OodReference) -> OodReference:
        """Return what is known with these tiles besides."""
        return known.extended(self.sources.tolist(), self.mpps, self.appearances)

    def alone(self, spread: OodReference) -> OodReference | None:
        """Return what is known of these tiles alone, with the spread within known sources.

        None if there are too few of every source, see `OodReference.of_others_alone`.
        """
        return spread.of_others_alone(self.sources.tolist(), self.mpps, self.appearances)


def read_tile_appearances(
    images: Sequence[LabelledImage],
    tile_px: int = 224,
    max_images: int = MAX_IMAGES,
    *,
    known: Mapping[LabelledImage, NDArray[np.float32]] | None = None,
    skip: Callable[[DataError], None] | None = None,
) -> Task[TileAppearances]:
    """Read what the tiles of some images look like, with progress in images.

    Parameters
    ----------
    images
        Some of them are read, see `sample_images`.
    tile_px
        Side of the tiles.
    max_images
        Images of a kind.
    known
        What some images look like, ``(k,)``, each of one tile; these are not read.
    skip
        Hears why an image is left out; without it, that is an error.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    chosen, known = sample_images(images, max_images), known or {}
    appearances: list[NDArray[np.float32]] = []
    rows: list[tuple[str, str, float]] = []
    for done, image in enumerate(chosen, start=1):
        try:
            found = (
                [(known[image], image.mpp_range[0])] if image in known else _read(image, tile_px)
            )
        except DataError as error:
            if skip is None:
                raise
            skip(error)
            found = []
        appearances += [appearance for appearance, _ in found]
        rows += [(image.source, image.case, round(mpp, 3)) for _, mpp in found]
        yield Progress(done, len(chosen))
    return TileAppearances(
        np.stack(appearances) if appearances else np.empty((0, len(MEASURES)), np.float32),
        np.array([source for source, _, _ in rows], dtype=str),
        np.array([case for _, case, _ in rows], dtype=str),
        np.array([mpp for _, _, mpp in rows], dtype=np.float64),
    )


def sample_images(
    images: Sequence[LabelledImage], max_images: int = MAX_IMAGES, seed: int = 0
) -> list[LabelledImage]:
    """Return up to so many of every class of every source at the same scales, cases by turns."""
    kinds: dict[tuple[str, int, tuple[float, ...]], dict[str, list[int]]]
    kinds = defaultdict(lambda: defaultdict(list))
    for number, image in enumerate(images):
        kind = image.source, image.label, evaluation_scales(image.mpp_range)
        kinds[kind][image.case].append(number)
    rng = np.random.default_rng(seed)
    chosen = [
        number
        for cases in kinds.values()
        for number in by_turns(list(cases.values()), max_images, rng)
    ]
    return [images[number] for number in sorted(chosen)]


def fitted_ood_reference(tiles: TileAppearances) -> Iterator[SourceAppearance]:
    """Yield the look of each source at each scale; its limit is that of cases held out in turn.

    A source is left out where its limit cannot be told: fewer than `MIN_TILES` tiles of other
    cases are left for most of its tiles.
    """
    for source in np.unique(tiles.sources):
        for mpp in np.unique(tiles.mpps[tiles.sources == source]):
            own = (tiles.sources == source) & (tiles.mpps == mpp)
            limit = _held_out_limit(tiles.appearances[own], tiles.cases[own])
            if limit is not None:
                yield fitted_appearance(str(source), float(mpp), tiles.appearances[own], limit)


def folds_of(cases: NDArray[np.str_], seed: int = 0) -> list[NDArray[np.bool_]]:
    """Return which tiles ``(n,)`` are held out in each fold of cases."""
    names = np.random.default_rng(seed).permutation(np.unique(cases))
    parts = np.array_split(names, min(_FOLDS, len(names)))
    return [np.isin(cases, part) for part in parts]


def _held_out_limit(appearances: NDArray[np.float32], cases: NDArray[np.str_]) -> float | None:
    folds = [out for out in folds_of(cases) if (~out).sum() >= MIN_TILES]
    if sum(out.sum() for out in folds) <= len(cases) / 2:
        return None
    distances = [
        fitted_appearance("", 1.0, appearances[~out]).distances(appearances[out]) for out in folds
    ]
    return float(np.quantile(np.concatenate(distances), _SHARE))


def _read(image: LabelledImage, tile_px: int) -> list[tuple[NDArray[np.float32], float]]:
    views = evaluation_crops(read_pixels(image), image, tile_px)
    return [(appearance_features(view.tile[None])[0], view.mpp) for view in views]
