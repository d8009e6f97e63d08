"""`napari-smse search`: find tissue like that of a region in all slides of an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.errors import QueryError
from napari_smse.score_cli.console import say, tell
from napari_smse.score_cli.options import DeviceNames, ModelName, SlideMpp
from napari_smse.scoring import parse_scale
from napari_smse.search_cli.answer import as_lines, as_values
from napari_smse.search_cli.region_query import RegionQuery, query_of
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, open_slide

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
        query.embeddings, k, mpp=query.mpp, left_out=query.left_out, approximate=approximate
    )
    for warning in answer.warnings:
        tell(f"warning: {warning}", "yellow")
    if as_json:
        typer.echo(json.dumps(as_values(answer, query, index, slide), indent=2))
        return
    for line in as_lines(answer, query, slide):
        say(line)
