"""`napari-smse score`: its options, and what stops it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_smse import network
from napari_smse.exchange import read_regions
from napari_smse.score_cli.console import tell
from napari_smse.score_cli.slide_run import SlideRun
from napari_smse.scoring import ScoreRequest, choose_device, on_fastest, parse_scale
from napari_smse.tiles import TileSpec


def score_slides(
    slides: Annotated[list[Path], typer.Argument(help="Slides to score.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)],
    mpp: Annotated[
        list[str] | None,
        typer.Option(help="Scale in um/px (0.5) or objective power (20x); repeat for more. [0.5]"),
    ] = None,
    slide_mpp: Annotated[
        float | None, typer.Option(help="um/px of the slide, if it states none or a wrong one.")
    ] = None,
    model: Annotated[str, typer.Option(help="'bundled' or the path of a model.")] = "bundled",
    roi: Annotated[
        Path | None, typer.Option(help="GeoJSON polygons, as from QuPath: score only there.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    exact: Annotated[
        bool, typer.Option("--exact", help="Compute in float32 by torch, faster or not.")
    ] = False,
    overlap: Annotated[float, typer.Option(help="Share of a tile its neighbour covers too.")] = 0.0,
    min_tissue: Annotated[float, typer.Option(help="Least share of tissue in a tile.")] = 0.25,
    geojson: Annotated[bool, typer.Option("--geojson", help="Also write QuPath tiles.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run's results.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Score slides: tables, heat maps and embeddings, a folder for each slide."""
    if quiet:
        logging.getLogger("napari_smse").setLevel(logging.ERROR)
    slides = list({path.absolute(): path for path in slides}.values())
    request = _request(mpp or ["0.5"], overlap, min_tissue)
    # Whatever is wrong with all slides alike is told once, before anything takes time.
    outlines = None if roi is None else read_regions(roi)
    chosen = choose_device(device, exact=exact)
    loaded = network.load_model(model)
    if not exact:
        chosen = on_fastest(chosen, loaded)
    run = SlideRun(out, request, loaded, chosen, geojson, overwrite, quiet, outlines)
    run.say(f"Model {run.model.card.name} on {run.device.how}. Research use only.")
    try:
        failed = run.score_all(slides, slide_mpp)
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        tell(f"Stopped. What was scored is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    if failed:
        if len(slides) > 1:
            tell(f"{failed} of {len(slides)} slides could not be scored.")
        raise typer.Exit(1)


def _request(scales: Sequence[str], overlap: float, min_tissue: float) -> ScoreRequest:
    mpps = tuple(parse_scale(text) for text in scales)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue)
