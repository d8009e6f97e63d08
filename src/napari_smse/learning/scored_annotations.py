"""A folder of annotated slides as the viewer would learn from it: the same tiles, scored first."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import shapely
from shapely import Polygon

from napari_smse.errors import DataError, SmseError
from napari_smse.learning.annotated_slides import (
    CASES,
    annotation_of,
    left_out_of,
    read_cases,
    slides_below,
)
from napari_smse.learning.annotated_tiles import (
    AnnotatedSlide,
    AnnotatedTiles,
    annotated_tiles,
)
from napari_smse.learning.labelled_set import Skipped
from napari_smse.learning.learnt_classes import learnable_tiles
from napari_smse.network import Model
from napari_smse.scoring import ComputeDevice, ScoreRequest, ScoreStore, on_fastest, score
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.identity import slide_name
from napari_smse.tiles import read_class_regions
from napari_smse.tiles.tile_notes import TileLink, TileNotes, read_tile_notes

USUAL_MPPS: Final = (0.5,)


def scored_annotations(
    folder: Path,
    model: Model,
    device: ComputeDevice,
    *,
    mpps: Sequence[float] = USUAL_MPPS,
    mpp: float | None = None,
) -> Generator[tuple[int, int], None, AnnotatedTiles]:
    """Score the annotated parts of slides and label their tiles, yielding slides done and wanted.

    The tiles are those that the viewer scores: as its grid hangs on the slide's corner, it does
    not matter that only what is annotated is scored here. Their embeddings are the viewer's, too,
    as the model is run in the same way, the one that `on_fastest` decided on.

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
    cases = read_cases(folder / CASES)
    device = on_fastest(device, model)
    found: list[AnnotatedSlide] = []
    links: list[TileLink] = []
    skipped: list[Skipped] = []
    paths = slides_below(folder)
    with ExitStack() as kept:
        stores = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="napari-smse-")))
        for number, path in enumerate(paths):
            yield number, len(paths)
            case = cases.get(path.name) or cases.get(slide_name(path)) or slide_name(path)
            try:
                annotation = annotation_of(path)
                if annotation is None:
                    raise DataError("has no annotations of the same name")
                slide = kept.enter_context(open_slide(path, mpp=mpp))
                store = stores / f"{number}.zarr"
                one, notes = _scored(slide, annotation, case, model, device, mpps, store)
                skipped += left_out_of(annotation)
            except SmseError as error:
                skipped.append(Skipped(path, str(error)))
                continue
            found.append(one)
            links += notes.links
        yield len(paths), len(paths)
        if not found:
            why = f": {skipped[0].path.name} {skipped[0].reason}" if skipped else ""
            raise DataError(f"No slide in {folder} can be learnt from{why}.")
        drawn = list(dict.fromkeys(name for one in found for name in one.regions))
        tiles = learnable_tiles(
            model.card.classes, drawn, lambda classes: annotated_tiles(found, classes, links)
        )
    return replace(tiles, labelled_set=replace(tiles.labelled_set, skipped=tuple(skipped)))


def _scored(
    slide: Slide,
    annotation: Path,
    case: str,
    model: Model,
    device: ComputeDevice,
    mpps: Sequence[float],
    path: Path,
) -> tuple[AnnotatedSlide, TileNotes]:
    """Score what is annotated of a slide into a store at a path."""
    origin = (slide.bounds.x, slide.bounds.y)
    regions = read_class_regions(annotation, bounds_origin=origin)
    notes = read_tile_notes(annotation)
    roi = shapely.union_all([*regions.values(), *_tiles_spoken_of(slide, notes)])
    plan = ScoreRequest(tuple(mpps), roi=roi).plan(slide, model.card)
    store = ScoreStore.create(path, plan, model.card.classes, model.card.embedding_dim, {})
    for _ in score(slide, model, plan, store, device):
        pass
    return AnnotatedSlide(slide, regions, plan.mask, store, case, notes.remarks), notes


def _tiles_spoken_of(slide: Slide, notes: TileNotes) -> list[Polygon]:
    """Return where the tiles of a slide lie that have a link or a remark, level-0 px."""
    ends = [end for link in notes.links for end in (link.first, link.second)]
    places = [place for place in ends if place.slide == slide.quick_hash]
    places += [one.place for one in notes.remarks if one.place.slide == slide.quick_hash]
    return [
        shapely.box(one.x + 1, one.y + 1, one.x + one.width - 1, one.y + one.height - 1)
        for one in places
    ]
