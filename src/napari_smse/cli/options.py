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
from napari_smse.models import read_card
from napari_smse.scoring import parse_scale
from napari_smse.scoring.device import PrecisionChoice
from napari_smse.scoring.request import usual_scales
from napari_smse.slides.remote_path import slide_path
from napari_smse.workflows.batch.sharding import BatchShard
from napari_smse.workflows.settings.option import settings_of
from napari_smse.workflows.settings.score import ScoreSettings

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_TIME_LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([smh])", re.IGNORECASE | re.ASCII)


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


def _names(text: str) -> str:
    return text.strip().lower()


def setting(record: type, name: str, more: str = "") -> Any:
    """Return the option of one setting of a workflow: its name and help.

    Parameters
    ----------
    record
        The workflow's settings record.
    name
        Of the field.
    more
        What a command says besides.
    """
    one = settings_of(record)[name]
    text = f"{one.option.help} {more}".strip()
    flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
    if name == "time_limit":
        text = f"{text} Such as 90s, 10m or 1h."
        return typer.Option(flag, help=text, parser=parse_time_limit, metavar="TIME")
    if name == "mpp":
        text = f"{text} May be repeated." if one.several else text
        return typer.Option(flag, help=text, parser=parse_scale, metavar="SCALE")
    if name == "leave_out":
        return typer.Option(flag, help=text, parser=_names, metavar="NAMES")
    if one.kind is bool and one.optional:
        return typer.Option(f"{flag}/--no-{flag[2:]}", help=text, show_default=False)
    # What is impossible is refused by the workflow, in one line and from everywhere alike.
    return typer.Option(flag, help=text)


SlidePath = Annotated[
    Path,
    typer.Argument(
        help="Path or URL of a slide.", show_default=False, parser=slide_path, metavar="SLIDE"
    ),
]
Slides = Annotated[
    list[str],
    typer.Argument(
        help="Slides, folders of them, patterns or URLs; or lists of these (.txt, .csv).",
        show_default=False,
    ),
]
Images = Annotated[
    Path,
    typer.Argument(help="Labelled images: a folder or a list of sources.", show_default=False),
]
_MODEL_HELP = "'bundled', the path of a model, or an encoder's name."
ModelArgument = Annotated[str, typer.Argument(help=_MODEL_HELP)]
ModelOut = Annotated[
    Path, typer.Option("--out", help="Path of the model to write.", show_default=False)
]

ModelName = Annotated[str, typer.Option("--model", help=_MODEL_HELP)]
SourceMpp = Annotated[
    float | None,
    typer.Option(
        "--source-mpp",
        help="The µm/px of slides or images that state none, or of a slide that states a wrong "
        "one.",
    ),
]
Roi = Annotated[
    Path | None,
    typer.Option("--roi", help="GeoJSON polygons, as from QuPath: only tissue inside is scored."),
]
TWO_DEVICES: Final = "cuda:0,cuda:1 for two at once."
Scales = Annotated[list[float], setting(ScoreSettings, "mpp")]
Device = Annotated[str, setting(ScoreSettings, "device")]
Devices = Annotated[str, setting(ScoreSettings, "device", TWO_DEVICES)]
Precision = Annotated[PrecisionChoice, setting(ScoreSettings, "precision")]
Float32 = Annotated[bool, typer.Option("--float32", help="The same as --precision float32.")]
Overlap = Annotated[float, setting(ScoreSettings, "overlap")]
MinTissue = Annotated[float, setting(ScoreSettings, "min_tissue")]
AnyStain = Annotated[bool, setting(ScoreSettings, "any_stain")]
Icc = Annotated[bool, setting(ScoreSettings, "icc")]
TissueMaskFile = Annotated[str | None, setting(ScoreSettings, "tissue_mask")]
TissueMaskAgain = Annotated[
    Path | None,
    typer.Option("--tissue-mask", help="Where the recorded tissue mask is now: file or folder."),
]
LeaveOut = Annotated[list[str], setting(ScoreSettings, "leave_out")]
MaskMpp = Annotated[float | None, setting(ScoreSettings, "mask_mpp")]
TimeLimit = Annotated[float | None, setting(ScoreSettings, "time_limit")]
ShardOf = Annotated[
    BatchShard | None,
    typer.Option(
        "--shard",
        parser=BatchShard.parse,
        metavar="I/N",
        help="Only the I-th of N parts of the slides, from 1, such as 2/8: for jobs that share the "
        "work.",
    ),
]
DEFAULT_SCALES: Final = list(ScoreSettings().mpp)
DEFAULT_LEFT_OUT: Final = list(ScoreSettings().leave_out)

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
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Learn heads on one of the field's encoders: napari-smse models list names them.",
    ),
]
EncoderWeights = Annotated[
    Path | None,
    typer.Option(
        "--encoder-weights",
        help="File or folder of the encoder's weights, unless they were used here before or are "
        "in the hub's cache.",
    ),
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
    bool, typer.Option("--scale-curve", help="Also measure at each µm/px apart (slow).")
]
OverwriteModel = Annotated[
    bool, typer.Option("--overwrite", help="Replace another model, or another training of it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def split_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return names that were given one by one, or several with commas between."""
    names = (name.strip() for text in given for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def chosen_scales(
    context: typer.Context, mpp: Sequence[float], model: str | Path
) -> tuple[float, ...]:
    """Return the scales of this command, um/px: those given, else the usual or the model's own.

    Raises
    ------
    ModelNotFoundError, DamagedModelError
        The card is to be asked, and cannot be read.
    """
    source = context.get_parameter_source("mpp")
    if source is not None and source.name == "COMMANDLINE":
        return tuple(mpp)
    return usual_scales(mpp, read_card(model))
