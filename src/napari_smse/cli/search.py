"""`napari-smse search`: find tissue like that of a region in all slides of an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.options import AsJson, Devices, ModelName, SourceMpp, setting
from napari_smse.metrics.estimate import counted
from napari_smse.scoring import describe_scale
from napari_smse.similarity.index.hits import SearchResult, SlideHits
from napari_smse.similarity.index.shard import SlideState
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, open_slide
from napari_smse.slides.remote_path import slide_path
from napari_smse.workflows.region_query import RegionQuery, make_region_query
from napari_smse.workflows.settings.embeddings import SearchSettings


def search_slides(
    index: Annotated[Path, typer.Argument(help="Folder of an index.", show_default=False)],
    slide: Annotated[
        Path,
        typer.Option(
            help="Slide with the tissue to look for, or its URL.",
            show_default=False,
            parser=slide_path,
            metavar="SLIDE",
        ),
    ],
    x: Annotated[
        int, typer.Option(help="Left edge of the region, level-0 px.", show_default=False)
    ],
    y: Annotated[int, typer.Option(help="Top edge of the region, level-0 px.", show_default=False)],
    width: Annotated[
        int, typer.Option(help="Width of the region, level-0 px.", show_default=False)
    ],
    height: Annotated[
        int, typer.Option(help="Height of the region, level-0 px.", show_default=False)
    ],
    k: Annotated[int, setting(SearchSettings, "k")] = SearchSettings.k,
    mpp: Annotated[float | None, setting(SearchSettings, "mpp")] = None,
    source_mpp: SourceMpp = None,
    model: ModelName = "bundled",
    device: Devices = "auto",
    approximate: Annotated[bool | None, setting(SearchSettings, "approximate")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the tiles most like a region of a slide, in all slides of an index.

    A slide that is not in the index is scored there, and not added. The region itself is no hit.
    """
    console = Console()
    opened = SlideIndex(index)
    region = Region(x, y, width, height)
    with open_slide(slide, mpp=source_mpp) as queried:
        query = make_region_query(opened, queried, region, mpp, model, device)
    result = opened.search(
        query.embeddings, k, mpp=query.mpp, excluded=query.excluded, approximate=approximate
    )
    for warning in result.warnings:
        console.message(f"warning: {warning}", "yellow")  # stdout holds the hits alone
    if as_json:
        console.print_json(as_values(result, query, index, slide))
        return
    for line in as_lines(result, query, slide):
        console.report(line)


_COLUMNS = f"    {'distance':>8} {'x':>9} {'y':>9} {'width':>7} {'height':>7}   most likely"


def as_lines(result: SearchResult, query: RegionQuery, slide: Path) -> Iterator[str]:
    """Describe a result in lines, the slide with the nearest tile first."""
    tiles = counted(len(query.embeddings), "tiles")
    how = " (approximately)" if result.approximate else ""
    yield (
        f"Looked for {tiles} of {slide.name} at {describe_scale(query.mpp)} among "
        f"{result.tiles:,} tiles{how}. Research use only."
    )
    if not result.slides:
        yield "Nothing else is in the index at this scale."
    for number, of_slide in enumerate(result.slides, start=1):
        yield ""
        state = of_slide.state
        notice = "" if state is SlideState.SAME else f", {state} since it was indexed"
        hits = counted(len(of_slide.hits), "tiles")
        yield f"{number}. {of_slide.slide.name}: {hits}{notice} ({of_slide.slide.path})"
        yield _COLUMNS
        yield from _rows(of_slide)


def _rows(of_slide: SlideHits) -> Iterator[str]:
    for hit in of_slide.hits:
        at = hit.region
        yield (
            f"    {hit.distance:8.3f} {at.x:9} {at.y:9} {at.width:7} {at.height:7}   "
            f"{of_slide.describe_class(hit)}"
        )


def as_values(result: SearchResult, query: RegionQuery, index: Path, slide: Path) -> dict[str, Any]:
    """Return a result as JSON values; places in level-0 px."""
    return {
        "index": str(index),
        "query": {
            "slide": str(slide),
            **asdict(query.region),
            "mpp": query.mpp,
            "tiles": len(query.embeddings),
        },
        "searched_tiles": result.tiles,
        "approximate": result.approximate,
        "warnings": list(result.warnings),
        "slides": [_slide_values(of_slide) for of_slide in result.slides],
    }


def _slide_values(of_slide: SlideHits) -> dict[str, Any]:
    slide = of_slide.slide
    return {
        "name": slide.name,
        "path": slide.path,
        "quick_hash": slide.quick_hash,
        "state": str(of_slide.state),
        "hits": [
            {
                "distance": round(hit.distance, 6),
                **asdict(hit.region),
                "mpp": hit.mpp,
                "probability": {
                    name: round(float(value), 6)
                    for name, value in zip(slide.classes, hit.probability, strict=True)
                },
            }
            for hit in of_slide.hits
        ],
    }
