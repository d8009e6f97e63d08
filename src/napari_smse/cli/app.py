"""The command line: the same functions as in napari, from a shell."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata, util
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import typer

from napari_smse import models
from napari_smse.cli.compare_encoders import compare_encoders
from napari_smse.cli.console import Console, print_any_text, show_log
from napari_smse.cli.crossval import crossval
from napari_smse.cli.estimate import estimate_slides
from napari_smse.cli.evaluate import evaluate
from napari_smse.cli.export import export
from napari_smse.cli.finetune import finetune
from napari_smse.cli.index import index_slides
from napari_smse.cli.models import models_app
from napari_smse.cli.options import AsJson, ModelArgument, SlidePath
from napari_smse.cli.report import report_cohort, report_slides
from napari_smse.cli.score import rerun_recorded, score_slides
from napari_smse.cli.search import search_slides
from napari_smse.cli.train import train
from napari_smse.errors import DeviceError, SmseError, is_out_of_memory, memory_error
from napari_smse.results.exchange import read_tile_features
from napari_smse.results.exchange.h5_values import h5_content
from napari_smse.results.exchange.tile_values import read_tile_values
from napari_smse.scoring import choose_device, describe_runtime, list_devices
from napari_smse.slides import Slide, open_slide, slides_in_file
from napari_smse.slides.backends.srgb_pixels import describe_profile
from napari_smse.slides.remote_path import RemotePath
from napari_smse.workflows.viewer_session.record import SUFFIX, read_session

_ENDING_SIGNALS: Final = ("SIGTERM", "SIGHUP", "SIGBREAK")  # Windows has the last, others not
_FIRST_STATUS: Final = 128
"""Of a command that a signal ended; the number of the signal is added."""

app = typer.Typer(
    help="Score whole-slide images with similarity-based multi-scale embeddings. "
    "Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("score")(score_slides)
app.command("estimate")(estimate_slides)
app.command("report")(report_slides)
app.command("cohort")(report_cohort)
app.command("compare-encoders")(compare_encoders)
app.command("rerun")(rerun_recorded)
app.command("export")(export)
app.command("index")(index_slides)
app.command("search")(search_slides)
app.add_typer(models_app, name="models")


def _print_version(asked: bool) -> None:
    if asked:
        Console().report(f"napari-smse {_version('napari-smse')}")
        raise typer.Exit


@app.callback()
def set_up(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hold the options that stand before any command."""


def main() -> None:
    """Run the command line; every named error becomes one line and exit status 1."""
    print_any_text()
    show_log()
    with stopped_by_signals():
        try:
            app()
        except Exception as error:
            named = memory_error() if is_out_of_memory(error) else error
            if not isinstance(named, SmseError | OSError):
                raise
            Console().error(named)
            sys.exit(1)


@app.command()
def info(
    slide: SlidePath,
    as_json: AsJson = False,
) -> None:
    """Describe what a slide offers: levels, um/px and its source, associated images.

    Of a file with several slides, each of them.
    """
    console = Console()
    described = []
    for path in slides_in_file(slide):
        with open_slide(path) as opened:
            described.append(slide_facts(opened))
    if as_json:
        console.print_json(described[0] if len(described) == 1 else described)
        return
    for facts in described:
        del facts["properties"]
        facts["icc_profile"] = facts["icc_profile"] or "none"
        if facts["mpp_rejected"] is None:
            del facts["mpp_rejected"]
        for key, value in facts.items():
            console.report(f"{key.replace('_', ' '):18}{_readable(value)}")


def slide_facts(slide: Slide) -> dict[str, Any]:
    """Return what `info` prints, as JSON values."""
    return {
        "name": slide.name,
        "path": str(slide.path),
        "backend": slide.backend_name,
        "vendor": slide.vendor,
        "width": slide.width,
        "height": slide.height,
        "mpp": slide.scale.mpp,
        "mpp_source": str(slide.scale.source),
        "mpp_rejected": slide.scale.rejected,
        "objective_power": slide.objective_power,
        "levels": [asdict(level) for level in slide.levels],
        "bounds": asdict(slide.bounds),
        "associated_images": list(slide.associated_images),
        "icc_profile": describe_profile(slide.icc_profile),
        "quick_hash": slide.quick_hash,
        "properties": dict(slide.properties),
    }


def _readable(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(f"{level['width']} x {level['height']}" for level in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)


@app.command()
def doctor() -> None:
    """Check this installation: versions, devices, the bundled model."""
    console = Console()
    console.report(f"napari-smse {_version('napari-smse')}, Python {platform.python_version()}")
    for package in ("torch", "torchvision", "timm", "openslide-python", "tifffile", "zarr"):
        console.report(f"  {package} {_version(package)}")
    console.report(f"  napari {_version('napari')}, Qt binding: {_qt_binding() or 'none'}")
    for device in list_devices():
        console.report(f"device {device.torch_name}: {device.label}, {device.precision}")
    console.report(_why_no_gpu())
    model = models.load_model("bundled")
    console.report(f"bundled model: {model.card.name} {model.card.version}, self-test passed")
    console.report(describe_runtime(choose_device("cpu"), model))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _qt_binding() -> str | None:
    return next((name for name in ("PyQt6", "PySide6", "PyQt5") if util.find_spec(name)), None)


def _why_no_gpu() -> str:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "GPU: ready"
    if torch.version.cuda is None and platform.system() != "Darwin":
        return "GPU: this torch was built without CUDA; install a CUDA build to use an NVIDIA GPU"
    return "GPU: none seen (no NVIDIA driver, or no Apple Metal); slides are scored on the CPU"


@app.command()
def card(model: ModelArgument = "bundled") -> None:
    """Print a model's card as JSON."""
    Console().print_json(models.read_card(model).model_dump(mode="json"))


@app.command()
def view(
    slide: SlidePath,
    scores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Scores of its tiles by any program, shown as maps: CSV, Parquet, HDF5, GeoJSON; "
            "or features of them, as TRIDENT and CLAM write them, to be its run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open a slide in napari with the Score dock beside it, and scores of its tiles as maps.

    Or a session that was saved in the viewer (NAME.smse-session.json), as it was left.
    """
    is_session = str(slide).endswith(SUFFIX)
    if is_session:
        read_session(slide)
    else:
        with open_slide(slide) as opened:
            for file in scores or ():
                # An error is shown here, and not by napari alone.
                features = h5_content(file).features
                (read_tile_features if features else read_tile_values)(file, opened)
    if platform.system() == "Linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise DeviceError("There is no display here: run `napari-smse view` on a desktop.")
    if util.find_spec("napari") is None or _qt_binding() is None:
        raise DeviceError('napari or Qt is not installed: run pip install "napari-smse[all]".')
    address = slide.url if isinstance(slide, RemotePath) else str(slide)
    # Paths come first: after -w, napari would take them for a widget's name. Without a plugin's
    # name it would ask which of several readers to use. Scores are opened after their slide.
    files = [address, *map(str, scores or ())]
    launch = [sys.executable, "-m", "napari", *files, "--plugin", "napari-smse"]
    command = launch if is_session else [*launch, "-w", "napari-smse", "SMSE: Score slide"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


for _command in (train, evaluate, crossval, finetune):
    app.command()(_command)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` when this process is asked to end, and tell by its status why.

    The exit status is 143 after SIGTERM and 129 after SIGHUP, as a shell expects. A signal that
    is ignored, as SIGHUP is under nohup, stays so.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in _signals()}
    try:
        yield
    except SystemExit as end:
        if received and end.code:
            raise SystemExit(_FIRST_STATUS + received[0]) from end
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        return []
    numbers = [signal.Signals[name] for name in _ENDING_SIGNALS if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
