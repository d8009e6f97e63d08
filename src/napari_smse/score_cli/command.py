"""`napari-smse score`: its options, and what stops it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_smse import network
from napari_smse.errors import DeviceError, SmseError
from napari_smse.exchange import read_regions
from napari_smse.network import read_card
from napari_smse.score_cli.console import tell
from napari_smse.score_cli.found_slides import find_slides
from napari_smse.score_cli.scorers import WorkerScorer, score_here, workers
from napari_smse.score_cli.slides_to_score import Asked, SlideToScore, slides_to_score
from napari_smse.score_cli.slides_told import SlidesTold
from napari_smse.score_cli.target import target_of
from napari_smse.scoring import ScoreRequest, choose_device, on_fastest, parse_scale
from napari_smse.tiles import TileSpec

if TYPE_CHECKING:
    from napari_smse.network import Model
    from napari_smse.scoring import ComputeDevice


def score_slides(
    slides: Annotated[
        list[str],
        typer.Argument(help="Slides, folders of them, or patterns.", show_default=False),
    ],
    out: Annotated[str, typer.Option(help="Folder for the results, or a URL.", show_default=False)],
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
    local_workers: Annotated[
        int | None, typer.Option(help="Score by so many processes of this machine.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Score by the workers of a Dask scheduler (tcp://…).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Score slides: tables, heat maps and embeddings, a folder for each slide.

    A folder stands for all slides in it and below. What was scored before is not scored again.
    """
    if quiet:
        logging.getLogger("napari_smse").setLevel(logging.ERROR)
    if local_workers is not None and scheduler is not None:
        raise DeviceError("Give --local-workers or --scheduler, not both.")
    # Whatever is wrong with all slides alike is told once, before anything takes time.
    asked = Asked(
        target=target_of(out),
        request=_request(mpp or ["0.5"], overlap, min_tissue),
        card=read_card(model),
        outlines=None if roi is None else read_regions(roi),
        mpp=slide_mpp,
        exact=exact,
        geojson=geojson,
        overwrite=overwrite,
    )
    wanted = slides_to_score(find_slides(slides), asked)
    scoring = Scoring(model, device, local_workers, scheduler)
    try:
        with SlidesTold(len(wanted), quiet=quiet) as told:
            scoring.score(wanted, asked, told)
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        tell(f"Stopped. What was scored is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    if told.failed:
        if len(wanted) > 1:
            tell(f"{told.failed} of {len(wanted)} slides could not be scored.")
        raise typer.Exit(1)


def _request(scales: Sequence[str], overlap: float, min_tissue: float) -> ScoreRequest:
    mpps = tuple(parse_scale(text) for text in scales)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue)


@dataclass(frozen=True)
class Scoring:
    """How slides are scored.

    Parameters
    ----------
    model, device
        By name.
    local_workers, scheduler
        Which workers score, if any.
    """

    model: str
    device: str
    local_workers: int | None
    scheduler: str | None

    def score(self, slides: Sequence[SlideToScore], asked: Asked, told: SlidesTold) -> None:
        """Score what is not finished; torch is there only from then on."""
        slides = [one for one in slides if not _is_settled(one, told)]
        if not slides:
            return
        if self.local_workers is None and self.scheduler is None:
            model, device = self._loaded(asked, told)
            score_here(slides, model, device, told)
            return
        with workers(self.local_workers, self.scheduler) as client:
            model, device = self._loaded(asked, told)
            WorkerScorer(client, model, self.model, device).score(slides, told)

    def _loaded(self, asked: Asked, told: SlidesTold) -> tuple[Model, ComputeDevice]:
        device = choose_device(self.device, exact=asked.exact)
        model = network.load_model(self.model)
        if not asked.exact:
            device = on_fastest(device, model)
        told.say(f"Model {model.card.name} on {device.how}. Research use only.")
        return model, device


def _is_settled(slide: SlideToScore, told: SlidesTold) -> bool:
    """Whether nothing is left to do for a slide: it was scored already, or cannot be."""
    try:
        finished = slide.is_finished()
    except (SmseError, OSError) as error:
        told.fail(error)
        return True
    if finished:
        told.done(f"{slide.path.name}: already scored, results in {slide.where}")
    return finished
