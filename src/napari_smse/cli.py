"""The command line: the same functions as in napari, from a shell."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from shapely.affinity import translate

from napari_smse import network
from napari_smse.errors import DeviceError, SmseError
from napari_smse.exchange import (
    STORE_NAME,
    RunContext,
    read_regions,
    remove_results,
    result_folder_names,
    save_results,
)
from napari_smse.learn_cli import register
from napari_smse.scoring import (
    Progress,
    ScoreRequest,
    choose_device,
    describe_scale,
    list_devices,
    on_fastest,
    open_run,
    parse_scale,
    scale_warnings,
    score,
)
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan, TileSpec

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_smse.network import Model
    from napari_smse.scoring import ComputeDevice

app = typer.Typer(
    help="Score whole-slide images with similarity-based multi-scale embeddings. "
    "Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_out = Console()
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; every named error becomes one line and exit status 1."""
    _show_log()
    try:
        app()
    except (SmseError, OSError) as error:
        _tell_error(error)
        sys.exit(1)


class _LogLines(logging.Handler):
    """What this package logs, in the manner of its errors."""

    def emit(self, record: logging.LogRecord) -> None:
        _err.print(f"{record.levelname.lower()}: {record.getMessage()}", markup=False)


def _show_log() -> None:
    """Show this package's log; what libraries say of a damaged file, an error says better."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("napari_smse").handlers = [_LogLines()]
    # `score` itself warns of scales that magnify a slide.
    logging.getLogger("napari_smse.slides").setLevel(logging.ERROR)


def _tell_error(error: SmseError | OSError) -> None:
    reason = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{error.filename} cannot be read or written: {error.strerror}; check the path"
    _err.print(f"error: {' '.join(reason.split())}", markup=False, style="red")


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
    run = _Run(out, request, loaded, chosen, geojson, overwrite, quiet, outlines)
    run.say(f"Model {run.model.card.name} on {run.device.how}. Research use only.")
    try:
        failed = run.score_all(slides, slide_mpp)
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        _err.print(f"Stopped. What was scored is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    if failed:
        if len(slides) > 1:
            _err.print(f"{failed} of {len(slides)} slides could not be scored.")
        raise typer.Exit(1)


def _request(scales: Sequence[str], overlap: float, min_tissue: float) -> ScoreRequest:
    mpps = tuple(parse_scale(text) for text in scales)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue)


@dataclass(frozen=True)
class _Run:
    """One call of `score`: what is the same for every slide."""

    out: Path
    request: ScoreRequest
    model: Model
    device: ComputeDevice
    geojson: bool
    overwrite: bool
    quiet: bool
    outlines: BaseGeometry | None

    def say(self, text: str, style: str | None = None) -> None:
        if not self.quiet:
            _out.print(text, style=style, soft_wrap=True, highlight=False, markup=False)

    def score_all(self, paths: Sequence[Path], mpp: float | None) -> int:
        """Score slide after slide, telling of those that fail, and how many."""
        failed = 0
        for path, name in zip(paths, result_folder_names(paths), strict=True):
            try:
                with open_slide(path, mpp=mpp) as slide:
                    self.score(slide, name)
            except (SmseError, OSError) as error:
                _tell_error(error)
                failed += 1
        return failed

    def score(self, slide: Slide, name: str) -> None:
        """Score one slide and write its results."""
        card, request = self.model.card, replace(self.request, roi=self._roi_on(slide))
        plan = request.plan(slide, card)
        warnings = [*scale_warnings(slide, card, request.mpps), *_empty_scales(slide, plan)]
        for warning in warnings:
            self.say(f"warning: {warning}", "yellow")
        folder = self.out / name
        if self.overwrite:
            remove_results(folder)
        store = open_run(
            folder / STORE_NAME, slide, card, request, plan, self.device, overwrite=self.overwrite
        )
        if not store.complete:
            remove_results(folder)
        running = score(slide, self.model, plan, store, self.device, threads=_threads())
        _show_progress(running, name, quiet=self.quiet)
        context = RunContext(card, self.device.label, warnings)
        save_results(folder, slide, store, context, geojson=self.geojson)
        self.say(f"{slide.path.name}: {plan.tile_count} tiles, results in {folder}")

    def _roi_on(self, slide: Slide) -> BaseGeometry | None:
        """The region of interest in level-0 px; QuPath counts from the slide's bounds."""
        if self.outlines is None:
            return None
        return translate(self.outlines, slide.bounds.x, slide.bounds.y)


def _threads() -> int:
    return os.cpu_count() or 1


def _empty_scales(slide: Slide, plan: TilePlan) -> Iterator[str]:
    for tiles in plan.scales:
        if not len(tiles):
            scale = describe_scale(tiles.grid.spec.mpp)
            yield f"no tile of {slide.name} at {scale} holds enough tissue: its map stays empty."


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
    del facts["properties"]
    for key, value in facts.items():
        typer.echo(f"{key.replace('_', ' '):18}{_readable(value)}")


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
    typer.echo(f"napari-smse {_version('napari-smse')}, Python {platform.python_version()}")
    for package in ("torch", "torchvision", "timm", "openslide-python", "tifffile", "zarr"):
        typer.echo(f"  {package} {_version(package)}")
    typer.echo(f"  napari {_version('napari')}, Qt binding: {_qt_binding() or 'none'}")
    for device in list_devices():
        typer.echo(f"device {device.torch_name}: {device.label}, {device.precision}")
    typer.echo(_why_no_gpu())
    card = network.load_model("bundled").card
    typer.echo(f"bundled model: {card.name} {card.version}, self-test passed")


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
def card(
    model: Annotated[str, typer.Argument(help="'bundled' or the path of a model.")] = "bundled",
) -> None:
    """Print a model's card as JSON."""
    typer.echo(network.read_card(model).model_dump_json(indent=2))


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
    if util.find_spec("napari") is None or _qt_binding() is None:
        raise DeviceError('napari or Qt is not installed: run pip install "napari-smse[all]".')
    # The path comes first: after -w, napari would take it for a widget's name. Without a plugin's
    # name it would ask which of several readers to use.
    launch = [sys.executable, "-m", "napari", str(slide), "--plugin", "napari-smse"]
    command = [*launch, "-w", "napari-smse", "SMSE: Score slide"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


register(app)
