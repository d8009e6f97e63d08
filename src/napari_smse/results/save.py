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
from napari_smse.palette import Colour
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
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text

_THUMBNAIL_SIDE = 1600
_OUTSIDE = ": outside the model's magnifications"


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
    """

    card: ModelCard
    device: str
    warnings: Sequence[str] = ()
    classifier: str = CLASS_HEAD


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
    table = tile_table([_rows(scores) for scores in scales], store.classes)
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


def _rows(scores: ScaleScores) -> TileRows:
    tiles = scores.tiles
    regions = np.column_stack([tiles.x, tiles.y, tiles.width, tiles.height])
    return TileRows(scores.mpp, regions, tiles.tissue, scores.probability)


def _write_picture(
    path: Path,
    slide: Slide,
    store: ScoreStore,
    scales: Sequence[ScaleScores],
    context: RunContext,
) -> None:
    shown = shown_class(store.classes)
    number, colour = store.classes.index(shown), context.card.class_colours.get(shown)
    panels = []
    for scores in scales:
        trained = is_trained_scale(scores.mpp, context.card)
        title = f"P({shown}) at {describe_scale(scores.mpp)}{'' if trained else _OUTSIDE}"
        panels.append(_panel(title, scores.heat_map(number), slide, colour))
    if len(scales) > 1:
        mpps = [scores.mpp for scores in scales]
        fused = store.fused(number, fused_scales(mpps, context.card))
        title = f"P({shown}), {_mean_title(mpps, context.card)}"
        panels.append(_panel(title, fused, slide, colour))
    write_heat_map_picture(
        path,
        _thumbnail(slide),
        panels,
        extent=(0, slide.width * slide.mpp, slide.height * slide.mpp, 0),
        caption=_caption(slide, context),
    )


def _caption(slide: Slide, context: RunContext) -> str:
    by = "" if context.classifier == CLASS_HEAD else f", by {context.classifier}"
    return f"{path_text(slide.path.name)}, model {context.card.name} {context.card.version}{by}"


def _mean_title(mpps: Sequence[float], card: ModelCard) -> str:
    trained_count = sum(is_trained_scale(mpp, card) for mpp in mpps)
    if not trained_count:
        return MULTI_SCALE_MEAN + _OUTSIDE
    return MULTI_SCALE_MEAN + ("" if trained_count == len(mpps) else " of the trained scales")


def _thumbnail(slide: Slide) -> NDArray[np.uint8]:
    return slide.thumbnail(_THUMBNAIL_SIDE)


def _panel(title: str, heat_map: HeatMap, slide: Slide, colour: Colour | None) -> MapPanel:
    rows, columns = heat_map.values.shape
    left, top = heat_map.x * slide.mpp, heat_map.y * slide.mpp
    cell = heat_map.cell * slide.mpp
    extent = (left, left + columns * cell, top + rows * cell, top)
    return MapPanel(title, heat_map.values, extent, colour)


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
