"""Everything a scored slide leaves behind, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_smse.atomic_write import atomic_path, output_error
from napari_smse.errors import OutputError
from napari_smse.models.card import ModelCard
from napari_smse.results.folder import (
    PICTURE_NAME,
    RECORD_NAME,
    REPORT_NAME,
    REPORT_PDF_NAME,
    STORE_NAME,
    TABLE_NAME,
    remove_results,
)
from napari_smse.results.map_panels import draw_maps
from napari_smse.results.qupath_tiles import write_qupath_tiles
from napari_smse.results.report.content import SlideReport, slide_report
from napari_smse.results.report.slide_html import slide_html
from napari_smse.results.report.slide_pdf import slide_pdf
from napari_smse.results.run_context import RunContext
from napari_smse.results.run_record import (
    ModelRecord,
    RunRecord,
    ScaleRecord,
    SlideRecord,
    write_run_json,
)
from napari_smse.results.tables import tile_table, write_csv, write_parquet
from napari_smse.scoring import (
    UNSIGNED,
    ScaleScores,
    ScoreStore,
    as_scored,
    is_trained_scale,
    tissue_of,
)
from napari_smse.scoring.store import QUANTISATION
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text


def save_results(
    folder: Path,
    slide: Slide,
    store: ScoreStore,
    context: RunContext,
    *,
    geojson: bool = False,
    report: bool = False,
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
    report
        Also write a report, as HTML and as PDF.

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
    slide = as_scored(slide, store)
    _bring_store(store, folder)
    scales = [store.scale(number) for number in range(store.scale_count)]
    rows = [context.rows(one.tiles, one.probability, one.appearance) for one in scales]
    table = tile_table(rows, store.classes)
    write_parquet(table, folder / TABLE_NAME)
    write_csv(table, folder / "tiles.csv")
    if geojson:
        write_qupath_tiles(
            folder / "tiles.geojson",
            table,
            store.classes,
            bounds_origin=(slide.bounds.x, slide.bounds.y),
            colours=context.card.class_colours,
        )
    maps = draw_maps(slide, scales, context, tissue_of(slide, store))
    with atomic_path(folder / PICTURE_NAME) as part:
        part.write_bytes(maps)
    record = _record(slide, store, scales, context)
    if report:
        write_slide_report(folder, slide_report(slide, scales, context, record, maps))
    slide.require_unchanged(content=True)
    write_run_json(folder / RECORD_NAME, record)


def require_same_run(folder: Path, store: ScoreStore) -> None:
    """Refuse a folder that holds the results of another run.

    Raises
    ------
    OutputError
        If it does, or its scores cannot be read.
    """
    there = folder / STORE_NAME
    if not there.exists():
        return
    if ScoreStore.open(there).facts.get("signature") != store.facts.get("signature"):
        raise OutputError(
            f"{folder} holds the results of another run: choose another folder, or replace them "
            "(in Python: overwrite=True)."
        )


def write_slide_report(folder: Path, report: SlideReport) -> None:
    """Write a report into a slide's folder, as HTML and as PDF, each whole or not at all.

    Parameters
    ----------
    folder
        Of the slide's results.
    report
        What it says.

    Raises
    ------
    OutputError
        They cannot be written.
    """
    with atomic_path(folder / REPORT_NAME) as part:
        part.write_text(slide_html(report), encoding="utf-8")
    with atomic_path(folder / REPORT_PDF_NAME) as part:
        part.write_bytes(slide_pdf(report))


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
        quantisation=facts.get(QUANTISATION),
        started=datetime.fromisoformat(facts["started"]),
        finished=datetime.fromisoformat(facts["finished"]),
        seconds=float(facts["seconds"]),
        settings=facts["request"] | {name: facts[name] for name in sorted(UNSIGNED & facts.keys())},
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
