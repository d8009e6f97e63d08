"""Tissue, tiles at a physical scale, and planned reads."""

from napari_smse.tiles.brightfield import is_brightfield, require_brightfield
from napari_smse.tiles.grid import TileGrid
from napari_smse.tiles.plan import TilePlan, plan_reads, plan_tiles
from napari_smse.tiles.roi import tiles_in_region
from napari_smse.tiles.scale_tiles import PlacedTiles, ReadBlock, ScaleTiles
from napari_smse.tiles.spec import TileSpec
from napari_smse.tiles.tissue import classify_ground, find_tissue
from napari_smse.tiles.tissue_mask import ARTEFACTS, Ground, TissueMask

__all__ = [
    "ARTEFACTS",
    "Ground",
    "PlacedTiles",
    "ReadBlock",
    "ScaleTiles",
    "TileGrid",
    "TilePlan",
    "TileSpec",
    "TissueMask",
    "classify_ground",
    "find_tissue",
    "is_brightfield",
    "plan_reads",
    "plan_tiles",
    "require_brightfield",
    "tiles_in_region",
]
