"""Tiles of a slide that are like some areas of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import QueryError
from napari_smse.models.card import require_embedding
from napari_smse.scoring import HeatMap
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.region_search import SimilarityResult, find_similar_tiles
from napari_smse.similarity.tile_outlines import hit_regions
from napari_smse.workflows.scored_slide import Run


@dataclass(frozen=True)
class RunSearchResult:
    """What was found, and in what.

    Attributes
    ----------
    run
        The run whose tiles were searched.
    tiles
        All that the run had scored by then.
    mpp
        The scale that was searched.
    found
        The answer.
    distances
        The answer as a map.
    blocks
        How many blocks were scored by then.
    """

    run: Run
    tiles: TileTable
    mpp: float
    found: SimilarityResult
    distances: HeatMap
    blocks: int


@dataclass(frozen=True)
class SearchJob:
    """A run, and what to look for in it.

    Parameters
    ----------
    run
        The run whose tiles are searched.
    mpp
        The scale to search.
    like, unlike
        Areas, (x, y) in level-0 px.
    tiles
        What the run scored, if that was read before and is all there will be.
    seen
        Search only if other blocks than so many are scored.
    """

    run: Run
    mpp: float
    like: Sequence[BaseGeometry]
    unlike: Sequence[BaseGeometry]
    tiles: TileTable | None = None
    seen: int = -1

    def run_search(self) -> RunSearchResult | None:
        """Read what was scored, and search it; None if nothing is new; raises what these raise."""
        require_embedding(self.run.card)
        # Counted before they are read: what comes in between is seen as new the next time.
        blocks = int(self.run.store.blocks_done().sum())
        if blocks == self.seen:
            return None
        tiles = self.run.store.tile_table() if self.tiles is None else self.tiles
        mpps = [one.grid.spec.mpp for one in tiles.scales]
        model = self.run.card.weights_sha256
        found = find_similar_tiles(tiles, mpps.index(self.mpp), self.like, self.unlike, model)
        # Here, as each takes a moment on a large slide.
        _ = found.order, found.reach, found.first_radius
        return RunSearchResult(self.run, tiles, self.mpp, found, found.heat_map(), blocks)


def regions_within(found: SimilarityResult, radius: float, most: int) -> list[Polygon]:
    """Return the regions that the hits cover.

    Raises
    ------
    QueryError
        There are none, or more than a person could look through.
    """
    polygons = hit_regions(found.tiles, found.hits(radius))
    if not polygons:
        raise QueryError("Nothing lies within the radius: make it larger.")
    if len(polygons) > most:
        raise QueryError(
            f"The hits are {len(polygons):,} separate regions, more than anyone could look "
            f"through (at most {most}): change the radius, search a coarser scale, or keep them "
            "as points."
        )
    return polygons
