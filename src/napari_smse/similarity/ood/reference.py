"""What the tiles that a model was trained on look like, kept beside its weights.

What the tiles of a training source look like at a scale is held as a mean and a covariance
(`SourceAppearance`); a tile is as unlike as the Mahalanobis distance to the nearest of these,
over the distance that 95 % of that source's tiles do not exceed, of cases that it was not fitted
on. The embedding is of no use here: blurred, inverted or inked tiles lie among the others
(research/EXPERIMENTS.md). Imports no torch.
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
from napari_smse.checksum import with_checksum, without_checksum
from napari_smse.errors import DamagedModelError, ModelNotFoundError
from napari_smse.models.card import OOD_REFERENCE_SUFFIX, WEIGHTS_SUFFIX
from napari_smse.models.model_files import model_paths
from napari_smse.tiles.appearance import MEASURES

MIN_NEW_TILES: Final = 5
"""So many tiles of a source at a scale are needed to add it to a reference."""

_SHRINKAGE: Final = 0.1
"""Of the correlations, of which a few hundred tiles are a poor estimate."""
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

    def distances(self, appearances: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return Mahalanobis distances of ``(n, k)``, ``(n,)``."""
        offset = np.asarray(appearances, dtype=np.float64) - np.array(self.mean)
        solved = np.linalg.solve(np.array(self.covariance), offset.T).T
        return np.asarray(np.sqrt(np.maximum(0.0, (offset * solved).sum(axis=1))))


class OodReference(BaseModel):
    """What everything looks like that a model was trained on; a tile far from it is out of it.

    Its file calls the appearances looks.

    Attributes
    ----------
    model
        sha256 of its weights.
    appearances
        At least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    model: str
    appearances: Annotated[tuple[SourceAppearance, ...], Field(min_length=1, alias="looks")]

    def ood_scores(
        self, appearances: NDArray[np.floating], mpps: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return how unlike everything known tiles are: above 1, more than 95 % of the known are.

        Parameters
        ----------
        appearances
            ``(n, k)``; where a row is NaN, so is the answer.
        mpps
            ``(n,)`` um/px; each tile is compared with what is known at the nearest scale.
        """
        nearest = self._nearest_scale(mpps)
        found = np.full(len(appearances), np.inf)
        for appearance in self.appearances:
            at_scale = nearest == appearance.mpp
            found[at_scale] = np.minimum(
                found[at_scale], appearance.distances(appearances[at_scale]) / appearance.limit
            )
        found[np.isnan(appearances).any(axis=1)] = np.nan
        return found.astype(np.float32)

    def extended(
        self, sources: Sequence[str], mpps: ArrayLike, appearances: NDArray[np.floating]
    ) -> OodReference:
        """Return the reference with tiles of other sources added, of which there may be few.

        Parameters
        ----------
        sources
            ``(n,)``; of fewer than `MIN_NEW_TILES` tiles at a scale nothing is learnt.
        mpps
            ``(n,)`` um/px.
        appearances
            ``(n, k)``; rows with NaN are left out.
        """
        added = self._learnt(sources, mpps, appearances)
        return self.model_copy(update={"appearances": (*self.appearances, *added)})

    def of_others_alone(
        self, sources: Sequence[str], mpps: ArrayLike, appearances: NDArray[np.floating]
    ) -> OodReference | None:
        """Return the reference of a model that learnt from these few tiles and nothing else.

        Of this reference only the spread within its sources is used, as tiles of any one source
        vary alike. Parameters are those of `extended`; None if there are too few tiles.
        """
        added = self._learnt(sources, mpps, appearances)
        return self.model_copy(update={"appearances": tuple(added)}) if added else None

    def _learnt(
        self, sources: Sequence[str], mpps: ArrayLike, appearances: NDArray[np.floating]
    ) -> list[SourceAppearance]:
        is_measured = np.isfinite(appearances).all(axis=1)
        scale = np.round(np.asarray(mpps, dtype=np.float64), 3)
        source = np.asarray(sources, dtype=str)
        added = []
        kinds = set(zip(source[is_measured].tolist(), scale[is_measured].tolist(), strict=True))
        for name, mpp in sorted(kinds):
            own = is_measured & (source == name) & (scale == mpp)
            if own.sum() >= MIN_NEW_TILES:
                added.append(self._fitted_by_few(name, mpp, appearances[own]))
        return added

    def _fitted_by_few(
        self, source: str, mpp: float, appearances: NDArray[np.floating]
    ) -> SourceAppearance:
        """Return the appearance of few tiles: mean, and covariance shrunk to known sources'.

        It is held at the nearest known scale, where tiles like these are compared; their limit is
        that of the known sources on average, as no case is left to hold out.
        """
        exact = np.asarray(appearances, dtype=np.float64)
        nearest = float(self._nearest_scale(np.array([mpp]))[0])
        at_scale = [appearance for appearance in self.appearances if appearance.mpp == nearest]
        pooled = np.mean([appearance.covariance for appearance in at_scale], axis=0)
        number = len(exact)
        spread = (number - 1) * np.cov(exact.T) + _PRIOR_TILES * pooled
        # A mean of few tiles is itself uncertain.
        covariance = spread / (number - 1 + _PRIOR_TILES) * (1 + 1 / number)
        limit = float(np.mean([appearance.limit for appearance in at_scale]))
        return _source_appearance(source, nearest, exact.mean(axis=0), covariance, limit)

    def _nearest_scale(self, mpps: NDArray[np.floating]) -> NDArray[np.float64]:
        known = np.array(sorted({appearance.mpp for appearance in self.appearances}))
        offset = np.abs(np.log(np.asarray(mpps, dtype=np.float64)[:, None] / known))
        return np.asarray(known[offset.argmin(axis=1)])


def fitted_appearance(
    source: str, mpp: float, appearances: NDArray[np.floating], limit: float = 1.0
) -> SourceAppearance:
    """Return what tiles ``(n, k)`` look like; their correlations are shrunk by a tenth."""
    exact = np.asarray(appearances, dtype=np.float64)
    covariance = np.cov(exact.T)
    own = np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance))
    shrunk = np.atleast_2d((1 - _SHRINKAGE) * covariance + _SHRINKAGE * own)
    return _source_appearance(source, mpp, exact.mean(axis=0), shrunk, limit)


def _source_appearance(
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
        mean=tuple(float(value) for value in mean),
        covariance=tuple(tuple(row) for row in rows),
        limit=limit,
    )


def ood_reference_path(model: str | Path) -> Path:
    """Return where what a model knows lies, beside its weights."""
    weights, _ = model_paths(model)
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + OOD_REFERENCE_SUFFIX)


def save_ood_reference(known: OodReference, path: Path) -> None:
    """Write what a model knows as JSON, whole or not at all."""
    facts = with_checksum(known.model_dump(mode="json", by_alias=True))
    write_atomic(path, (json.dumps(facts) + "\n").encode())


def load_ood_reference(model: str | Path, sha256: str) -> OodReference | None:
    """Return the reference of a model; None if it has none, or its files are gone.

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
    try:
        path = ood_reference_path(model)
    except ModelNotFoundError:
        return None
    if not path.is_file():
        return None
    try:
        known = OodReference.model_validate(_stated(path))
    except (ValueError, RecursionError, OSError) as error:
        raise DamagedModelError(
            f"{path} does not say what the model knows ({_reason(error)}): get it again."
        ) from error
    if known.model != sha256:
        raise DamagedModelError(
            f"{path} is of the model {known.model[:12]}, not of this one ({sha256[:12]}): get both "
            "again."
        )
    return known


def _stated(path: Path) -> dict[str, object]:
    facts = json.loads(path.read_bytes())
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    return without_checksum(facts, path)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"])
    return str(error).splitlines()[0]
