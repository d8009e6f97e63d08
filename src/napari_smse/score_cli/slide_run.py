"""Score slides one after the other, each into a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapely.affinity import translate

from napari_smse.errors import SmseError
from napari_smse.exchange import (
    STORE_NAME,
    RunContext,
    remove_results,
    result_folder_names,
    save_results,
)
from napari_smse.score_cli.console import say, show_progress, tell_error
from napari_smse.scoring import ScoreRequest, describe_scale, open_run, scale_warnings, score
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_smse.network import Model
    from napari_smse.scoring import ComputeDevice


@dataclass(frozen=True)
class SlideRun:
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
        """Print a line, unless only errors are asked for."""
        if not self.quiet:
            say(text, style)

    def score_all(self, paths: Sequence[Path], mpp: float | None) -> int:
        """Score slide after slide, telling of those that fail, and how many."""
        failed = 0
        for path, name in zip(paths, result_folder_names(paths), strict=True):
            try:
                with open_slide(path, mpp=mpp) as slide:
                    self.score(slide, name)
            except (SmseError, OSError) as error:
                tell_error(error)
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
        show_progress(running, name, quiet=self.quiet)
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
