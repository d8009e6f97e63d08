"""Find tissue like that of a region: on its slide, or on all slides of an index."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.api.annotations import Area, geometries
from napari_smse.api.scores import Scores
from napari_smse.models.card import require_embedding
from napari_smse.progress import OnProgress, Progress, run_task
from napari_smse.results.exchange import TileFeatures
from napari_smse.similarity.index import slide_index
from napari_smse.similarity.index.hits import ExcludedRegion, SearchResult
from napari_smse.similarity.index.index_files import AddOutcome
from napari_smse.similarity.index.shard import IndexedSlide
from napari_smse.similarity.region_search import SimilarityResult, find_similar_tiles
from napari_smse.slides import Region, Slide


def find_similar(
    scores: Scores | TileFeatures,
    region: Area | Iterable[Area],
    *,
    unlike: Area | Iterable[Area] = (),
    mpp: float | None = None,
    progress: OnProgress | None = None,
) -> SimilarityResult:
    """Find the tiles of a slide that are like those in a region of it.

    Parameters
    ----------
    scores
        Of the slide; or features of its tiles by any encoder, as `read_tile_features` gives them.
    region
        What to look for: one or several shapely geometries, (x, y) in level-0 px, or rectangles.
    unlike
        What not to find, in the same way.
    mpp
        The scale to search, um/px; may be left out if only one was scored. Features have one only.
    progress
        Called with a `Progress`.

    Returns
    -------
    SimilarityResult
        ``distances`` ``(n,)`` of the tiles of that scale, 0 for what was looked for; ``order``,
        the rows of the others, nearest first; ``hits(radius)``; ``heat_map()``; ``tiles``, where
        they lie.

    Raises
    ------
    QueryError
        No scored tile lies in the region.
    RegionError
        It is no region.
    ScaleError
        That scale was not scored, or several were and none is named.

    Examples
    --------
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> notes = smse.read_annotations("sample_data/sample_annotations.geojson", slide)
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> found = smse.find_similar(scores, notes.regions()["Malignant-like"])
    >>> len(found.order) + len(found.like) == len(scores)
    True
    """
    if not isinstance(scores, TileFeatures):
        require_embedding(scores.card)
    like, others = geometries(region), geometries(unlike)
    if isinstance(scores, TileFeatures):
        number, model = 0, scores.encoder
    else:
        number, model = scores.scale_number(mpp), scores.store.facts["model"]["hash"]
    if progress is not None:
        progress(Progress(0, 1, "Searching"))
    found = find_similar_tiles(scores.tiles, number, like, others, model)
    if progress is not None:
        progress(Progress(1, 1, "Searching"))
    return found


class SlideIndex:
    """The scored tiles of many slides in a folder, to be searched; as `open` gives it.

    Parameters
    ----------
    folder
        The folder.

    Examples
    --------
    >>> import tempfile
    >>> import napari_smse as smse
    >>> slide = smse.open_slide("sample_data/sample_slide.tif")
    >>> scores = smse.score(slide, smse.load_model(), mpp=1.0, device="cpu")
    >>> index = smse.SlideIndex.open(tempfile.mkdtemp())
    >>> str(index.add(slide, scores))
    'added'
    >>> hits = index.search(scores.embeddings()[:1], k=3).slides[0].hits
    >>> hits[0].region == scores.region(0), len(hits)
    (True, 3)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._index: slide_index.SlideIndex | None = None

    @classmethod
    def open(cls, folder: str | Path) -> SlideIndex:
        """Open an index; where there is none, the first `add` starts it."""
        return cls(folder)

    def __len__(self) -> int:
        """Number of slides."""
        return len(self.slides)

    @property
    def slides(self) -> tuple[IndexedSlide, ...]:
        """The slides, by name; raises `IndexFilesError` if there is no index yet."""
        return self._opened().slides

    def add(
        self,
        slide: Slide,
        scores: Scores,
        *,
        replace: bool = False,
        progress: OnProgress | None = None,
    ) -> AddOutcome:
        """Add a scored slide, or do nothing if it is there with the same settings.

        Parameters
        ----------
        slide, scores
            The slide and its scores, to their end.
        replace
            Replace it if it is there with other settings.
        progress
            Called with a `Progress`.

        Raises
        ------
        IndexFilesError
            The index is of another model, holds the slide with other settings, or cannot be
            written; or the slide is not scored to its end.
        SlideError
            The slide changed since it was scored.
        """
        model = scores.on_slide(slide).store.facts["model"]
        if progress is not None:
            progress(Progress(0, 1, f"Adding {slide.name}"))
        index = slide_index.SlideIndex.make(self.folder, model["hash"], model["name"])
        outcome = index.add_scored(slide, scores.store, replace=replace)
        self._index = index
        if progress is not None:
            progress(Progress(1, 1, f"Adding {slide.name}"))
        return outcome

    def search(
        self,
        embeddings: NDArray[np.floating],
        k: int = 50,
        *,
        mpp: float | None = None,
        without: tuple[Slide, Area] | None = None,
        approximate: bool | None = None,
        progress: OnProgress | None = None,
    ) -> SearchResult:
        """Find the tiles of all slides that are nearest to any of some.

        Parameters
        ----------
        embeddings
            ``(n, d)``, by the index's model, as `Scores.embeddings` or `Model.embed` gives them.
        k
            How many tiles of all slides together.
        mpp
            Only tiles of this scale, um/px.
        without
            A slide and an area of it: tiles in the rectangle around that are no hits.
        approximate
            Whether an approximate index answers; by default from four million tiles on, if there
            is one.
        progress
            Called with a `Progress` in tiles.

        Returns
        -------
        SearchResult
            ``slides``, the one with the nearest tile first, each with its ``hits``: ``distance`` (0
            to 2), ``region`` (level-0 px), ``mpp``, ``probability``.

        Raises
        ------
        QueryError
            There is nothing to look for, or nothing to look in.
        IndexFilesError
            There is no index, or it cannot be read.
        """
        index = self._opened()
        task = index.searching(
            np.asarray(embeddings), k, mpp=mpp, excluded=_excluded(without), approximate=approximate
        )
        return run_task(task, progress)

    def _opened(self) -> slide_index.SlideIndex:
        if self._index is None:
            self._index = slide_index.SlideIndex(self.folder)
        else:
            self._index.refresh()
        return self._index


def _excluded(without: tuple[Slide, Area] | None) -> ExcludedRegion | None:
    if without is None:
        return None
    slide, area = without
    (geometry,) = geometries(area)
    left, top, right, bottom = (round(side) for side in geometry.bounds)
    return ExcludedRegion(slide.quick_hash, Region(left, top, right - left, bottom - top))
