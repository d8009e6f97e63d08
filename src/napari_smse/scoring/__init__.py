"""Tiles to embeddings and probabilities, stored as they come, shown as heat maps."""

from napari_smse.scoring.block_order import Viewport
from napari_smse.scoring.device import ComputeDevice, choose_device, choose_devices, list_devices
from napari_smse.scoring.engine import score
from napari_smse.scoring.estimate import TimeEstimate, estimate
from napari_smse.scoring.heat_map import HeatMap, HeatMapBuilder, fuse
from napari_smse.scoring.open_run import (
    applies_icc,
    as_scored,
    open_run,
    require_same_slide,
    run_warnings,
    stored_plan,
    tissue_of,
)
from napari_smse.scoring.progress import ScoringProgress, TileScores
from napari_smse.scoring.read_block import read_block
from napari_smse.scoring.request import (
    ScoreRequest,
    describe_scale,
    fused_scales,
    is_trained_scale,
    mask_warnings,
    objective_power,
    parse_scale,
    require_tiles,
    scale_warnings,
)
from napari_smse.scoring.runtimes.selection import describe_runtime, select_runtime
from napari_smse.scoring.score_maps import MULTI_SCALE_MEAN, MapName, ScoreMaps, shown_class
from napari_smse.scoring.store import MASK, REGION, UNSIGNED, ScoreStore
from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.scoring.write_lock import LOCK_NAME, WriteLock, folder_lock, store_lock

__all__ = [
    "LOCK_NAME",
    "MASK",
    "MULTI_SCALE_MEAN",
    "REGION",
    "UNSIGNED",
    "ComputeDevice",
    "HeatMap",
    "HeatMapBuilder",
    "MapName",
    "ScaleScores",
    "ScoreMaps",
    "ScoreRequest",
    "ScoreStore",
    "ScoringProgress",
    "TileScores",
    "TimeEstimate",
    "Viewport",
    "WriteLock",
    "applies_icc",
    "as_scored",
    "choose_device",
    "choose_devices",
    "describe_runtime",
    "describe_scale",
    "estimate",
    "folder_lock",
    "fuse",
    "fused_scales",
    "is_trained_scale",
    "list_devices",
    "mask_warnings",
    "objective_power",
    "open_run",
    "parse_scale",
    "read_block",
    "require_same_slide",
    "require_tiles",
    "run_warnings",
    "scale_warnings",
    "score",
    "select_runtime",
    "shown_class",
    "store_lock",
    "stored_plan",
    "tissue_of",
]
