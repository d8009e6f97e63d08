"""Search a slide for tiles like those in some areas of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import QueryError
from napari_smse.scoring import HeatMap
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.query import make_query
from napari_smse.similarity.tile_outlines import hit_area, middles
from napari_smse.tiles import ScaleTiles

_FIRST_SHARE: Final = 0.02
_FIRST_HITS: Final = 20
_HITS_AN_EXAMPLE: Final = 3


@dataclass(frozen=True)
class QueryTiles:
    """The tiles of one scale that lie in some areas.

    Attributes
    ----------
    rows
        Of the tiles of that scale, ``(n,)``, each once and in order.
    beside
        How many of the areas hold no scored tile.
    """

    rows: NDArray[np.intp]
    beside: int

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.rows)


@dataclass(frozen=True)
class SimilarityResult:
    """How far each tile of a scale is from what is looked for.

    Attributes
    ----------
    tiles
        The tiles of the scale.
    distances
        ``(n,)`` float32, as `Query.distances` says; infinite for what is not meant.
    like, unlike
        The examples.
    """

    tiles: ScaleTiles
    distances: NDArray[np.float32]
    like: QueryTiles
    unlike: QueryTiles

    @cached_property
    def reach(self) -> float:
        """The largest distance that any tile has: a radius beyond it finds nothing more."""
        finite = self.distances[np.isfinite(self.distances)]
        return float(finite.max()) if len(finite) else 0.0

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Rows of all tiles that can be found at all, nearest first, without the examples."""
        others = np.isfinite(self.distances)
        others[self.like.rows] = False
        rows = np.flatnonzero(others)
        return rows[np.argsort(self.distances[rows], kind="stable")]

    @cached_property
    def nearest(self) -> NDArray[np.float32]:
        """Distances of the tiles in `order`."""
        return np.asarray(self.distances[self.order])

    @cached_property
    def first_radius(self) -> float:
        """A radius to begin with.

        It finds about three tiles more for each example, or 20, or one in fifty of all if that
        is more.
        """
        wanted = max(
            _FIRST_HITS, _HITS_AN_EXAMPLE * len(self.like), round(_FIRST_SHARE * len(self.tiles))
        )
        nearest = self.nearest[:wanted]
        return float(nearest[-1]) if len(nearest) else self.reach

    def hits(self, radius: float) -> NDArray[np.bool_]:
        """Return which tiles lie within a radius."""
        return self.distances <= np.float32(radius)

    def area(self, radius: float) -> float:
        """Return what the hits cover, level-0 px²."""
        return hit_area(self.tiles, self.hits(radius))

    def heat_map(self) -> HeatMap:
        """Return the distances as a map: NaN where there is no tile.

        Where tiles overlap, a cell shows the nearest of those that cover it: so the cells within
        a radius are those that its hits cover.
        """
        grid = self.tiles.grid
        reach = int(np.ceil(grid.spec.size_level0 / grid.spec.stride_level0 - 1e-6))
        values = np.full(
            (grid.rows + reach - 1, grid.columns + reach - 1), np.nan, dtype=np.float32
        )
        for down in range(reach):
            for along in range(reach):
                cells = self.tiles.rows + down, self.tiles.columns + along
                values[cells] = np.fmin(values[cells], self.distances)
        return HeatMap(values, grid.area.x, grid.area.y, grid.spec.stride_level0)


def find_similar_tiles(
    tiles: TileTable,
    scale: int,
    like: Sequence[BaseGeometry],
    unlike: Sequence[BaseGeometry],
    model: str,
) -> SimilarityResult:
    """Search a slide for tiles like those in some areas, and unlike those in others.

    Parameters
    ----------
    tiles
        What was scored of the slide.
    scale
        Number of the scale to search.
    like, unlike
        Areas, (x, y) in level-0 px.
    model
        sha256 of the weights that scored the slide.

    Raises
    ------
    QueryError
        There is no area to look for, or no scored tile in any.
    """
    scale_tiles = tiles.scales[scale]
    embeddings = tiles.embeddings[tiles.rows_of(scale)]
    wanted, unwanted = query_tiles(scale_tiles, like), query_tiles(scale_tiles, unlike)
    if like and not len(wanted):
        raise QueryError(
            "There is no scored tissue in what you chose to look for: draw around tissue that the "
            "map covers, or score that part of the slide."
        )
    query = make_query(embeddings[wanted.rows], embeddings[unwanted.rows], model)
    distances = query.distances(embeddings, model)
    # What was shown is known for certain, and need not be judged by what stands for it.
    distances[wanted.rows] = 0
    distances[unwanted.rows] = np.inf
    return SimilarityResult(scale_tiles, distances, wanted, unwanted)


def query_tiles(tiles: ScaleTiles, areas: Sequence[BaseGeometry]) -> QueryTiles:
    """Return the tiles whose middle lies in any of some areas.

    An area that holds no middle, as one that is smaller than a tile, means the tile that it lies
    on: where several overlap, the one whose middle is nearest.

    Parameters
    ----------
    tiles
        The tiles of one scale.
    areas
        (x, y) in level-0 px.
    """
    if not areas:
        return QueryTiles(np.empty(0, dtype=np.intp), 0)
    points = middles(tiles)
    rows, beside = [np.empty(0, dtype=np.intp)], 0
    for area in areas:
        shapely.prepare(area)
        left, top, right, bottom = area.bounds
        near = (points >= (left, top)).all(axis=1) & (points <= (right, bottom)).all(axis=1)
        found = np.flatnonzero(near)
        found = found[shapely.contains_xy(area, points[found])]
        if not len(found):
            found = _tile_under(tiles, points, area)
        rows.append(found)
        beside += not len(found)
    return QueryTiles(np.unique(np.concatenate(rows)), beside)


def _tile_under(
    tiles: ScaleTiles, points: NDArray[np.float64], area: BaseGeometry
) -> NDArray[np.intp]:
    within = area.representative_point()
    off = points - (within.x, within.y)
    inside = (np.abs(off[:, 0]) <= tiles.width / 2) & (np.abs(off[:, 1]) <= tiles.height / 2)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return rows
    return rows[[np.hypot(off[rows, 0], off[rows, 1]).argmin()]]
