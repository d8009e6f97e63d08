"""Results of slides made up for the tests, of any classes, scales and places."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_smse.results import (
    ModelRecord,
    RunRecord,
    ScaleRecord,
    SlideRecord,
    TileRows,
    tile_table,
    write_parquet,
    write_run_json,
)
from napari_smse.results.exchange import ResultFolder
from napari_smse.scoring import ScaleScores, ScoreStore
from napari_smse.scoring.calls import CallRule
from napari_smse.slides import Region
from napari_smse.tiles import (
    Ground,
    ReadBlock,
    ScaleTiles,
    TileGrid,
    TilePlan,
    TileSpec,
    TissueMask,
)

AREA = Region(96, 32, 3000, 2000)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def write_results(
    folder: Path,
    *,
    classes: Sequence[str] = ("benign", "malignant"),
    mpps: Sequence[float] = (0.5, 1.0),
    slide_mpp: float = 0.25,
    overlap: float = 0.0,
    area: Region = AREA,
    tissue: float = 0.6,
    slide: Path = Path("/slides/one.svs"),
) -> ResultFolder:
    """Write results of tiles of 50 px, on so much of the area, that were scored at random."""
    rng = np.random.default_rng(0)
    scales = [
        _scored(TileGrid(TileSpec(50, mpp, slide_mpp, overlap), area), len(classes), tissue, rng)
        for mpp in mpps
    ]
    folder.mkdir(parents=True, exist_ok=True)
    store = _store(folder / "scores.zarr", scales, classes, area)
    rule = CallRule(tuple(classes))
    rows = [
        TileRows(
            one.mpp,
            np.column_stack([one.tiles.x, one.tiles.y, one.tiles.width, one.tiles.height]),
            one.tiles.tissue,
            one.probability,
            calls=rule.named(rule.call(one.probability)),
            model="d 1",
        )
        for one in scales
    ]
    write_parquet(tile_table(rows, classes), folder / "tiles.parquet")
    write_run_json(folder / "run.json", _record(slide, store, scales, classes, slide_mpp, area))
    return ResultFolder.open(folder)


def _scored(grid: TileGrid, classes: int, tissue: float, rng: np.random.Generator) -> ScaleScores:
    rows, columns = np.nonzero(rng.random((grid.rows, grid.columns)) < tissue)
    count = len(rows)
    tiles = ScaleTiles(
        grid, columns.astype(np.int32), rows.astype(np.int32), rng.random(count).astype(np.float32)
    )
    probability = rng.dirichlet(np.ones(classes), count).astype(np.float32)
    return ScaleScores(tiles, probability, rng.random((count, 3)).astype(np.float16))


def _store(
    path: Path, scales: Sequence[ScaleScores], classes: Sequence[str], area: Region
) -> ScoreStore:
    blocks = tuple(
        ReadBlock(area, one.mpp, ((number, 0, len(one.tiles)),))
        for number, one in enumerate(scales)
    )
    mask = TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), area)
    plan = TilePlan(tuple(one.tiles for one in scales), blocks, mask)
    facts = {
        "slide": {"quick_hash": "a", "name": "one", "mpp": scales[0].tiles.grid.spec.slide_mpp},
        "model": {"hash": "c", "name": "d", "classes": list(classes)},
    }
    store = ScoreStore.create(path, plan, classes, 3, facts)
    for number, one in enumerate(scales):
        looks = np.zeros(store.appearance(number).shape, np.float32)
        store.write_rows(number, 0, one.probability, one.embedding, looks)
    store.mark_done(range(len(blocks)))
    store.finish(seconds=1.0)
    return store


def _record(
    slide: Path,
    store: ScoreStore,
    scales: Sequence[ScaleScores],
    classes: Sequence[str],
    slide_mpp: float,
    area: Region,
) -> RunRecord:
    return RunRecord(
        slide=SlideRecord(
            path=str(slide),
            quick_hash="a",
            backend="openslide",
            width=area.x + area.width,
            height=area.y + area.height,
            mpp=slide_mpp,
            mpp_source="file",
        ),
        model=ModelRecord(name="d", version="1", weights_sha256="e" * 64, classes=tuple(classes)),
        scales=tuple(
            ScaleRecord(
                mpp=one.mpp,
                tile_px=one.tiles.grid.spec.size_px,
                stride_px=one.tiles.grid.spec.size_px * (1 - one.tiles.grid.spec.overlap),
                tiles=len(one.tiles),
                scored=len(one.tiles),
            )
            for one in scales
        ),
        device="CPU",
        precision="float32",
        started=NOW,
        finished=NOW,
        seconds=1.0,
    )
