"""The scored tiles of one scale, as other programs know them: one grid a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.tiles import ScaleTiles, TileSpec

USUAL_POWERS: Final = (40, 20, 10, 5)
"""Magnifications that other programs know."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredScale:
    """The tiles of one scale that were scored.

    Attributes
    ----------
    tiles
        Where they lie.
    embedding
        ``(n, d)`` float32, as stored.
    table
        Their rows of the results' table.
    """

    tiles: ScaleTiles
    embedding: NDArray[np.float32]
    table: pa.Table

    @property
    def spec(self) -> TileSpec:
        """Size of the tiles, and their scale."""
        return self.tiles.grid.spec

    @property
    def power(self) -> int:
        """Magnification as other programs say it: 10 over the um/px, rounded."""
        return whole_power(self.spec.mpp)

    @property
    def overlap_px(self) -> int:
        """Pixels at the tiles' scale that neighbours share."""
        return round(self.spec.size_px * self.spec.overlap)

    @property
    def corners(self) -> NDArray[np.int64]:
        """Top-left corners ``(n, 2)``: (x, y), level-0 px."""
        return np.stack([self.tiles.x, self.tiles.y], axis=1).astype(np.int64)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middles ``(n, 2)``: (x, y), level-0 px."""
        sides = np.stack([self.tiles.width, self.tiles.height], axis=1)
        return np.asarray(self.corners + sides / 2, dtype=np.float64)


def whole_power(mpp: float) -> int:
    """Return the magnification that is nearest to a scale, 1 or more."""
    return max(1, round(10 / mpp))


def scored_scales(run: ResultFolder) -> list[ScoredScale]:
    """Return the scored tiles of each scale, fine to coarse; raises as `ResultFolder` does."""
    first, found = 0, []
    for one in run.scales:
        scored = np.flatnonzero(np.isfinite(one.probability[:, 0]))
        found.append(
            ScoredScale(
                one.tiles.take(scored),
                one.embedding[scored].astype(np.float32),
                run.table.take(first + scored),
            )
        )
        first += len(one.tiles)
    return found


def require_features(run: ResultFolder, scales: Sequence[ScoredScale]) -> None:
    """Refuse scores by a model that says what a tile is, and not what it looks like.

    Raises
    ------
    OutputError
        The scores hold no embeddings.
    """
    if any(scale.embedding.shape[1] < 2 for scale in scales):
        raise OutputError(
            f"{run.folder} was scored by {run.record.model.name}, which gives no embeddings: score "
            "the slide by another model, or by an encoder, to export features."
        )


def scale_names(scales: Sequence[ScoredScale]) -> list[str]:
    """Name each scale by its magnification, with its um/px where two have the same."""
    powers = [f"{scale.power}x" for scale in scales]
    return [
        power if powers.count(power) == 1 else f"{power}_{scale.spec.mpp:g}mpp"
        for power, scale in zip(powers, scales, strict=True)
    ]


def scale_folders(scales: Sequence[ScoredScale]) -> list[str]:
    """Name the folder of each scale: magnification, size of a tile and overlap."""
    return [
        f"{name}_{scale.spec.size_px}px_{scale.overlap_px}px_overlap"
        for name, scale in zip(scale_names(scales), scales, strict=True)
    ]


def warn_of_power(scale: ScoredScale) -> None:
    """Warn of a magnification that no objective has."""
    if scale.power not in USUAL_POWERS:
        usual = ", ".join(f"{power}x" for power in USUAL_POWERS)
        logger.warning(
            "%g µm/px is called %dx in the export; other programs may know %s only.",
            scale.spec.mpp,
            scale.power,
            usual,
        )
