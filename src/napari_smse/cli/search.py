"""`napari-smse search`: find tissue like that of a region in all slides of an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_smse.cli.console import say, tell
from napari_smse.cli.options import DeviceNames, ModelName, SlideMpp
from napari_smse.errors import QueryError
from napari_smse.scoring import describe_scale, parse_scale
from napari_smse.similarity.index.search import SearchResult, SlideHits
from napari_smse.similarity.index.shard import SlideState
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, open_slide
from napari_smse.workflows.region_query import RegionQuery, query_of

Pixels = Annotated[int, typer.Option(help="Level-0 px.", show_default=False)]


def search_slides(
    index: Annotated[Path, typer.Argument(help="Folder of an index.", show_default=False)],
    slide: Annotated[
        Path, typer.Option(help="Slide with the tissue to look for.", show_default=False)
    ],
    x: Pixels,
    y: Pixels,
    width: Pixels,
    height: Pixels,
    k: Annotated[int, typer.Option("-k", "--tiles", help="How many tiles to find.")] = 50,
    mpp: Annotated[
        str | None,
        typer.Option(help="Scale, um/px or 20x. [the finest the slide is indexed at]"),
    ] = None,
    slide_mpp: SlideMpp = None,
    model: ModelName = "bundled",
    device: DeviceNames = "auto",
    approximate: Annotated[
        bool | None,
        typer.Option(
            "--approximate/--exact",
            help="Answer by the approximate index. [from 4 million tiles on, where there is one]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the tiles most like a region of a slide, in all slides of an index.

    A slide that is not in the index is scored there, and not added. The region itself is no hit.
    """
    if k < 1:
        raise QueryError(f"There are no {k} nearest tiles: ask for 1 or more.")
    opened = SlideIndex(index)
    scale = None if mpp is None else parse_scale(mpp)
    region = Region(x, y, width, height)
    with open_slide(slide, mpp=slide_mpp) as queried:
        query: RegionQuery = query_of(opened, queried, region, scale, model, device)
    answer = opened.search(
        query.embeddings, k, mpp=query.mpp, excluded=query.left_out, approximate=approximate
    )
    for warning in answer.warnings:
        tell(f"warning: {warning}", "yellow")
    if as_json:
        typer.echo(json.dumps(as_values(answer, query, index, slide), indent=2))
        return
    for line in as_lines(answer, query, slide):
        say(line)


_COLUMNS = f"    {'distance':>8} {'x':>9} {'y':>9} {'width':>7} {'height':>7}   most likely"


def as_lines(answer: SearchResult, query: RegionQuery, slide: Path) -> Iterator[str]:
    """Say it in lines, the slide with the nearest tile first."""
    tiles = "1 tile" if len(query.embeddings) == 1 else f"{len(query.embeddings)} tiles"
    how = " (approximately)" if answer.approximate else ""
    yield (
        f"Looked for {tiles} of {slide.name} at {describe_scale(query.mpp)} among "
        f"{answer.tiles:,} tiles{how}. Research use only."
    )
    if not answer.slides:
        yield "Nothing else is in the index at this scale."
    for number, found in enumerate(answer.slides, start=1):
        yield ""
        state = "" if found.state is SlideState.SAME else f", {found.state} since it was indexed"
        hits = "1 tile" if len(found.hits) == 1 else f"{len(found.hits)} tiles"
        yield f"{number}. {found.slide.name}: {hits}{state} ({found.slide.path})"
        yield _COLUMNS
        yield from _rows(found)


def _rows(found: SlideHits) -> Iterator[str]:
    for hit in found.hits:
        at = hit.region
        yield (
            f"    {hit.distance:8.3f} {at.x:9} {at.y:9} {at.width:7} {at.height:7}   "
            f"{found.describe_class(hit)}"
        )


def as_values(answer: SearchResult, query: RegionQuery, index: Path, slide: Path) -> dict[str, Any]:
    """Return it as JSON values; places in level-0 px."""
    return {
        "index": str(index),
        "query": {
            "slide": str(slide),
            **asdict(query.region),
            "mpp": query.mpp,
            "tiles": len(query.embeddings),
        },
        "searched_tiles": answer.tiles,
        "approximate": answer.approximate,
        "warnings": list(answer.warnings),
        "slides": [_slide_values(found) for found in answer.slides],
    }


def _slide_values(found: SlideHits) -> dict[str, Any]:
    slide = found.slide
    return {
        "name": slide.name,
        "path": slide.path,
        "quick_hash": slide.quick_hash,
        "state": str(found.state),
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
            for hit in found.hits
        ],
    }
