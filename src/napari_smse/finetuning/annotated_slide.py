"""A scored slide with its annotations and corrections; copies of one slide are merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapely import MultiPolygon

from napari_smse.annotations.tile_labels import union_areas
from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.scoring import ScoreStore
from napari_smse.slides import Slide
from napari_smse.tiles import TissueMask


@dataclass(frozen=True)
class AnnotatedSlide:
    """A slide, what was drawn on it, and what a run stored of it.

    Attributes
    ----------
    slide
        The open slide.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue.
    store
        Its scores by the model to tune.
    case
        The case that it is of, such as a patient.
    corrections
        What was said of single tiles.
    """

    slide: Slide
    regions: Mapping[str, MultiPolygon]
    mask: TissueMask
    store: ScoreStore
    case: str
    corrections: Sequence[TileCorrection] = ()


def duplicates_of(slides: Sequence[AnnotatedSlide]) -> list[AnnotatedSlide]:
    """Return the slides of which another file comes before."""
    seen: dict[str, Path] = {}
    return [
        slide
        for slide in slides
        if seen.setdefault(slide.slide.quick_hash, slide.slide.path) != slide.slide.path
    ]


def merged_by_content(slides: Sequence[AnnotatedSlide]) -> list[AnnotatedSlide]:
    """Give all that are one slide the same file, case, regions and corrections."""
    same: dict[str, list[AnnotatedSlide]] = defaultdict(list)
    for slide in slides:
        same[slide.slide.quick_hash].append(slide)
    return [_merged(slide, same[slide.slide.quick_hash]) for slide in slides]


def _merged(slide: AnnotatedSlide, same: Sequence[AnnotatedSlide]) -> AnnotatedSlide:
    if len(same) == 1:
        return slide
    names = dict.fromkeys(name for other in same for name in other.regions)
    regions = {
        name: union_areas(other.regions[name] for other in same if name in other.regions)
        for name in names
    }
    corrections = tuple(
        dict.fromkeys(correction for other in same for correction in other.corrections)
    )
    first = same[0]
    return replace(
        slide, slide=first.slide, case=first.case, regions=regions, corrections=corrections
    )
