"""The command line: the same functions as in napari, from a shell."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from napari_smse.errors import DeviceError, SmseError
from napari_smse.exchange import STORE_NAME, RunContext, read_regions, save_results
from napari_smse.network import load_model, read_card
from napari_smse.scoring import (
    Progress,
    ScoreRequest,
    choose_device,
    list_devices,
    open_run,
    parse_scale,
    scale_warnings,
    score,
)
from napari_smse.slides import Slide, open_slide

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_smse.network import Model
    from napari_smse.scoring import ComputeDevice

app = typer.Typer(
    help="Score whole-slide images with similarity-based multi-scale embeddings. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_out = Console()
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; every named error becomes one line and exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except SmseError as error:
        _tell_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        _err.print("Stopped. What was scored is kept: the same command goes on from there.")
        sys.exit(130)


def _tell_error(error: SmseError) -> None:
    _err.print(f"error: {error}", markup=False, style="red")


@app.command("score")
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
        Path | None, typer.Option(help="GeoJSON polygons in level-0 px: score only there.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    overlap: Annotated[float, typer.Option(help="Share of a tile its neighbour covers too.")] = 0.0,
    min_tissue: Annotated[float, typer.Option(help="Least share of tissue in a tile.")] = 0.25,
    geojson: Annotated[bool, typer.Option("--geojson", help="Also write QuPath tiles.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run's results.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Score slides: tables, heat maps and embeddings, a folder for each slide."""
    request = ScoreRequest(tuple(parse_scale(text) for text in mpp or ["0.5"]), overlap, min_tissue)
    run = _Run(out, request, load_model(model), choose_device(device), geojson, overwrite, quiet)
    run.say(f"Model {run.model.card.name} on {run.device.label}. Research use only.")
    failed = 0
    for path, name in zip(slides, _folder_names(slides), strict=True):
        try:
            with open_slide(path, mpp=slide_mpp) as slide:
                run.score(slide, name, roi)
        except SmseError as error:
            _tell_error(error)
            failed += 1
    if failed:
        if len(slides) > 1:
            _err.print(f"{failed} of {len(slides)} slides could not be scored.")
        raise typer.Exit(1)


def _folder_names(slides: list[Path]) -> list[str]:
    """A results folder per slide: its name, or its whole file name where two slides share one."""
    names = [path.name.split(".")[0] if path.is_dir() else _stem(path) for path in slides]
    return [
        path.name if names.count(name) > 1 else name
        for path, name in zip(slides, names, strict=True)
    ]


def _stem(path: Path) -> str:
    stem = path.name.removesuffix(path.suffix)
    return stem.removesuffix(".ome")


class _Run:
    """One call of `score`: what is the same for every slide."""

    def __init__(
        self,
        out: Path,
        request: ScoreRequest,
        model: Model,
        device: ComputeDevice,
        geojson: bool,
        overwrite: bool,
        quiet: bool,
    ) -> None:
        self.out, self.request, self.model, self.device = out, request, model, device
        self.geojson, self.overwrite, self.quiet = geojson, overwrite, quiet

    def say(self, text: str, style: str | None = None) -> None:
        if not self.quiet:
            _out.print(text, style=style, soft_wrap=True, highlight=False, markup=False)

    def score(self, slide: Slide, name: str, roi_path: Path | None) -> None:
        """Score one slide and write its results."""
        roi: BaseGeometry | None = None
        if roi_path is not None:
            roi = read_regions(roi_path, bounds_origin=(slide.bounds.x, slide.bounds.y))
        request = ScoreRequest(
            self.request.mpps, self.request.overlap, self.request.min_tissue, roi
        )
        card = self.model.card
        plan = request.plan(slide, card)
        warnings = scale_warnings(slide, card, request.mpps)
        for warning in warnings:
            self.say(f"warning: {warning}", "yellow")
        folder = self.out / name
        store = open_run(
            folder / STORE_NAME,
            slide,
            card,
            request,
            plan,
            self.device,
            overwrite=self.overwrite,
        )
        running = score(slide, self.model, plan, store, self.device, threads=os.cpu_count() or 1)
        _show_progress(running, name, quiet=self.quiet)
        context = RunContext(card, self.device.label, warnings)
        save_results(folder, slide, store, context, geojson=self.geojson)
        self.say(f"{slide.path.name}: {plan.tile_count} tiles, results in {folder}")


def _show_progress(running: Iterator[Progress], name: str, *, quiet: bool) -> None:
    """Run to the end behind a progress bar."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with ProgressBar(*columns, console=_out, disable=quiet) as bar:
        task = bar.add_task(name, total=None, pace="")
        for progress in running:
            bar.update(task, completed=progress.done, total=progress.total, pace=_pace(progress))


def _pace(progress: Progress) -> str:
    if progress.seconds_left is None:
        return ""
    return f"{progress.rate:.0f} tiles/s, {progress.seconds_left:.0f} s left"


@app.command()
def info(
    slide: Annotated[Path, typer.Argument(help="A slide.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a slide offers: levels, um/px and its source, associated images."""
    with open_slide(slide) as opened:
        facts = slide_facts(opened)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        if key != "properties":
            table.add_row(key.replace("_", " "), _readable(value))
    _out.print(table)


def slide_facts(slide: Slide) -> dict[str, Any]:
    """What `info` tells, as JSON values."""
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
    _out.print(f"napari-smse {metadata.version('napari-smse')}, Python {platform.python_version()}")
    for package in ("torch", "torchvision", "timm", "openslide-python", "tifffile", "zarr"):
        _out.print(f"  {package} {metadata.version(package)}")
    _out.print(f"  napari {_version('napari')}, Qt binding: {_qt_binding()}")
    for device in list_devices():
        _out.print(f"device {device.torch_name}: {device.label}, {device.precision}", markup=False)
    _out.print(_why_no_gpu())
    with _reported("bundled model"):
        card = load_model("bundled").card
        _out.print(f"bundled model: {card.name} {card.version}, self-test passed")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _qt_binding() -> str:
    for name in ("PyQt6", "PySide6", "PyQt5"):
        if util.find_spec(name):
            return name
    return 'none (pip install "napari-smse[all]" brings one)'


def _why_no_gpu() -> str:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "GPU: ready"
    if torch.version.cuda is None and platform.system() != "Darwin":
        return "GPU: this torch was built without CUDA; install a CUDA build to use an NVIDIA GPU"
    return "GPU: none seen (no NVIDIA driver, or no Apple Metal); slides are scored on the CPU"


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Let `doctor` finish its list and still exit with 1."""
    try:
        yield
    except SmseError as error:
        _err.print(f"{what}: {error}", markup=False, style="red")
        raise typer.Exit(1) from error


@app.command()
def card(
    model: Annotated[str, typer.Argument(help="'bundled' or the path of a model.")] = "bundled",
) -> None:
    """Print a model's card as JSON."""
    typer.echo(read_card(model).model_dump_json(indent=2))


@app.command()
def view(
    slide: Annotated[Path, typer.Argument(help="A slide.", show_default=False)],
) -> None:
    """Open a slide in napari with the Score dock beside it."""
    open_slide(slide).close()
    if platform.system() == "Linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise DeviceError("There is no display here: run `napari-smse view` on a desktop.")
    # The path comes first: after -w, napari would take it for a widget's name.
    command = [sys.executable, "-m", "napari", str(slide), "-w", "napari-smse", "SMSE: Score slide"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
