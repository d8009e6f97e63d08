"""What a region of a slide looks for: the embeddings of its tiles."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_smse.errors import QueryError, RegionError
from napari_smse.models import read_card
from napari_smse.scoring import ScoreRequest, open_run, score
from napari_smse.scoring.device import usable_cores
from napari_smse.similarity.index.hits import ExcludedRegion
from napari_smse.similarity.index.shard import IndexedSlide
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Region, Slide
from napari_smse.workflows.batch.scorers import load_on_fastest


@dataclass(frozen=True)
class RegionQuery:
    """What to look for.

    Attributes
    ----------
    region
        On the slide, level-0 px.
    mpp
        Scale of the tiles, um/px.
    embeddings
        ``(n, d)`` of the region's tiles.
    excluded
        The region's tiles, which are no hits; None if the slide is not in the index.
    """

    region: Region
    mpp: float
    embeddings: NDArray[np.float32]
    excluded: ExcludedRegion | None


def make_region_query(
    index: SlideIndex, slide: Slide, region: Region, mpp: float | None, model: str, device: str
) -> RegionQuery:
    """Return what a region of a slide looks for.

    Parameters
    ----------
    index
        Where its tiles are taken from, if the slide is there.
    slide, region
        The region, level-0 px.
    mpp
        Scale, um/px; None for the finest of the slide, or else of the index.
    model, device
        What scores a slide that is not in the index, by name.

    Raises
    ------
    RegionError
        It is empty, or does not lie on the slide.
    QueryError
        The index is empty, no tile was scored there, or the slide changed since it was indexed.
    IndexFilesError
        The index was made by another model.
    SlideError, ModelError, DeviceError, ScaleError
        As scoring does.
    """
    _require_on_slide(region, slide)
    if not index.slides:
        warning = f" {index.warnings[0]}" if index.warnings else ""
        raise QueryError(f"The index {index.folder} holds no slides yet: add some first.{warning}")
    there = index.find(slide.quick_hash)
    if there is not None:
        return _from_index(index, there, region, mpp)
    if index.at_path(slide.path) is not None:
        raise QueryError(
            f"{slide.path} changed since it was indexed: index it again (napari-smse index "
            f"{slide.path} --out {index.folder} --overwrite), or search with another slide."
        )
    return _scored_now(index, slide, region, index.mpps[0] if mpp is None else mpp, model, device)


def _from_index(
    index: SlideIndex, slide: IndexedSlide, region: Region, mpp: float | None
) -> RegionQuery:
    at = next(scale for scale, tiles in slide.scales if tiles) if mpp is None else mpp
    rows = slide.rows_of(at)
    if rows.start == rows.stop:
        scales = ", ".join(f"{scale:g}" for scale, _ in slide.scales)
        raise QueryError(
            f"{slide.name} is not indexed at {at:g} µm/px: choose one of its scales ({scales} "
            "µm/px)."
        )
    places = index.tiles(slide).places[rows]
    excluded = ExcludedRegion(slide.quick_hash, region)
    inside = excluded.rows(places)
    if not inside.any():
        inside = _tile_under(places, region)
    if not inside.any():
        raise QueryError(
            f"No tissue of {slide.name} was scored there: choose a region with tissue on it."
        )
    if not excluded.rows(places).any():
        (row,) = np.flatnonzero(inside)
        excluded = ExcludedRegion(slide.quick_hash, Region(*(int(side) for side in places[row])))
    return RegionQuery(region, at, index.embeddings(slide)[rows][inside], excluded)


def _tile_under(places: NDArray[np.int32], region: Region) -> NDArray[np.bool_]:
    """Mark the tile that the middle of a region lies on; where several overlap, the nearest."""
    across, down = region.x + region.width / 2, region.y + region.height / 2
    x, y, width, height = places.T
    under = (x <= across) & (across < x + width) & (y <= down) & (down < y + height)
    off = np.hypot(x + width / 2 - across, y + height / 2 - down)
    chosen = np.zeros(len(places), dtype=bool)
    if under.any():
        chosen[np.flatnonzero(under)[off[under].argmin()]] = True
    return chosen


def _scored_now(
    index: SlideIndex, slide: Slide, region: Region, mpp: float, model: str, device: str
) -> RegionQuery:
    card = read_card(model)
    index.require_model(card.weights_sha256, card.name)
    outline = shapely.box(region.x, region.y, region.right, region.bottom)
    # Read as the slides of the index were, as far as these agree.
    icc = all(one.settings.get("icc", False) for one in index.slides)
    request = ScoreRequest((mpp,), roi=outline, icc=icc)
    plan = request.plan(slide, card)
    with tempfile.TemporaryDirectory() as folder:
        loaded, devices = load_on_fastest(model, device, precision="float32")
        store = open_run(Path(folder) / "query.zarr", slide, card, request, plan, devices[0])
        threads = usable_cores()
        for _ in score(slide, loaded, plan, store, devices, threads=threads):
            pass
        return RegionQuery(region, mpp, store.tile_table().embeddings, None)


def _require_on_slide(region: Region, slide: Slide) -> None:
    if region.width < 1 or region.height < 1:
        raise RegionError(
            f"A region of {region.width} x {region.height} px is empty: give --width and --height "
            "of 1 or more."
        )
    shared = region.intersection(Region(0, 0, slide.width, slide.height))
    if not shared.width or not shared.height:
        raise RegionError(
            f"The region at x {region.x}, y {region.y} does not lie on {slide.path.name}, which "
            f"has {slide.width} x {slide.height} px: give level-0 pixels of that slide."
        )
