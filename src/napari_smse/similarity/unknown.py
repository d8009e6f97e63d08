"""Which tiles look unlike everything a model was trained on, whatever it calls them.

What the tiles of a training source look like at a scale is held as a mean and a covariance
(`KnownLook`); a tile is as unlike as the Mahalanobis distance to the nearest of these, over the
distance that 95 % of that source's tiles do not exceed, of cases that it was not fitted on. The
embedding is of no use here: blurred, inverted or inked tiles lie among the others
(docs/experiments.md).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_smse.errors import BankError
from napari_smse.network.card import LOOKS_SUFFIX, WEIGHTS_SUFFIX, model_paths
from napari_smse.network.whole_blob import write_whole
from napari_smse.scoring import ScoreStore, read_block
from napari_smse.similarity.appearance import MEASURES, appearances_of
from napari_smse.similarity.slide_tiles import SlideTiles
from napari_smse.slides import Slide
from napari_smse.tiles import ReadBlock, TilePlan

_SHRINKAGE: Final = 0.1
"""Of the correlations, which a few hundred tiles tell badly."""

Positive = Annotated[float, Field(gt=0)]


class KnownLook(BaseModel):
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
    def _whole(self) -> KnownLook:
        if {len(self.mean), len(self.covariance), *map(len, self.covariance)} != {len(MEASURES)}:
            raise ValueError("other measures than this version takes")
        return self

    def distances(self, looks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return Mahalanobis distances of ``(n, k)``, ``(n,)``."""
        away = np.asarray(looks, dtype=np.float64) - np.array(self.mean)
        solved = np.linalg.solve(np.array(self.covariance), away.T).T
        return np.asarray(np.sqrt(np.maximum(0.0, (away * solved).sum(axis=1))))


class KnownLooks(BaseModel):
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
    looks: tuple[KnownLook, ...] = Field(min_length=1)

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
        known = np.array(sorted({one.mpp for one in self.looks}))
        away = np.abs(np.log(np.asarray(mpps, dtype=np.float64)[:, None] / known))
        nearest = known[away.argmin(axis=1)]
        found = np.full(len(looks), np.inf)
        for one in self.looks:
            here = nearest == one.mpp
            found[here] = np.minimum(found[here], one.distances(looks[here]) / one.limit)
        found[np.isnan(looks).any(axis=1)] = np.nan
        return found.astype(np.float32)


def fitted_look(
    source: str, mpp: float, looks: NDArray[np.floating], limit: float = 1.0
) -> KnownLook:
    """Return what tiles ``(n, k)`` look like; their correlations are shrunk by a tenth."""
    exact = np.asarray(looks, dtype=np.float64)
    covariance = np.cov(exact.T)
    own = np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance))
    shrunk = np.atleast_2d((1 - _SHRINKAGE) * covariance + _SHRINKAGE * own)
    rows: list[list[float]] = shrunk.tolist()
    return KnownLook(
        source=source,
        mpp=mpp,
        mean=tuple(float(one) for one in exact.mean(axis=0)),
        covariance=tuple(tuple(row) for row in rows),
        limit=limit,
    )


def looks_path(model: str | Path) -> Path:
    """Return where what a model knows lies, beside its weights."""
    weights, _ = model_paths(model)
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + LOOKS_SUFFIX)


def save_looks(known: KnownLooks, path: Path) -> None:
    """Write what a model knows as JSON, whole or not at all."""
    write_whole(path, (known.model_dump_json() + "\n").encode())


def load_looks(model: str | Path, sha256: str) -> KnownLooks | None:
    """Return what a model knows; None if its files do not say.

    Parameters
    ----------
    model
        ``bundled`` or a path.
    sha256
        Of its weights.

    Raises
    ------
    BankError
        The file is damaged, or of another model.
    """
    path = looks_path(model)
    if not path.is_file():
        return None
    try:
        known = KnownLooks.model_validate(json.loads(path.read_bytes()))
    except (ValidationError, ValueError, OSError) as error:
        raise BankError(
            f"{path} does not say what the model knows ({_reason(error)}): get it again."
        ) from error
    if known.model != sha256:
        raise BankError(
            f"{path} is of the model {known.model[:12]}, not of this one ({sha256[:12]}): get both "
            "again."
        )
    return known


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"])
    return str(error).splitlines()[0]


Looks = list[NDArray[np.float32]]
"""What the tiles of a plan look like: for each scale ``(n, k)``; NaN where that is not known."""


def no_looks(plan: TilePlan) -> Looks:
    """Return what is known before any tile was read."""
    return [np.full((len(one), len(MEASURES)), np.nan, np.float32) for one in plan.scales]


def read_looks(
    slide: Slide, plan: TilePlan, store: ScoreStore, looks: Looks
) -> Generator[float, None, None]:
    """Read what the scored tiles of a slide look like, yielding the share that is done.

    Parameters
    ----------
    slide, plan, store
        Of a run; blocks that it has not scored are left out.
    looks
        Filled in; what is there is not read again.

    Raises
    ------
    DamagedSlideError
        The slide cannot be read.
    """
    done = np.flatnonzero(store.blocks_done()).tolist()
    todo = [number for number in done if not _is_known(looks, plan.blocks[number])]
    for count, number in enumerate(todo, start=1):
        block = plan.blocks[number]
        _put(looks, block.members, appearances_of(read_block(slide, plan, block)))
        yield count / len(todo)


def unlike_tiles(
    tiles: SlideTiles, plan: TilePlan, looks: Looks, known: KnownLooks
) -> NDArray[np.float32]:
    """Return how unlike everything known the scored tiles of a slide are, ``(n,)``.

    Parameters
    ----------
    tiles, plan, looks
        The tiles, the plan they are of, and what that plan's tiles look like.
    known
        By the model.
    """
    index = tiles.index_in(plan.scales)
    of_scales = [all_of[own] for all_of, own in zip(looks, index, strict=True)]
    return known.unlike(np.concatenate(of_scales), tiles.mpps)


def _is_known(looks: Looks, block: ReadBlock) -> bool:
    return not any(
        np.isnan(looks[scale][start:stop, 0]).any() for scale, start, stop in block.members
    )


def _put(
    found: Sequence[NDArray[np.float32]],
    members: Sequence[tuple[int, int, int]],
    looks: NDArray[np.float32],
) -> None:
    row = 0
    for scale, start, stop in members:
        found[scale][start:stop] = looks[row : row + stop - start]
        row += stop - start
