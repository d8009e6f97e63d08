"""Slides with annotations, cut into labelled fields."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from shapely import MultiPolygon, Polygon

from napari_smse.annotations.geojson import (
    NO_LABELS,
    classed_areas,
    count_detections,
    holds_annotations,
    no_class,
)
from napari_smse.annotations.tile_labels import (
    CONFLICT,
    NO_CLASS,
    class_areas,
    label_tiles,
    nearest_areas,
)
from napari_smse.datasets.curation import Candidate, Reading, class_order, usable_images
from napari_smse.datasets.duplicate_slides import first_copies
from napari_smse.datasets.image_header import files_below, leads_out
from napari_smse.datasets.labelled_set import LabelledSet, Skipped
from napari_smse.datasets.readers.slide_cases import (
    CASES,
    case_of_files,
    joined_by_tissue,
    read_cases,
)
from napari_smse.errors import RegionError, named_error
from napari_smse.slides import SLIDE_SUFFIXES, Region, open_slide, slides_in_file
from napari_smse.slides.identity import path_text, slide_name
from napari_smse.slides.remote_path import RemotePath
from napari_smse.tiles import TileGrid, TileSpec, TissueMask, find_tissue

logger = logging.getLogger(__name__)

FIELD_PX: Final = 224
FIELD_MPP: Final = 0.6
"""A field is a tile of 224 px at 0.6 um/px, 134 um wide, so that any finer tile fits in."""

_SUFFIX = ".geojson"


@dataclass(frozen=True)
class SlideToRead:
    """A slide with annotations, under all of its names.

    Attributes
    ----------
    path
        Path of the first of its files.
    annotations
        Annotation files of all of its files; what is drawn in any of them counts.
    case
        The case that it is of, such as a patient.
    """

    path: Path
    annotations: tuple[Path, ...]
    case: str

    def regions(self, origin: tuple[int, int]) -> dict[str, MultiPolygon]:
        """Return what is annotated of each class, level-0 px.

        Of several files, one that cannot be used is left out with a warning in the log.

        Raises
        ------
        RegionError
            No file of annotations can be read and holds any with a class.
        """
        read: list[tuple[str, Polygon]] = []
        problems: list[RegionError] = []
        for path in self.annotations:
            try:
                areas = classed_areas(path, bounds_origin=origin)
                if not any(name for name, _ in areas):
                    raise no_class(path)
                read += areas
            except RegionError as error:
                problems.append(error)
        found = class_areas(read)
        if not found:
            raise problems[0] if problems else no_class(self.annotations[0])
        for problem in problems:
            logger.warning("%s", problem)
        return found


@dataclass(frozen=True)
class Field:
    """A square piece of a slide.

    Attributes
    ----------
    region
        Level-0 px.
    label
        Class that holds at least half of its tissue; empty if classes compete for it.
    drawn
        The region of that class that it lies in.
    """

    region: Region
    label: str
    drawn: str = ""


def find_annotation(slide: Path) -> Path | None:
    """Return the annotations beside a slide, named after it with or without its suffix.

    Where there are two files, one that holds tiles only goes after the other. None are looked for
    beside a slide at an address.
    """
    if isinstance(slide, RemotePath):
        return None
    names = dict.fromkeys((slide.name, slide_name(slide)))
    candidates = [slide.with_name(name + _SUFFIX) for name in names]
    candidates = [path for path in candidates if path.is_file()]
    if len(candidates) > 1:
        candidates.sort(key=lambda path: not holds_annotations(path))
    return candidates[0] if candidates else None


def slides_below(folder: Path) -> list[Path]:
    """Return the slides in a folder at any depth, in order.

    Of a file with several slides each, if annotations of one of them are there.
    """
    files = list(files_below(folder))
    slides = [path for path in files if path.suffix.lower() in SLIDE_SUFFIXES]
    if not any("#" in path.name for path in files if path.suffix.lower() == _SUFFIX):
        return slides  # to look into each file of a large set takes its time
    return [part for path in slides for part in slides_in_file(path)]


def holds_annotated_slides(folder: Path) -> bool:
    """Tell whether a folder holds, at any depth, a slide with annotations of its name.

    Exported tiles and detections are no annotations.
    """
    return any(holds_annotations(path) for path in _beside_slides(folder))


def detections_beside_slides(folder: Path) -> Path | None:
    """Return the first file of a slide's name in a folder that holds nothing but detections."""
    annotations = _beside_slides(folder)
    return next((path for path in annotations if not holds_annotations(path)), None)


def _beside_slides(folder: Path) -> Iterator[Path]:
    for slide in slides_below(folder):
        if (path := find_annotation(slide)) is not None:
            yield path


def read_annotated_slides(folder: Path, reading: Reading) -> LabelledSet:
    """Cut annotated slides into labelled fields.

    Annotations are GeoJSON as QuPath exports it, named as the slide (``a.svs`` has
    ``a.geojson`` or ``a.svs.geojson``), counted from OpenSlide's bounds; a class is
    ``properties.classification.name``. A field of 134 um takes a class if at least half of
    its tissue lies in regions of that class. Fields where two classes each hold more than a
    quarter of the tissue are skipped, and so are fields with less than a quarter of tissue.

    The case of a slide is what ``cases.csv`` (columns ``slide`` and ``case``) in the folder says,
    else what its annotations say, else what its name suggests (`annotations.case_id.guess_case`).
    Files that show the same slide are one, with the annotations of all of them; fields that these
    contradict each other about are skipped as other conflicts are. Slides that show the same tissue
    in other pixels are one case.

    Parameters
    ----------
    folder
        Searched at any depth.
    reading
        How to read it; its `mpp` overrides what the slides say.

    Raises
    ------
    DataError
        ``cases.csv`` cannot be read, or gives a slide two cases.
    """
    slides, skipped = slides_to_read(folder)
    candidates: list[Candidate] = []
    for slide in slides:
        try:
            fields, mpp = _cut_fields(slide, reading.mpp)
        except Exception as error:
            skipped.append(Skipped(slide.path, str(named_error(error, slide.path.name))))
            continue
        skipped += unusable_annotations(slide.annotations)
        skipped += [Skipped(slide.path, _conflict(cut.region)) for cut in fields if not cut.label]
        candidates += [_candidate(slide.path, slide.case, cut, mpp) for cut in fields if cut.label]
    used = {find_annotation(path) for path in slides_below(folder)}
    lost = [path for path in files_below(folder) if path.suffix.lower() == _SUFFIX]
    skipped += [Skipped(path, "has no slide of its name") for path in lost if path not in used]
    names = class_order(reading.classes.get(field.label, field.label) for field in candidates)
    return usable_images(candidates, folder, reading, classes=names, skipped=skipped)


def slides_to_read(folder: Path) -> tuple[list[SlideToRead], list[Skipped]]:
    """Return the annotated slides in a folder, each once whatever it is called, and what is not.

    Raises
    ------
    DataError
        ``cases.csv`` cannot be read, or gives a slide two cases.
    """
    skipped: list[Skipped] = []
    annotated: dict[Path, Path] = {}
    for path in slides_below(folder):
        annotation = find_annotation(path)
        if annotation is None:
            skipped.append(Skipped(path, "has no annotations of the same name"))
        elif leads_out(path, folder) or leads_out(annotation, folder):
            skipped.append(Skipped(path, "lies outside the folder"))
        else:
            annotated[path] = annotation
    names: dict[Path, list[Path]] = defaultdict(list)
    for path, first_path in first_copies(annotated).items():
        names[first_path].append(path)
        if path != first_path:
            skipped.append(Skipped(path, same_slide(first_path)))
    cases = read_cases(folder / CASES)
    slides = []
    for first_path, paths in names.items():
        annotations = dict.fromkeys(annotated[path] for path in paths)
        # Tiles beside one of the files take nothing from what is drawn beside another.
        drawn = [path for path in annotations if len(annotations) == 1 or holds_annotations(path)]
        case = case_of_files(paths, annotations, cases, folder / CASES)
        slides.append(SlideToRead(first_path, tuple(drawn or annotations), case))
    joined = joined_by_tissue([(slide.path, slide.case) for slide in slides])
    return [replace(slide, case=joined[slide.case]) for slide in slides], skipped


def same_slide(first_path: Path) -> str:
    """Return the reason why another file of a slide is not read."""
    return (
        f"is the same slide as {first_path.name}: they are one case, with the annotations of both"
    )


def unusable_annotations(annotations: Iterable[Path]) -> list[Skipped]:
    """Return which files of annotations also hold what is none, or cannot be read."""
    problems = []
    for path in annotations:
        try:
            detections = count_detections(path)
        except RegionError as error:
            problems.append(Skipped(path, str(error)))
            continue
        if detections:
            problems.append(Skipped(path, f"also holds {detections} {NO_LABELS}"))
    return problems


def cut_fields(path: Path, annotation: Path, mpp: float | None = None) -> tuple[list[Field], float]:
    """Return the fields of a slide that lie in annotated tissue, and the slide's um/px.

    Raises
    ------
    SmseError
        The slide cannot be read or has no um/px, or its annotations hold no classes.
    """
    return _cut_fields(SlideToRead(path, (annotation,), ""), mpp)


def _cut_fields(slide_to_read: SlideToRead, mpp: float | None) -> tuple[list[Field], float]:
    with open_slide(slide_to_read.path, mpp=mpp) as slide:
        regions = slide_to_read.regions((slide.bounds.x, slide.bounds.y))
        grid = TileGrid(TileSpec(FIELD_PX, FIELD_MPP, slide.mpp), slide.bounds)
        return list(_labelled(grid, regions, find_tissue(slide))), slide.mpp


def _labelled(
    grid: TileGrid, regions: Mapping[str, MultiPolygon], mask: TissueMask
) -> Iterator[Field]:
    rows, columns = (
        index.ravel()
        for index in np.meshgrid(np.arange(grid.rows), np.arange(grid.columns), indexing="ij")
    )
    x, y = grid.left(columns), grid.top(rows)
    names, labels = list(regions), label_tiles(x, y, grid.edge, regions, mask)
    for i in np.flatnonzero(labels != NO_CLASS):
        region = Region(int(x[i]), int(y[i]), grid.edge, grid.edge)
        if labels[i] == CONFLICT:
            yield Field(region, "")
            continue
        name = names[labels[i]]
        (area,) = nearest_areas(x[i : i + 1], y[i : i + 1], grid.edge, regions[name])
        yield Field(region, name, f"{name} {area}")


def _conflict(region: Region) -> str:
    return f"has a field claimed by two classes, at {region.x}, {region.y} (level-0 px)"


def _candidate(path: Path, case: str, field: Field, mpp: float) -> Candidate:
    return Candidate(
        path=path,
        label=field.label,
        case=case,
        mpp=mpp,
        columns={"label": field.label, "slide": path_text(slide_name(path)), "case": case},
        size=(field.region.width, field.region.height),
        region=field.region,
        drawn=field.drawn,
    )
