"""Tiles like some embeddings, in all slides of an index."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import SmseError
from napari_smse.progress import Task
from napari_smse.similarity.index.hits import (
    ExcludedRegion,
    Hit,
    SearchResult,
    SlideHits,
)
from napari_smse.similarity.index.shard import IndexedSlide, SlideState
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.identity import text_path
from napari_smse.workflows.thumbnails import Thumbnail, hand_out, read_thumbnail

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexQuery:
    """What to look for.

    Attributes
    ----------
    embeddings
        ``(n, d)``.
    mpp
        Scale of the tiles, um/px.
    model, model_name
        sha256 of the weights that made them, and what the model is called.
    excluded
        Where they lie: these tiles are no hits.
    """

    embeddings: NDArray[np.floating]
    mpp: float
    model: str
    model_name: str
    excluded: ExcludedRegion | None = None


class IndexSearchJob:
    """Searches one index again and again; what was read stays in memory.

    Parameters
    ----------
    folder
        The index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: SlideIndex | None = None

    def search(self, query: IndexQuery, k: int) -> Task[SearchResult]:
        """Look for tiles; one search at a time.

        Raises
        ------
        IndexFilesError, QueryError
            As `SlideIndex` does.
        """
        if self._index is None:
            self._index = SlideIndex(self.folder)
        index = self._index
        index.refresh()
        if index.slides:
            index.require_model(query.model, query.model_name)
        return (
            yield from index.searching(query.embeddings, k, mpp=query.mpp, excluded=query.excluded)
        )


def read_pictures(
    groups: Sequence[tuple[SlideHits, Sequence[tuple[Hashable, Hit]]]],
) -> Task[None]:
    """Read small pictures of hits, handed out as the `detail` of the progress.

    Each slide is opened, read and closed here.
    A slide that is gone or changed has none: what lies there is not what was found.
    """
    for found, hits in groups:
        if found.state is not SlideState.SAME:
            continue
        try:
            with _opened(found.slide) as slide:
                yield from hand_out(_thumbnails(slide, hits))
        except (SmseError, OSError):
            # A list without pictures is better than none.
            logger.warning("no pictures of %s", found.slide.path, exc_info=True)


def _opened(slide: IndexedSlide) -> Slide:
    # The um/px may have been typed by whoever scored it.
    return open_slide(text_path(slide.path), mpp=slide.mpp)


def _thumbnails(slide: Slide, hits: Sequence[tuple[Hashable, Hit]]) -> Iterator[Thumbnail]:
    for key, hit in hits:
        yield key, read_thumbnail(slide, hit.region)
