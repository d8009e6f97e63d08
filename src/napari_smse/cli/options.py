"""Options that several commands have, each written once, and what they amount to.

An option of a single command is written in that command's module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from napari_smse.errors import RequestError
from napari_smse.scoring import ScoreRequest, parse_scale
from napari_smse.tiles import TileSpec
from napari_smse.workflows.settings.option import settings_of

SlidePath = Annotated[Path, typer.Argument(help="Path of a slide.", show_default=False)]
Slides = Annotated[
    list[str],
    typer.Argument(help="Slides, folders of slides, or patterns.", show_default=False),
]
Images = Annotated[
    Path,
    typer.Argument(help="Labelled images: a folder or a list of sources.", show_default=False),
]
ModelArgument = Annotated[str, typer.Argument(help="'bundled' or the path of a model.")]
ModelOut = Annotated[
    Path, typer.Option("--out", help="Path of the model to write.", show_default=False)
]

ModelName = Annotated[str, typer.Option("--model", help="'bundled' or the path of a model.")]
Scales = Annotated[
    list[str] | None,
    typer.Option(
        "--mpp",
        help="Scale of the tiles in um/px (0.5) or as objective power (20x); may be repeated. "
        "0.5 um/px by default.",
    ),
]
SourceMpp = Annotated[
    float | None,
    typer.Option(
        "--source-mpp",
        help="The um/px of slides or images that state none, or of a slide that states a wrong "
        "one.",
    ),
]
Roi = Annotated[
    Path | None,
    typer.Option("--roi", help="GeoJSON polygons, as from QuPath: only tissue inside is scored."),
]
Device = Annotated[
    str, typer.Option("--device", help="Device to compute on: auto, cpu, cuda, cuda:1 or mps.")
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        help="Device to compute on: auto, cpu, cuda, cuda:1 or mps; cuda:0,cuda:1 for two at once.",
    ),
]
Float32 = Annotated[
    bool, typer.Option("--float32", help="Compute in float32 by torch, even where it is slower.")
]
Overlap = Annotated[
    float, typer.Option("--overlap", help="Fraction of a tile that its neighbour covers, too.")
]
MinTissue = Annotated[
    float,
    typer.Option("--min-tissue", help="Minimum fraction of a tile that is tissue."),
]

Classification = Annotated[
    str | None,
    typer.Option(
        "--classification",
        help="Classification loss: cross-entropy, focal or 'reinforced focal'.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", help="Number of training steps (of epochs for the paper's recipe)."),
]
Seed = Annotated[
    int, typer.Option("--seed", help="Seed of the choice of held-out cases and of the training.")
]
ValidationFraction = Annotated[
    float,
    typer.Option(
        "--validation-fraction",
        help="Fraction of the training cases that weights and temperature are chosen on.",
    ),
]
ScaleCurve = Annotated[
    bool, typer.Option("--scale-curve", help="Also measure at each um/px apart (slow).")
]
OverwriteModel = Annotated[
    bool, typer.Option("--overwrite", help="Replace another model, or another training of it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def setting(record: type, name: str) -> Any:
    """Return the option of one setting of a workflow: its name, help and limits.

    Parameters
    ----------
    record
        The workflow's settings record.
    name
        Of the field.
    """
    one = settings_of(record)[name]
    if name == "time_limit":
        return typer.Option(
            "--time-limit",
            help=f"{one.option.help} Such as 90s, 10m or 1h.",
            parser=parse_time_limit,
            metavar="TIME",
        )
    limits: dict[str, Any] = {}
    if one.kind in (int, float):
        limits = {"min": one.option.minimum, "max": one.option.maximum}
    return typer.Option(f"--{name.replace('_', '-')}", help=one.option.help, **limits)


_DEFAULT_SCALES: Final = ("0.5",)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_TIME_LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([smh])", re.IGNORECASE | re.ASCII)


def score_request(
    scales: Sequence[str] | None, overlap: float, min_tissue: float, *, coarse_first: bool = False
) -> ScoreRequest:
    """Read what to score, the region apart.

    Parameters
    ----------
    scales
        As given in a shell; none for the usual one.
    overlap
        Fraction of a tile that its neighbour covers, too.
    min_tissue
        Minimum fraction of a tile that is tissue.
    coarse_first
        Score all tissue at the coarsest scale before any other tile.

    Raises
    ------
    ScaleError
        If a scale or overlap is impossible.
    """
    mpps = tuple(parse_scale(text) for text in scales or _DEFAULT_SCALES)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue, coarse_first=coarse_first)


def parse_time_limit(text: str | None) -> float | None:
    """Return a time limit in seconds; None if there is none.

    Parameters
    ----------
    text
        A number with its unit: ``90s``, ``10m``, ``1.5h``.

    Raises
    ------
    RequestError
        If it is none, or no time at all.
    """
    if text is None:
        return None
    parts = _TIME_LIMIT.fullmatch(text.strip())
    seconds = 0.0 if parts is None else float(parts[1]) * _SECONDS[parts[2].lower()]
    if not 0 < seconds < math.inf:
        raise RequestError(
            f"{text!r} is no time limit: give --time-limit a number above 0 with s, m or h, such "
            "as 90s, 10m or 1.5h."
        )
    return seconds
