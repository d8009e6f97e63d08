"""Which scored slides a map of the embedding space is made of, and whether it is out of date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.errors import SmseError
from napari_smse.slides import Slide
from napari_smse.widgets.layers.slide_layers import slide_layers, slide_of
from napari_smse.workflows.embedding_map import MappedSlide
from napari_smse.workflows.score_slide import RUN_KEY
from napari_smse.workflows.scored_slide import Run


@dataclass(frozen=True)
class MappedRun:
    """A slide in the viewer, and its last run."""

    layer: Image
    slide: Slide
    started: Run

    @property
    def model(self) -> str:
        """Hash of the weights that scored it; embeddings of others do not compare."""
        return self.started.card.weights_sha256


def scored_runs(viewer: ViewerModel) -> list[MappedRun]:
    """Return the runs on the slides of a viewer; a slide whose file is gone is left out."""
    found = []
    for layer in slide_layers(viewer):
        started = layer.metadata.get(RUN_KEY)
        if isinstance(started, Run):
            try:
                found.append(MappedRun(layer, slide_of(layer), started))
            except SmseError:
                continue
    return found


def of_one_model(runs: Sequence[MappedRun]) -> tuple[list[MappedRun], list[MappedRun]]:
    """Divide runs into those that the first one's model made, and the others."""
    same = [run for run in runs if run.model == runs[0].model]
    return same, [run for run in runs if run.model != runs[0].model]


def describe_left_out(runs: Sequence[MappedRun]) -> str:
    """Say which slides are not in a map because of their models; nothing if there are none."""
    if not runs:
        return ""
    names = ", ".join(f"{run.slide.name} ({run.started.card.name})" for run in runs)
    return f"Left out, as scored by another model: {names}. Choose the slide to see it alone."


def describe_changes(mapped: Sequence[MappedSlide], wanted: Sequence[MappedRun]) -> str:
    """Say why a map is out of date; nothing if it is not."""
    known = {one.slide.quick_hash: one for one in mapped}
    for run in wanted:
        old = known.get(run.slide.quick_hash)
        if old is None:
            return f"{run.slide.name} is not in the map yet: press Refresh."
        if old.started is not run.started:
            return f"{run.slide.name} was scored again: press Refresh to see the new results."
        if not old.finished and run.started.store.finished:
            return f"{run.slide.name} is scored to the end now: press Refresh."
        if not old.finished:
            return (
                f"{run.slide.name} is not scored to the end: the map shows {len(old.tiles):,} "
                "tiles, and Refresh those that were added since."
            )
    gone = set(known) - {run.slide.quick_hash for run in wanted}
    return "A slide of the map was closed: press Refresh." if gone else ""
