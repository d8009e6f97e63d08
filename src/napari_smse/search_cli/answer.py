"""What a search found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_smse.scoring import describe_scale
from napari_smse.search_cli.region_query import RegionQuery
from napari_smse.similarity.index.search import IndexAnswer, SlideHits
from napari_smse.similarity.index.shard import SlideState

_COLUMNS = f"    {'distance':>8} {'x':>9} {'y':>9} {'width':>7} {'height':>7}   most likely"


def as_lines(answer: IndexAnswer, query: RegionQuery, slide: Path) -> Iterator[str]:
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
            f"{found.said(hit)}"
        )


def as_values(answer: IndexAnswer, query: RegionQuery, index: Path, slide: Path) -> dict[str, Any]:
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
