"""Embeddings in two dimensions, to be looked at: principal components, or UMAP.

Principal components come from the eigenvectors of a d x d matrix, for which numpy suffices;
importing scikit-learn for the same takes 2 to 3 s.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError, RequestError
from napari_smse.progress import Progress, Task

_PCA_SAMPLE: Final = 20_000
_UMAP_SAMPLE: Final = 10_000
_UMAP_FEWEST: Final = 10
_UMAP_NEIGHBOURS: Final = 15
_AT_ONCE: Final = 5_000

UMAP_MISSING: Final = (
    'UMAP is not installed: run pip install "napari-smse[umap]" and start napari again'
)

Project = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Gives embeddings, ``(n, d)``, their place in two dimensions, ``(n, 2)``."""


@dataclass(frozen=True)
class Pca:
    """The two directions in which embeddings differ most.

    Attributes
    ----------
    mean
        ``(d,)`` float64.
    axes
        ``(d, 2)`` float64, of length 1; the largest entry of each is positive. Where embeddings
        have fewer dimensions than two, the rest is zero.
    explained
        Share of all variance along each, 0..1.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    explained: tuple[float, float]

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return where embeddings, ``(n, d)``, lie along the two directions, ``(n, 2)``."""
        # The mean is taken off afterwards, so that no second copy of the embeddings is made.
        along = embeddings @ self.axes.astype(np.float32)
        return np.asarray(along - (self.mean @ self.axes).astype(np.float32), dtype=np.float32)


def fit_pca(embeddings: NDArray[np.float32], sample: int = _PCA_SAMPLE) -> Pca:
    """Return the two principal components of embeddings.

    Parameters
    ----------
    embeddings
        ``(n, d)``.
    sample
        So many at most are looked at, evenly spaced.

    Raises
    ------
    QueryError
        There is no embedding.
    """
    if not len(embeddings):
        raise QueryError("There are no scored tiles to lay out: score a slide first.")
    some = embeddings[_evenly(len(embeddings), sample)].astype(np.float64)
    mean = some.mean(axis=0)
    some -= mean
    spread, directions = np.linalg.eigh(some.T @ some / len(some))
    width = embeddings.shape[1]
    axes = np.zeros((width, 2))
    axes[:, : min(2, width)] = directions[:, ::-1][:, :2]
    shares = np.maximum(spread[::-1], 0) / max(float(spread.sum()), np.finfo(np.float64).tiny)
    first, second = (float(share) for share in np.append(shares, 0.0)[:2])
    return Pca(mean, axes * _signs(axes), (first, second))


@dataclass(frozen=True)
class UmapLayout:
    """Where UMAP put embeddings.

    Attributes
    ----------
    points
        ``(n, 2)`` float32.
    project
        Puts others among them.
    """

    points: NDArray[np.float32]
    project: Project


def umap_is_installed() -> bool:
    """Tell whether UMAP can be used, without the seconds that importing it takes."""
    return importlib.util.find_spec("umap") is not None


def umap_layout(
    embeddings: NDArray[np.float32], sample: int = _UMAP_SAMPLE, seed: int = 0
) -> Task[UmapLayout]:
    """Lay out embeddings by UMAP, with progress in embeddings that have their place.

    It learns from some of them, which says nothing until it is done (about 20 s for 10,000), and
    puts the others among these. The same embeddings get the same places.

    Parameters
    ----------
    embeddings
        ``(n, d)``.
    sample
        So many at most are learnt from, evenly spaced.
    seed
        Of what is random.

    Raises
    ------
    RequestError
        umap-learn is not installed.
    QueryError
        There are too few embeddings for it.
    """
    number = len(embeddings)
    if number < _UMAP_FEWEST:
        raise QueryError(
            f"UMAP needs at least {_UMAP_FEWEST} tiles and there are {number}: score more of the "
            "slide, or lay out by principal components."
        )
    yield Progress(0, number)
    reducer = _reducer(min(number, sample), seed)
    fitted = _evenly(number, sample)
    points = np.empty((number, 2), dtype=np.float32)
    points[fitted] = reducer.fit_transform(embeddings[fitted])
    others = np.setdiff1d(np.arange(number), fitted, assume_unique=True)
    yield Progress(len(fitted), number)
    for first in range(0, len(others), _AT_ONCE):
        rows = others[first : first + _AT_ONCE]
        points[rows] = reducer.transform(embeddings[rows])
        yield Progress(len(fitted) + first + len(rows), number)
    return UmapLayout(points, lambda more: np.asarray(reducer.transform(more), dtype=np.float32))


def _reducer(number: int, seed: int) -> Any:
    try:
        umap = importlib.import_module("umap")
    except ImportError as error:
        raise RequestError(f"{UMAP_MISSING}, or lay out by principal components.") from error
    # Random beginnings are for few tiles: the usual one needs more of them than neighbours.
    return umap.UMAP(
        n_components=2,
        n_neighbors=min(_UMAP_NEIGHBOURS, number - 1),
        init="spectral" if number > 4 * _UMAP_NEIGHBOURS else "random",
        random_state=seed,
        n_jobs=1,
    )


def _evenly(number: int, max_count: int) -> NDArray[np.intp]:
    """Rows of at most so many, evenly spaced."""
    if number <= max_count:
        return np.arange(number)
    return np.linspace(0, number - 1, max_count).round().astype(np.intp)


def _signs(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs that make the largest entry of each axis positive, so that no run mirrors another."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    return np.where(largest < 0, -1.0, 1.0)
