"""A file that somebody has, as the tissue of a slide: drawn in GeoJSON, or weights of a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from napari_smse.annotations.geojson import DrawnArea, read_annotated_areas
from napari_smse.annotations.tile_labels import is_ignored
from napari_smse.errors import MaskError, RegionError
from napari_smse.progress import Task
from napari_smse.scoring.device import choose_device
from napari_smse.segmentation.networks import mpp_in_name
from napari_smse.slides import Slide
from napari_smse.tiles import Ground, TissueMask
from napari_smse.tiles.mask_choice import MaskChoice, mask_sha256
from napari_smse.tiles.tissue import overview_mpp

DRAWN: Final = (".geojson", ".json")
"""Endings of masks that are drawn; all others are weights."""

_BESIDE: Final = 0.02
"""Share of a slide's side that an outline may reach over its edge, as outlines are rounded."""

_NAMED: Final = {
    Ground.GLASS: r"\bbackground\b|\bglass\b|\bno tissue\b|\bholes?\b",
    Ground.FOLD: r"\bfold(s|ed|ing)?\b",
    Ground.PEN: r"\bpen\b|\bpen ?mark|\bink\b",
    Ground.BLUR: r"\bout of focus\b|\bblur|\boof\b",
    Ground.BUBBLE: r"\bbubbles?\b|\bslide edge\b|\bcover ?slip",
    Ground.FOREIGN: r"\bforeign\b|\bdark ?spot|\bdebris\b|\bdust\b",
}
"""What kind of ground a class means by its name; any other is tissue."""


def choose_mask(
    path: Path, slide: Slide, left_out: frozenset[Ground], mpp: float | None = None
) -> MaskChoice:
    """Return what a slide's tissue is to be taken from.

    Parameters
    ----------
    path
        GeoJSON, weights, or a folder with a GeoJSON for each slide, by its name.
    slide
        The slide.
    left_out
        The artefacts that are not scored.
    mpp
        um/px that a network is to run at, if its file's name does not say it.

    Raises
    ------
    MaskError
        It is not there.
    """
    file = _of_slide(path, slide) if path.is_dir() else path.absolute()
    drawn = is_drawn(file)
    scale = None if drawn else (mpp if mpp is not None else mpp_in_name(file))
    return MaskChoice(file, mask_sha256(file), left_out, scale)


def is_drawn(path: Path) -> bool:
    """Whether a mask is drawn, and so at hand; weights take a network minutes."""
    return path.suffix.lower() in DRAWN


def _of_slide(folder: Path, slide: Slide) -> Path:
    names = dict.fromkeys([slide.name, slide.path.stem, slide.path.name])
    for name in names:
        for suffix in DRAWN:
            if (file := folder / f"{name}{suffix}").is_file():
                return file.absolute()
    raise MaskError(
        f"{folder} holds no tissue mask of {slide.path.name}: name it {slide.name}.geojson."
    )


def mask_from(
    choice: MaskChoice,
    slide: Slide,
    by_colour: TissueMask,
    device: str = "auto",
    threads: int | None = None,
) -> Task[TissueMask]:
    """Find the tissue of a slide by a file.

    Parameters
    ----------
    choice
        The file.
    slide
        The slide, as it is to be read.
    by_colour
        Its tissue by colour: the result has its pixels and its stain.
    device
        That a network runs on, by its name.
    threads
        CPU threads for a network; None for torch's own number.

    Raises
    ------
    MaskError
        The file cannot be read, or is of another slide.
    DeviceError
        There is no such device.
    SlideError
        The slide cannot be read.
    """
    if is_drawn(choice.path):
        yield from ()
        ground = drawn_ground(choice.path, slide, by_colour)
        notice = f"Tissue as drawn in {choice.path.name}."
    else:
        ground, notice = yield from _by_network(choice, slide, by_colour, device, threads)
    return TissueMask(ground, by_colour.region, by_colour.stain, choice.left_out, notice)


def _by_network(
    choice: MaskChoice, slide: Slide, by_colour: TissueMask, device: str, threads: int | None
) -> Task[tuple[NDArray[np.uint8], str]]:
    # Only now is torch imported, for which a dock must not wait.
    import torch

    from napari_smse.segmentation import weights
    from napari_smse.segmentation.windows import segment_slide

    name = choose_device(device.split(",")[0]).torch_name
    segmenter = weights.load_segmenter(choice.path, choice.mpp, name)
    if threads is not None:
        torch.set_num_threads(threads)
    shape = by_colour.ground.shape[0], by_colour.ground.shape[1]
    mpp = overview_mpp(slide.bounds, slide.mpp)
    ground = yield from segment_slide(slide, segmenter, mpp, shape)
    return ground, segmenter.network.notice


def drawn_ground(path: Path, slide: Slide, by_colour: TissueMask) -> NDArray[np.uint8]:
    """Return what a drawing says that a slide shows.

    What is drawn of an artefact lies over tissue. Where no tissue is drawn, but artefacts are, they
    lie over the tissue by colour.

    Parameters
    ----------
    path
        GeoJSON; (x, y) in level-0 px, or, as QuPath writes it, from the corner of the slide's
        bounds.
    slide
        The slide.
    by_colour
        Its tissue by colour.

    Returns
    -------
    ``(h, w)`` uint8 of `Ground`

    Raises
    ------
    MaskError
        It cannot be read, or reaches beyond the slide.
    """
    try:
        areas = list(read_annotated_areas(path))
    except RegionError as error:
        raise MaskError(str(error)) from error
    drawn = [(ground_named(area.class_name), _outlines(area, slide)) for area in areas]
    _require_on(slide, [outline for _, outlines in drawn for outline in outlines], path)
    kinds = {kind for kind, outlines in drawn if outlines}
    if not kinds - {Ground.GLASS}:
        raise MaskError(f"{path} holds no outline of tissue: draw some, or take another file.")
    has_tissue = Ground.TISSUE in kinds
    ground = np.zeros_like(by_colour.ground) if has_tissue else by_colour.ground.copy()
    # Tissue first, then what is cut out of it or lies over it.
    for kind in sorted(kinds, key=lambda one: (one != Ground.TISSUE, one)):
        outlines = [outline for of, several in drawn if of == kind for outline in several]
        ground[_within(outlines, by_colour)] = kind
    return ground


def ground_named(class_name: str) -> Ground:
    """Return what kind of ground a class is by its name; tissue unless it says otherwise."""
    if is_ignored(class_name):
        return Ground.GLASS
    # As words: GrandQC writes PenMarking, others pen_marking.
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", class_name).lower()
    return next((kind for kind, name in _NAMED.items() if re.search(name, words)), Ground.TISSUE)


def _outlines(area: DrawnArea, slide: Slide) -> list[Polygon]:
    properties = area.feature.get("properties") or {}
    # QuPath says what an object is, and counts from the corner of the bounds.
    by_qupath = "objectType" in properties or str(area.feature.get("id", "")).startswith("Path")
    if not by_qupath:
        return area.polygons
    corner = np.array([slide.bounds.x, slide.bounds.y])
    return [shapely.transform(one, lambda points: points + corner) for one in area.polygons]


def _require_on(slide: Slide, outlines: Sequence[Polygon], path: Path) -> None:
    if not outlines:
        return
    left, top, right, bottom = shapely.total_bounds(outlines)
    over = (
        max(-left, right - slide.width) / slide.width,
        max(-top, bottom - slide.height) / slide.height,
    )
    if max(over) > _BESIDE:
        raise MaskError(
            f"{path} is a mask of another slide, or at another scale: its outlines reach from "
            f"({left:.0f}, {top:.0f}) to ({right:.0f}, {bottom:.0f}), and {slide.path.name} has "
            f"{slide.width} x {slide.height} px. Coordinates are those of level 0."
        )


def _within(outlines: Sequence[Polygon], mask: TissueMask) -> NDArray[np.bool_]:
    """Tell which overview pixels have their centre in an outline, (h, w)."""
    inside = np.zeros(mask.ground.shape, dtype=bool)
    across, down = mask.cell
    for outline in outlines:
        rows, columns = _about(outline, mask)
        x = mask.region.x + (np.arange(columns.start, columns.stop) + 0.5) * across
        y = mask.region.y + (np.arange(rows.start, rows.stop) + 0.5) * down
        shapely.prepare(outline)
        for row, found in zip(range(rows.start, rows.stop), _rows(outline, x, y), strict=True):
            inside[row, columns] |= found
    return inside


def _rows(
    outline: Polygon, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Iterator[NDArray[np.bool_]]:
    """Yield which places of each row lie in an outline; row by row, as coordinates take memory."""
    for at in y:
        yield shapely.contains_xy(outline, x, np.full_like(x, at))


def _about(outline: Polygon, mask: TissueMask) -> tuple[slice, slice]:
    """Return rows and columns of the pixels that an outline may hold."""
    (height, width), (across, down) = mask.ground.shape, mask.cell
    left, top, right, bottom = outline.bounds
    rows, columns = (
        slice(
            min(max(0, int((low - corner) // size)), count),
            min(max(0, int((high - corner) // size) + 1), count),
        )
        for low, high, corner, size, count in (
            (top, bottom, mask.region.y, down, height),
            (left, right, mask.region.x, across, width),
        )
    )
    return rows, columns
