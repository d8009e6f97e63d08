"""Options that commands on slides have in common, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.scoring import (
    ScoreRequest,
    parse_scale,
)
from napari_smse.tiles import TileSpec

Slides = Annotated[
    list[str],
    typer.Argument(help="Slides, folders of them, or patterns.", show_default=False),
]
Scales = Annotated[
    list[str] | None,
    typer.Option(
        "--mpp", help="Scale in um/px (0.5) or objective power (20x); repeat for more. [0.5]"
    ),
]
SlideMpp = Annotated[
    float | None, typer.Option(help="um/px of the slide, if it states none or a wrong one.")
]
ModelName = Annotated[str, typer.Option(help="'bundled' or the path of a model.")]
Roi = Annotated[
    Path | None, typer.Option(help="GeoJSON polygons, as from QuPath: score only there.")
]
DeviceNames = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps; cuda:0,cuda:1 for two at once.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Compute in float32 by torch, faster or not.")]
Overlap = Annotated[float, typer.Option(help="Share of a tile its neighbour covers too.")]
MinTissue = Annotated[float, typer.Option(help="Least share of tissue in a tile.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


_USUAL_SCALES = ("0.5",)


def score_request(
    scales: Sequence[str] | None, overlap: float, min_tissue: float, *, coarse_first: bool = False
) -> ScoreRequest:
    """Read what is asked for, the region apart.

    Raises
    ------
    ScaleError
        If a scale or overlap is impossible.
    """
    mpps = tuple(parse_scale(text) for text in scales or _USUAL_SCALES)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue, coarse_first=coarse_first)
