"""Estimate how long slides will take, by scoring each for a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.metrics.estimate import counted
from napari_smse.models.card import ModelCard
from napari_smse.progress import run_task
from napari_smse.scoring import TimeEstimate, estimate
from napari_smse.scoring.device import first_device, usable_cores
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.probe import require_openable
from napari_smse.tiles import TilePlan
from napari_smse.workflows.batch.scorers import BatchReporter, load_on_fastest
from napari_smse.workflows.chosen_tissue import chosen_tissue
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def estimate_slides(
    paths: Sequence[Path],
    model: str,
    card: ModelCard,
    scoring: ScoreSettings,
    reporter: BatchReporter,
    *,
    outlines: BaseGeometry | None = None,
    source_mpp: float | None = None,
) -> list[TimeEstimate]:
    """Score each slide for two seconds, and report what all of it would take; nothing is stored.

    Parameters
    ----------
    paths
        The slides; those that cannot be read are reported, and stop no others.
    model
        ``bundled`` or a path; it is loaded once a slide was opened and planned.
    card
        Of the model.
    scoring
        Which tiles, and on what.
    reporter
        Where to report each slide.
    outlines
        Where to score, (x, y) in level-0 px from the slide's bounds; None for everywhere.
    source_mpp
        um/px of the slides, as the user states it; None for what they state.

    Raises
    ------
    ModelError, DeviceError
        There is no such model or device.
    """
    estimates: list[TimeEstimate] = []
    network = None
    for slide, plan in _planned(paths, card, scoring, reporter, outlines, source_mpp):
        network = network or load_on_fastest(
            model, scoring.device, reporter, precision=scoring.precision
        )
        loaded, devices = network
        try:
            estimated = estimate(slide, loaded, plan, devices, threads=usable_cores())
        except Exception as error:
            reporter.fail(error, slide.path.name)
            continue
        estimates.append(estimated)
        reporter.done(f"{slide.path.name}: {_describe(estimated)}")
    if len(estimates) > 1:
        tiles = sum(estimated.tiles for estimated in estimates)
        seconds = sum(estimated.seconds for estimated in estimates)
        reporter.report(f"In all: {tiles:,} tiles, {describe_time(seconds)}.")
    return estimates


def _planned(
    paths: Sequence[Path],
    card: ModelCard,
    scoring: ScoreSettings,
    reporter: BatchReporter,
    outlines: BaseGeometry | None,
    source_mpp: float | None,
) -> Iterator[tuple[Slide, TilePlan]]:
    """Yield slides, open for as long as they have their turn; the others are reported."""
    for path in paths:
        try:
            if len(paths) > 1:  # a file that ends the process ends the others with it
                require_openable(path)
            slide = open_slide(path, mpp=source_mpp)
        except Exception as error:
            reporter.fail(error, path.name)
            continue
        with slide:
            try:
                request = scoring.request_on(slide, outlines)
                mask = run_task(chosen_tissue(slide, request, first_device(scoring.device)))
                plan = request.plan(slide, card, mask)
            except Exception as error:
                reporter.fail(error, path.name)
                continue
            yield slide, plan


def describe_time(seconds: float) -> str:
    """Return a time in the unit that a person would give it in."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours else f"about {minutes} min"


def _describe(estimated: TimeEstimate) -> str:
    text = f"{counted(estimated.tiles, 'tiles')}, {describe_time(estimated.seconds)}"
    if estimated.bottleneck is None:
        return text
    return f"{text} ({estimated.rate:.0f} tiles/s; {estimated.bottleneck} sets the pace)"
