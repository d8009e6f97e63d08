"""A folder of annotated slides as the viewer would learn from it: the same tiles, scored first."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import shapely
from shapely import Polygon

from napari_smse.annotations.tile_notes import PairConstraint, TileNotes, read_tile_notes
from napari_smse.datasets.labelled_set import Skipped
from napari_smse.datasets.readers.annotated_slides import (
    SlideToRead,
    slides_to_read,
    unusable_annotations,
)
from napari_smse.errors import DataError, named_error
from napari_smse.finetuning.annotated_slide import AnnotatedSlide
from napari_smse.finetuning.annotated_tiles import AnnotatedTiles, annotated_tiles
from napari_smse.finetuning.learnable_classes import learnable_tiles
from napari_smse.models import Model
from napari_smse.progress import Progress, Task
from napari_smse.scoring import ComputeDevice, ScoreRequest, ScoreStore, score, select_runtime
from napari_smse.slides import Slide, open_slide

DEFAULT_MPPS: Final = (0.5,)


def scored_annotations(
    folder: Path,
    model: Model,
    device: ComputeDevice,
    *,
    mpps: Sequence[float] = DEFAULT_MPPS,
    mpp: float | None = None,
) -> Task[AnnotatedTiles]:
    """Score the annotated parts of slides and label their tiles, with progress in slides.

    The tiles are those that the viewer scores: as its grid hangs on the slide's corner, it does
    not matter that only what is annotated is scored here. Their embeddings are the viewer's, too,
    as the model is run in the same way, the one that `select_runtime` decided on.

    Parameters
    ----------
    folder
        Slides with GeoJSON annotations of the same name, at any depth, and ``cases.csv`` where a
        case has several slides.
    model
        To fine-tune.
    device
        Where it runs, as chosen: the fastest way to run the model there is looked up, or found.
    mpps
        Scales of the tiles, um/px.
    mpp
        um/px of slides that state none.

    Raises
    ------
    DataError
        No slide can be learnt from; the message tells why the first cannot.
    """
    device = select_runtime(device, model)
    found: list[AnnotatedSlide] = []
    links: list[PairConstraint] = []
    wanted, skipped = slides_to_read(folder)
    with ExitStack() as stack:
        stores = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-smse-")))
        for number, to_read in enumerate(wanted):
            yield Progress(number, len(wanted))
            try:
                slide = stack.enter_context(open_slide(to_read.path, mpp=mpp))
                store = stores / f"{number}.zarr"
                one, notes = _scored(slide, to_read, model, device, mpps, store)
            except Exception as error:
                skipped.append(Skipped(to_read.path, str(named_error(error, to_read.path.name))))
                continue
            found.append(one)
            links += notes.constraints
            skipped += unusable_annotations(to_read.annotations)
        yield Progress(len(wanted), len(wanted))
        if not found:
            why = f": {skipped[0].path.name} {skipped[0].reason}" if skipped else ""
            raise DataError(f"No slide in {folder} can be learnt from{why}.")
        drawn = list(dict.fromkeys(name for annotated in found for name in annotated.regions))
        tiles = learnable_tiles(
            model.card.classes, drawn, lambda classes: annotated_tiles(found, classes, links)
        )
    return replace(tiles, labelled_set=replace(tiles.labelled_set, skipped=tuple(skipped)))


def _scored(
    slide: Slide,
    to_read: SlideToRead,
    model: Model,
    device: ComputeDevice,
    mpps: Sequence[float],
    path: Path,
) -> tuple[AnnotatedSlide, TileNotes]:
    """Score what is annotated of a slide into a store at a path."""
    regions = to_read.regions((slide.bounds.x, slide.bounds.y))
    notes = _notes_of(to_read)
    roi = shapely.union_all([*regions.values(), *_tiles_spoken_of(slide, notes)])
    plan = ScoreRequest(tuple(mpps), roi=roi).plan(slide, model.card)
    store = ScoreStore.create(path, plan, model.card.classes, model.card.embedding_dim, {})
    for _ in score(slide, model, plan, store, device):
        pass
    return AnnotatedSlide(slide, regions, plan.mask, store, to_read.case, notes.corrections), notes


def _notes_of(to_read: SlideToRead) -> TileNotes:
    """Return links and corrections in all annotations of a slide."""
    notes = [read_tile_notes(path) for path in to_read.annotations]
    return TileNotes(
        tuple(dict.fromkeys(link for note in notes for link in note.constraints)),
        tuple(dict.fromkeys(correction for note in notes for correction in note.corrections)),
    )


def _tiles_spoken_of(slide: Slide, notes: TileNotes) -> list[Polygon]:
    """Return where the tiles of a slide lie that have a link or a correction, level-0 px."""
    ends = [end for link in notes.constraints for end in (link.first, link.second)]
    places = [place for place in ends if place.slide == slide.quick_hash]
    places += [
        correction.place
        for correction in notes.corrections
        if correction.place.slide == slide.quick_hash
    ]
    return [
        shapely.box(place.x + 1, place.y + 1, place.x + place.width - 1, place.y + place.height - 1)
        for place in places
    ]
