"""Everything a scored slide leaves behind, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.atomic_write import output_error
from napari_smse.errors import OutputError
from napari_smse.models.card import ModelCard
from napari_smse.palette import MapColours, map_colours
from napari_smse.results.folder import RECORD_NAME, STORE_NAME, remove_results
from napari_smse.results.picture import MapPanel, write_heat_map_picture
from napari_smse.results.qupath_tiles import write_qupath_tiles
from napari_smse.results.run_record import (
    CLASS_HEAD,
    ModelRecord,
    RunRecord,
    ScaleRecord,
    SlideRecord,
    write_run_json,
)
from napari_smse.results.tables import TileRows, tile_table, write_csv, write_parquet
from napari_smse.scoring import (
    MULTI_SCALE_MEAN,
    HeatMap,
    ScaleScores,
    ScoreStore,
    describe_scale,
    fused_scales,
    is_trained_scale,
    shown_class,
)
from napari_smse.scoring.calls import OOD_LIMIT, CallRule
from napari_smse.scoring.map_raster import MapRaster
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.ood.reference import OodReference
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.tiles import ScaleTiles, TissueMask, find_tissue

_THUMBNAIL_SIDE = 1600
_OUTSIDE = ": outside the model's magnifications"
_MOSTLY = 0.5
"""Share of the tiles over a place that must be out of distribution for it to be hatched."""


@dataclass(frozen=True)
class RunContext:
    """The context of a result, besides the scores: model, device, warnings.

    Parameters
    ----------
    card
        The model's card.
    device
        Name of the device, as shown to the user.
    warnings
        Warnings for a reader of the results, one line each.
    classifier
        Classifier that gives the probabilities from the model's embeddings.
    reference
        What the model's training tiles look like; None if that is not known.
    """

    card: ModelCard
    device: str
    warnings: Sequence[str] = ()
    classifier: str = CLASS_HEAD
    reference: OodReference | None = None

    @property
    def model(self) -> str:
        """Name and version of the model, and what gave the probabilities if not its class head."""
        by = "" if self.classifier == CLASS_HEAD else f", by {self.classifier}"
        return f"{self.card.label}{by}"

    @property
    def rule(self) -> CallRule:
        """How tiles are called; the card's undecided band is of the model's own class head."""
        if self.classifier == CLASS_HEAD:
            return CallRule.from_card(self.card)
        return CallRule(self.card.classes)

    def ood_scores(self, appearance: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
        """Return how far tiles ``(n, k)`` are out of distribution, ``(n,)``; NaN if unknown."""
        if self.reference is None:
            return np.full(len(appearance), np.nan, dtype=np.float32)
        return self.reference.ood_scores(appearance, np.full(len(appearance), mpp))

    def rows(
        self,
        tiles: ScaleTiles,
        probability: NDArray[np.float32],
        appearance: NDArray[np.float32],
    ) -> TileRows:
        """Return the rows of a tile table for tiles of one scale, with what is called of them.

        Parameters
        ----------
        tiles
            Where they lie.
        probability
            ``(n, classes)``; NaN for a tile that was not scored.
        appearance
            ``(n, k)``, see `tiles.appearance`.
        """
        mpp, rule = tiles.grid.spec.mpp, self.rule
        ood = self.ood_scores(appearance, mpp)
        calls = rule.call(probability, ood, in_range=is_trained_scale(mpp, self.card))
        regions = np.column_stack([tiles.x, tiles.y, tiles.width, tiles.height])
        named = rule.named(calls)
        return TileRows(mpp, regions, tiles.tissue, probability, ood, named, self.model)


def save_results(
    folder: Path, slide: Slide, store: ScoreStore, context: RunContext, *, geojson: bool = False
) -> None:
    """Write tables, heat-map picture, run record and store of a scored slide.

    `run.json` is written last: a folder that has it is whole.

    Parameters
    ----------
    folder
        Folder to write to; the store is copied there unless it lies there already.
    slide, store
        The slide and its scores, to the end or to the end of the time there was.
    context
        Model, device, warnings.
    geojson
        Also write the tiles for QuPath.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the run did not come to its end.
    ChangedSlideError
        If the file is another one than was opened; there is no run record then.
    """
    if not store.finished:
        raise OutputError(
            f"The scores of {slide.path.name} are not complete: run to the end before saving."
        )
    slide.require_unchanged(content=True)
    _bring_store(store, folder)
    scales = [store.scale(number) for number in range(store.scale_count)]
    rows = [context.rows(one.tiles, one.probability, one.appearance) for one in scales]
    table = tile_table(rows, store.classes)
    write_parquet(table, folder / "tiles.parquet")
    write_csv(table, folder / "tiles.csv")
    if geojson:
        write_qupath_tiles(
            folder / "tiles.geojson",
            table,
            store.classes,
            bounds_origin=(slide.bounds.x, slide.bounds.y),
            colours=context.card.class_colours,
        )
    _write_picture(folder / "heatmap.png", slide, store, scales, context)
    slide.require_unchanged(content=True)
    write_run_json(folder / RECORD_NAME, _record(slide, store, scales, context))


def _bring_store(store: ScoreStore, folder: Path) -> None:
    target = folder / STORE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD_NAME).unlink(missing_ok=True)
        if target.resolve() == store.path.resolve():
            return
        remove_results(folder)
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(store.path, part)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except OSError as error:
        raise output_error(target, error) from error


def _write_picture(
    path: Path,
    slide: Slide,
    store: ScoreStore,
    scales: Sequence[ScaleScores],
    context: RunContext,
) -> None:
    shown = shown_class(store.classes)
    number, mask = store.classes.index(shown), find_tissue(slide)
    given, band = context.card.class_colours, context.rule.band_of(shown)
    colours = map_colours(store.classes, shown, given, band)
    panels = []
    for scores in scales:
        trained = is_trained_scale(scores.mpp, context.card)
        title = f"P({shown}) at {describe_scale(scores.mpp)}{'' if trained else _OUTSIDE}"
        unlike = context.ood_scores(scores.appearance, scores.mpp) > OOD_LIMIT
        unlike_map = scores.map_of(np.where(unlike, 1.0, 0.0))
        panels.append(_panel(title, scores.heat_map(number), unlike_map, slide, mask, colours))
    if len(scales) > 1:
        mpps = [scores.mpp for scores in scales]
        fused = store.fused(number, fused_scales(mpps, context.card))
        title = f"P({shown}), {_mean_title(mpps, context.card)}"
        panels.append(_panel(title, fused, None, slide, mask, colours))
    write_heat_map_picture(
        path,
        _thumbnail(slide),
        panels,
        extent=(0, slide.width * slide.mpp, slide.height * slide.mpp, 0),
        caption=_caption(slide, context),
    )


def _caption(slide: Slide, context: RunContext) -> str:
    return f"{path_text(slide.path.name)}, model {context.model}"


def _mean_title(mpps: Sequence[float], card: ModelCard) -> str:
    trained_count = sum(is_trained_scale(mpp, card) for mpp in mpps)
    if not trained_count:
        return MULTI_SCALE_MEAN + _OUTSIDE
    return MULTI_SCALE_MEAN + ("" if trained_count == len(mpps) else " of the trained scales")


def _thumbnail(slide: Slide) -> NDArray[np.uint8]:
    return slide.thumbnail(_THUMBNAIL_SIDE)


def _panel(
    title: str,
    heat_map: HeatMap,
    unlike: HeatMap | None,
    slide: Slide,
    mask: TissueMask,
    colours: MapColours,
) -> MapPanel:
    rows, columns = heat_map.values.shape
    left, top = heat_map.x * slide.mpp, heat_map.y * slide.mpp
    cell = heat_map.cell * slide.mpp
    extent = (left, left + columns * cell, top + rows * cell, top)
    raster = MapRaster(heat_map, mask)
    hatched = None if unlike is None else raster.draw(unlike) >= _MOSTLY
    return MapPanel(title, raster.draw(heat_map), extent, colours, hatched)


def _record(
    slide: Slide, store: ScoreStore, scales: Sequence[ScaleScores], context: RunContext
) -> RunRecord:
    facts, card = store.facts, context.card
    return RunRecord(
        slide=SlideRecord(
            path=path_text(slide.path),
            quick_hash=slide.quick_hash,
            backend=slide.backend_name,
            width=slide.width,
            height=slide.height,
            mpp=slide.mpp,
            mpp_source=str(slide.scale.source),
            objective_power=slide.objective_power,
        ),
        model=ModelRecord(
            name=card.name,
            version=card.version,
            weights_sha256=card.weights_sha256,
            classes=card.classes,
        ),
        classifier=context.classifier,
        scales=tuple(_scale_record(scores, card) for scores in scales),
        device=context.device,
        precision=facts["precision"],
        started=datetime.fromisoformat(facts["started"]),
        finished=datetime.fromisoformat(facts["finished"]),
        seconds=float(facts["seconds"]),
        settings=facts["request"],
        warnings=tuple(context.warnings),
    )


def _scale_record(scores: ScaleScores, card: ModelCard) -> ScaleRecord:
    spec = scores.tiles.grid.spec
    return ScaleRecord(
        mpp=scores.mpp,
        tile_px=spec.size_px,
        stride_px=spec.size_px * (1 - spec.overlap),
        tiles=len(scores.tiles),
        scored=int(np.isfinite(scores.probability[:, 0]).sum()),
        in_trained_range=is_trained_scale(scores.mpp, card),
    )


def tile_rows(store: ScoreStore, tiles: TileTable, context: RunContext | None) -> list[TileRows]:
    """Return the scored tiles of each scale as rows of a table.

    Parameters
    ----------
    store
        What they are of.
    tiles
        Its scored tiles.
    context
        What tiles are called by; None if the model's card is not known, and so what it calls.

    Raises
    ------
    OutputError
        The store cannot be read.
    """
    stored = tuple(store.scale(number).tiles for number in range(store.scale_count))
    rows = []
    for number, (part, index) in enumerate(zip(tiles.scales, tiles.index_in(stored), strict=True)):
        probability = tiles.probability[tiles.rows_of(number)]
        if context is not None:
            rows.append(context.rows(part, probability, store.appearance(number)[index]))
            continue
        places = np.column_stack([part.x, part.y, part.width, part.height])
        name = store.facts["model"]["name"]
        rows.append(TileRows(part.grid.spec.mpp, places, part.tissue, probability, model=name))
    return rows
