"""One slide of an index: what is known of it, and its scored tiles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_smse.errors import IndexFilesError, SlideError
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.request import setting_name
from napari_smse.scoring.store import QUANTISATION
from napari_smse.slides import Region, Slide
from napari_smse.slides.identity import path_text, quick_hash, text_path


class SlideState(StrEnum):
    """What became of a slide since it was indexed."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"


class IndexedSlide(BaseModel):
    """What an index knows of a slide, without its tiles.

    Attributes
    ----------
    name, path, quick_hash
        The slide, where it lay, and what its content is named by.
    width, height
        Level-0 px.
    mpp, mpp_source
        um/px of level 0, and who says so.
    model, model_name
        sha256 of the weights that scored it, and what the model is called.
    classes
        Names, in the order of the probabilities.
    settings
        What was asked to be scored, as `ScoreRequest.facts` gives it.
    scales
        um/px and number of tiles, fine to coarse; the tiles lie in this order.
    checksums
        CRC-32 of each tensor.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    name: str
    path: str
    quick_hash: str
    width: int
    height: int
    mpp: float
    mpp_source: str
    model: str
    model_name: str
    classes: tuple[str, ...]
    settings: dict[str, Any]
    scales: tuple[tuple[float, int], ...]
    checksums: dict[str, int] = {}

    @property
    def tile_count(self) -> int:
        """Number of tiles of all scales."""
        return sum(tiles for _, tiles in self.scales)

    def rows_of(self, mpp: float | None) -> slice:
        """Rows of the tiles of one scale, or of all; none if the slide has no such scale."""
        if mpp is None:
            return slice(0, self.tile_count)
        first = 0
        for known, tiles in self.scales:
            if same_scale(known, mpp):
                return slice(first, first + tiles)
            first += tiles
        return slice(0, 0)

    def differences(self, other: IndexedSlide) -> list[str]:
        """Name the settings that another one of the same slide was scored with."""
        found = [name for name in ("mpp", "model", "classes") if _differ(self, other, name)]
        for key in sorted(self.settings.keys() | other.settings.keys()):
            if self.settings.get(key) != other.settings.get(key):
                found.append(key)
        return [setting_name(name) for name in found]

    def state(self) -> SlideState:
        """Look whether the slide is still what was indexed; reads a few blocks of it."""
        try:
            same = quick_hash(text_path(self.path)) == self.quick_hash
        except (OSError, IndexError, SlideError):  # a folder without files has no first one
            return SlideState.GONE
        return SlideState.SAME if same else SlideState.CHANGED


@dataclass(frozen=True)
class ShardTiles:
    """The tiles of a slide of an index, without their embeddings.

    Attributes
    ----------
    slide
        The slide.
    probability
        ``(n, classes)`` float32.
    places
        ``(n, 4)`` int32: x, y, width, height, level-0 px.
    """

    slide: IndexedSlide
    probability: NDArray[np.float32]
    places: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.places)

    @property
    def scale(self) -> NDArray[np.uint8]:
        """Number of each tile's scale, ``(n,)``."""
        counts = [tiles for _, tiles in self.slide.scales]
        return np.repeat(np.arange(len(counts), dtype=np.uint8), counts)

    @property
    def mpps(self) -> NDArray[np.float32]:
        """um/px of each tile, ``(n,)``."""
        return np.array([mpp for mpp, _ in self.slide.scales], dtype=np.float32)[self.scale]

    def mpp_of(self, row: int) -> float:
        """um/px of a tile, as its scale was asked for."""
        return self.slide.scales[int(self.scale[row])][0]

    def region(self, row: int) -> Region:
        """Where a tile lies, level-0 px."""
        return Region(*(int(side) for side in self.places[row]))


@dataclass(frozen=True)
class Shard(ShardTiles):
    """A slide of an index with its tiles.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float16, each of length 1.
    """

    embeddings: NDArray[np.float16]


def same_scale(one: float, other: float) -> bool:
    """Whether two um/px mean the same scale, however they were written down."""
    return abs(one - other) <= 1e-3 * max(one, other)


def indexed_slide(slide: Slide, facts: Mapping[str, Any]) -> IndexedSlide:
    """Describe a slide as it would be indexed, before its tiles are known.

    Parameters
    ----------
    slide
        The open slide.
    facts
        `model` (`hash`, `name`, `classes`) and `request`, as a store's facts have them.
    """
    model = facts["model"]
    return IndexedSlide(
        name=slide.name,
        path=path_text(slide.path.absolute()),
        quick_hash=slide.quick_hash,
        width=slide.width,
        height=slide.height,
        mpp=slide.mpp,
        mpp_source=str(slide.scale.source),
        model=model["hash"],
        model_name=model["name"],
        classes=tuple(model["classes"]),
        # There and back, as JSON has lists only.
        settings=json.loads(json.dumps(facts["request"])),
        scales=(),
    )


def shard_of(slide: Slide, store: ScoreStore) -> Shard:
    """Return what an index keeps of a scored slide.

    Raises
    ------
    IndexFilesError
        The run has not come to its end, or scored nothing, or its model gives no embeddings, or
        they were computed in int8.
    SlideError
        The file is gone, or another one by now than was scored.
    OutputError
        The store cannot be read.
    """
    if not store.finished:
        raise IndexFilesError(
            f"{slide.name} is not scored to its end yet: wait for the run, or run it again."
        )
    if QUANTISATION in store.facts:
        raise IndexFilesError(
            f"{slide.name} was scored in int8, whose embeddings do not compare with those of other "
            "slides: score it without int8 to add it to an index."
        )
    if store.facts["slide"]["quick_hash"] != _hash_now(slide):
        raise SlideError(f"{slide.path} changed since it was scored: open and score it again.")
    slide.require_unchanged()
    tiles = store.tile_table()
    if tiles.embeddings.shape[1] == 1:
        raise IndexFilesError(
            f"{slide.name} was scored by a model that gives no embeddings to search by: score it "
            "with another one, such as the bundled one."
        )
    if not len(tiles):
        raise IndexFilesError(f"No tile of {slide.name} was scored: score it again.")
    scales = tuple((scale.grid.spec.mpp, len(scale)) for scale in tiles.scales)
    known = indexed_slide(slide, store.facts).model_copy(update={"scales": scales})
    return Shard(known, tiles.probability, tiles.places, tiles.embeddings.astype(np.float16))


def _hash_now(slide: Slide) -> str:
    try:
        return quick_hash(slide.path)
    except OSError as error:
        raise SlideError(
            f"{slide.path} cannot be read any more: put it back where it was, and add it again."
        ) from error


def _differ(one: IndexedSlide, other: IndexedSlide, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
