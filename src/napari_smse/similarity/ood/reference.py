"""What the tiles that a model was trained on look like, kept beside its weights.

What the tiles of a training source look like at a scale is held as a mean and a covariance
(`SourceAppearance`); a tile is as unlike as the Mahalanobis distance to the nearest of these,
over the distance that 95 % of that source's tiles do not exceed, of cases that it was not fitted
on. The embedding is of no use here: blurred, inverted or inked tiles lie among the others
(docs/experiments.md). Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import DamagedModelError
from napari_smse.models.card import OOD_REFERENCE_SUFFIX, WEIGHTS_SUFFIX, model_paths
from napari_smse.similarity.ood.appearance import MEASURES

FEWEST_LEARNT: Final = 5
"""So many tiles of a source at a scale make its look known."""

_SHRINKAGE: Final = 0.1
"""Of the correlations, which a few hundred tiles tell badly."""
_PRIOR_TILES: Final = 30
"""As many tiles the spread within known sources counts for, where a source has few of its own."""

Positive = Annotated[float, Field(gt=0)]


class SourceAppearance(BaseModel):
    """What tiles of one source look like at one scale.

    Attributes
    ----------
    source
        Its name.
    mpp
        um/px.
    mean, covariance
        Of `appearance.MEASURES`.
    limit
        The Mahalanobis distance that 95 % of tiles of cases held out do not exceed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    mpp: Positive
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limit: Positive

    @model_validator(mode="after")
    def _whole(self) -> SourceAppearance:
        if {len(self.mean), len(self.covariance), *map(len, self.covariance)} != {len(MEASURES)}:
            raise ValueError("other measures than this version takes")
        return self

    def distances(self, looks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return Mahalanobis distances of ``(n, k)``, ``(n,)``."""
        away = np.asarray(looks, dtype=np.float64) - np.array(self.mean)
        solved = np.linalg.solve(np.array(self.covariance), away.T).T
        return np.asarray(np.sqrt(np.maximum(0.0, (away * solved).sum(axis=1))))


class OodReference(BaseModel):
    """What everything looks like that a model was trained on.

    Attributes
    ----------
    model
        sha256 of its weights.
    looks
        At least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    looks: tuple[SourceAppearance, ...] = Field(min_length=1)

    def unlike(
        self, looks: NDArray[np.floating], mpps: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return how unlike everything known tiles are: above 1, more than 95 % of the known are.

        Parameters
        ----------
        looks
            ``(n, k)``; where a row is NaN, so is the answer.
        mpps
            ``(n,)`` um/px; each tile is compared with what is known at the nearest scale.
        """
        nearest = self._nearest_scale(mpps)
        found = np.full(len(looks), np.inf)
        for one in self.looks:
            here = nearest == one.mpp
            found[here] = np.minimum(found[here], one.distances(looks[here]) / one.limit)
        found[np.isnan(looks).any(axis=1)] = np.nan
        return found.astype(np.float32)

    def learning(
        self, sources: Sequence[str], mpps: ArrayLike, looks: NDArray[np.floating]
    ) -> OodReference:
        """Return what is known with tiles of other sources besides, of which there may be few.

        Parameters
        ----------
        sources
            ``(n,)``; of fewer than `FEWEST_LEARNT` tiles at a scale nothing is learnt.
        mpps
            ``(n,)`` um/px.
        looks
            ``(n, k)``; rows with NaN are left out.
        """
        told = np.isfinite(looks).all(axis=1)
        scale = np.round(np.asarray(mpps, dtype=np.float64), 3)
        source = np.asarray(sources, dtype=str)
        learnt = []
        for one, mpp in sorted(set(zip(source[told].tolist(), scale[told].tolist(), strict=True))):
            own = told & (source == one) & (scale == mpp)
            if own.sum() >= FEWEST_LEARNT:
                learnt.append(self._learnt_look(one, mpp, looks[own]))
        return self.model_copy(update={"looks": (*self.looks, *learnt)})

    def _learnt_look(
        self, source: str, mpp: float, looks: NDArray[np.floating]
    ) -> SourceAppearance:
        """Return the look of few tiles: their mean, and a spread that leans on the known sources'.

        It is told at the nearest known scale, where tiles like these are compared; their limit is
        that of the known sources on average, as no case is left to hold out.
        """
        exact = np.asarray(looks, dtype=np.float64)
        nearest = float(self._nearest_scale(np.array([mpp]))[0])
        like = [one for one in self.looks if one.mpp == nearest]
        pooled = np.mean([one.covariance for one in like], axis=0)
        number = len(exact)
        spread = (number - 1) * np.cov(exact.T) + _PRIOR_TILES * pooled
        # A mean of few tiles is itself uncertain.
        covariance = spread / (number - 1 + _PRIOR_TILES) * (1 + 1 / number)
        limit = float(np.mean([one.limit for one in like]))
        return _look(source, nearest, exact.mean(axis=0), covariance, limit)

    def _nearest_scale(self, mpps: NDArray[np.floating]) -> NDArray[np.float64]:
        known = np.array(sorted({one.mpp for one in self.looks}))
        away = np.abs(np.log(np.asarray(mpps, dtype=np.float64)[:, None] / known))
        return np.asarray(known[away.argmin(axis=1)])


def fitted_appearance(
    source: str, mpp: float, looks: NDArray[np.floating], limit: float = 1.0
) -> SourceAppearance:
    """Return what tiles ``(n, k)`` look like; their correlations are shrunk by a tenth."""
    exact = np.asarray(looks, dtype=np.float64)
    covariance = np.cov(exact.T)
    own = np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance))
    shrunk = np.atleast_2d((1 - _SHRINKAGE) * covariance + _SHRINKAGE * own)
    return _look(source, mpp, exact.mean(axis=0), shrunk, limit)


def _look(
    source: str,
    mpp: float,
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    limit: float,
) -> SourceAppearance:
    rows: list[list[float]] = covariance.tolist()
    return SourceAppearance(
        source=source,
        mpp=mpp,
        mean=tuple(float(one) for one in mean),
        covariance=tuple(tuple(row) for row in rows),
        limit=limit,
    )


def ood_reference_path(model: str | Path) -> Path:
    """Return where what a model knows lies, beside its weights."""
    weights, _ = model_paths(model)
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + OOD_REFERENCE_SUFFIX)


def save_ood_reference(known: OodReference, path: Path) -> None:
    """Write what a model knows as JSON, whole or not at all."""
    write_atomic(path, (known.model_dump_json() + "\n").encode())


def load_ood_reference(model: str | Path, sha256: str) -> OodReference | None:
    """Return what a model knows; None if its files do not say.

    Parameters
    ----------
    model
        ``bundled`` or a path.
    sha256
        Of its weights.

    Raises
    ------
    DamagedModelError
        The file is damaged, or of another model.
    """
    path = ood_reference_path(model)
    if not path.is_file():
        return None
    try:
        known = OodReference.model_validate(json.loads(path.read_bytes()))
    except (ValidationError, ValueError, OSError) as error:
        raise DamagedModelError(
            f"{path} does not say what the model knows ({_reason(error)}): get it again."
        ) from error
    if known.model != sha256:
        raise DamagedModelError(
            f"{path} is of the model {known.model[:12]}, not of this one ({sha256[:12]}): get both "
            "again."
        )
    return known


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"])
    return str(error).splitlines()[0]
