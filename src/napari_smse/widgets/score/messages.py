"""What the Score dock says of a run."""

from __future__ import annotations

from typing import Final

from napari_smse.metrics.estimate import counted
from napari_smse.scoring import ScoringProgress
from napari_smse.slides import Slide
from napari_smse.workflows.scored_slide import Run

NOTICE: Final = "Research use only: not for diagnosis."
NO_SLIDE: Final = "Open a slide first: File > Open."
CANCELLED: Final = "Cancelled. Run goes on from here."
SLIDE_CLOSED: Final = "Stopped, as the slide was closed. Opened again, Run goes on from here."
OTHER_SCALE: Final = "Stopped, as what was scored was of other µm/px: press Run again."


def describe_run(run: Run | None) -> str:
    """Say which model the scores of a run are by; nothing without one."""
    if run is None:
        return ""
    tuned = "" if run.base is None else f", fine-tuned from {run.base.card.name}"
    tiles = counted(run.plan.tile_count, "tiles") if run.store.complete else "not all tiles yet"
    does = "Scored" if run.card.knows_classes else "Embedded"
    text = f"{does} by {run.card.name} {run.card.version}{tuned}: {tiles}."
    return text if run.card.knows_classes else f"{text} {no_classes(run)}"


def describe_choice(chosen: str, run: Run | None) -> str:
    """Say what was chosen to score with, and what is shown until that is done.

    Parameters
    ----------
    chosen
        What is said of the model that was chosen; empty if none was.
    run
        The run that is shown.
    """
    if run is None or not chosen:
        return chosen or describe_run(run)
    return f"{chosen} What is shown: {describe_run(run)}"


def no_classes(run: Run) -> str:
    """Say what can be done with the tiles of a run by a model that knows no classes."""
    return (
        f"{run.card.name} knows no classes, so there is no map. Draw regions and fine-tune to "
        "teach it some; similar tiles and the embedding map need none."
    )


def describe_end(run: Run, progress: ScoringProgress | None) -> str:
    """Say how far a run came, on what, and what its bottleneck was.

    Parameters
    ----------
    run
        The run, which is over.
    progress
        The last progress; None if there was nothing left to score.
    """
    total, how = run.plan.tile_count, run.device.how
    by = f"by {run.card.name} {run.card.version}"
    text = f"Done: {counted(total, 'tiles')} {by} on {how}."
    if not run.store.complete:
        done = 0 if progress is None else progress.done
        text = (
            f"Time is up: {done:,} of {total:,} tiles {by} on {how}, all tissue at least once. Run "
            "looks closer for as long again."
        )
    if progress is not None and progress.bottleneck is not None:
        slowest = progress.bottleneck
        text += f" {slowest[0].upper()}{slowest[1:]} set the pace."
    return text if run.card.knows_classes else f"{text} {no_classes(run)}"


def describe_scale_source(slide: Slide) -> str:
    """Say where a slide's um/px come from, or that they are to be typed."""
    if slide.scale.mpp is None:
        if slide.scale.rejected is not None:
            return f"the file says {slide.scale.rejected:g}, which cannot be: type it"
        return "type it, e.g. 0.25"
    return f"from {slide.scale.source}"


def describe_size(slide: Slide | None) -> str:
    """Say how large a slide is, px and mm; or what to do without one."""
    if slide is None:
        return "Open a slide with File > Open."
    size = f"{slide.width:,} x {slide.height:,} px"
    if slide.scale.mpp is None:
        return size
    width, height = (side * slide.scale.mpp / 1000 for side in (slide.width, slide.height))
    return f"{size}, {width:.2f} x {height:.2f} mm, {counted(len(slide.levels), 'levels')}"
