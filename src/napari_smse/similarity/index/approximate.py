"""An approximate index beside an exact one, by the `usearch` package, for many millions of tiles.

It is a graph for each scale, in a file of its own, and a record that says which slides are in it.
What is in the graph is never trusted blindly: the record names every slide's embeddings by their
checksum, and the graph's file by a quick hash.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_smse.atomic_write import write_atomic
from napari_smse.errors import IndexFilesError
from napari_smse.progress import Progress, Task
from napari_smse.similarity.index.hits import ExcludedRegion, TopK
from napari_smse.similarity.index.index_files import IndexFiles
from napari_smse.similarity.index.shard import IndexedSlide, same_scale
from napari_smse.slides.identity import quick_hash

logger = logging.getLogger(__name__)

FOLDER_NAME: Final = "approximate"
VERSION: Final = 1
_SUFFIX: Final = ".usearch"
_AT_ONCE: Final = 8192

# Measured on 200,000 clustered vectors of 128 numbers: recall@10 is then 0.994; with a quarter of
# the care in searching it is 0.986, with an eighth 0.96.
_LINKS: Final = 32
_CARE_ADDING: Final = 128
_CARE_SEARCHING: Final = 2048


class _InGraph(BaseModel):
    """A slide whose tiles are in a graph, `tiles` of them from row `first` of its shard on."""

    model_config = ConfigDict(frozen=True)

    quick_hash: str
    checksum: int
    first: int
    tiles: int


class _Record(BaseModel):
    """What a graph holds: the tiles of these slides, one after the other."""

    model_config = ConfigDict(frozen=True)

    version: int
    mpp: float
    graph: str
    graph_hash: str
    slides: tuple[_InGraph, ...]


def require_usearch() -> Any:
    """Return usearch.

    Raises
    ------
    IndexFilesError
        It is not installed; the message says how to.
    """
    if util.find_spec("usearch") is None:
        raise IndexFilesError(
            'An approximate index needs the package usearch: run pip install "napari-smse[search]".'
        )
    return import_module("usearch.index")


class ApproximateTiles:
    """The tiles of one scale of an index, or of all, as an approximate index sees them.

    Parameters
    ----------
    files
        The index.
    mpp
        The scale, um/px; None for all.
    """

    def __init__(self, files: IndexFiles, mpp: float | None) -> None:
        mpps = [known for known in files.mpps if mpp is None or same_scale(known, mpp)]
        self._graphs = [_Graph(files, known) for known in mpps]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return sum(graph.count for graph in self._graphs)

    def missing(self) -> str | None:
        """Say why it cannot answer, and what to do; None if it can."""
        return next(filter(None, (graph.missing() for graph in self._graphs)), None)

    def search(
        self, best: TopK, order: list[str], excluded: ExcludedRegion | None
    ) -> frozenset[str]:
        """Offer the nearest tiles, and return the slides that were looked up at every scale.

        Parameters
        ----------
        best
            What to offer them to.
        order
            Quick hashes of the slides; their places number the shards.
        excluded
            A piece of a slide that is no hit.
        """
        everywhere = frozenset.intersection(*(graph.slides() for graph in self._graphs))
        for graph in self._graphs:
            graph.search(best, order, excluded, everywhere)
        return everywhere

    def build(self) -> Task[None]:
        """Make it, or add what is new, with progress in tiles.

        Raises
        ------
        IndexFilesError
            usearch is not installed, a slide is damaged, or nothing can be written.
        """
        done, total = 0, sum(graph.new_tiles() for graph in self._graphs)
        for graph in self._graphs:
            for added in graph.build():
                done += added
                yield Progress(done, total)


class _Graph:
    """The tiles of one scale."""

    def __init__(self, files: IndexFiles, mpp: float) -> None:
        self._files, self._mpp = files, mpp
        self._folder = files.folder / FOLDER_NAME
        self._path = self._folder / f"{mpp:g}.json"
        present = (self._in_graph(slide) for slide in files.slides)
        self._present = {slide.quick_hash: slide for slide in present if slide.tiles}

    @property
    def count(self) -> int:
        return sum(slide.tiles for slide in self._present.values())

    def missing(self) -> str | None:
        if util.find_spec("usearch") is None:
            return (
                "an approximate index needs the package usearch: run pip install "
                '"napari-smse[search]".'
            )
        if self._usable_record() is None:
            return (
                f"there is no approximate index at {self._mpp:g} µm/px that fits the slides in "
                f"{self._files.folder}: make it (in a shell: napari-smse index SLIDES "
                f"--out {self._files.folder} --approximate)."
            )
        return None

    def slides(self) -> frozenset[str]:
        """Slides that need not be looked through: in the graph, or without a tile of the scale."""
        record = self._usable_record()
        inside = set() if record is None else {slide.quick_hash for slide in record.slides}
        without = {slide.quick_hash for slide in self._files.slides} - self._present.keys()
        return frozenset(inside | without)

    def search(
        self, best: TopK, order: list[str], excluded: ExcludedRegion | None, wanted: frozenset[str]
    ) -> None:
        record = self._usable_record()
        if record is None or not record.slides:
            return
        graph = self._opened(record, view=True)
        number = {key: place for place, key in enumerate(order)}
        ends = np.cumsum([slide.tiles for slide in record.slides])
        more = self._excluded_tiles(excluded)
        matches = graph.search(best.queries, min(best.k + len(more), int(ends[-1])))
        keys, similar = _nearest_of_each(matches)
        which = np.searchsorted(ends, keys, side="right")
        for place in np.unique(which):
            one, at = record.slides[place], which == place
            if one.quick_hash not in wanted:
                continue
            rows = keys[at] - (ends[place] - one.tiles) + one.first
            fine = np.ones(len(rows), dtype=bool)
            if excluded is not None and excluded.quick_hash == one.quick_hash:
                fine = ~np.isin(rows, more)
            best.offer(number[one.quick_hash], rows[fine], similar[at][fine])

    def new_tiles(self) -> int:
        """Number of tiles that `build` will add."""
        return sum(slide.tiles for slide in self._new(self._usable_record()))

    def _new(self, record: _Record | None) -> list[_InGraph]:
        inside = set() if record is None else {slide.quick_hash for slide in record.slides}
        return [slide for key, slide in self._present.items() if key not in inside]

    def build(self) -> Iterator[int]:
        """Add what is new, and yield after each block how many tiles it had."""
        usearch = require_usearch()
        record = self._usable_record()
        new, added = self._new(record), [] if record is None else list(record.slides)
        if not new and record is not None:
            return
        graph = None if record is None else self._opened(record, view=False)
        for one in new:
            rows = self._embeddings(one)
            if rows is None:
                continue
            added.append(one)
            if graph is None:
                graph = _new_graph(usearch, rows.shape[1])
            for first in range(0, len(rows), _AT_ONCE):
                block = rows[first : first + _AT_ONCE]
                graph.add(np.arange(len(graph), len(graph) + len(block), dtype=np.uint64), block)
                yield len(block)
        if graph is not None:
            self._save(graph, tuple(added))

    def _save(self, graph: Any, slides: tuple[_InGraph, ...]) -> None:
        """Write the graph under a name of its own, then the record that names it."""
        path = self._folder / f"{self._mpp:g}-{secrets.token_hex(6)}{_SUFFIX}"
        try:
            self._folder.mkdir(exist_ok=True)
            graph.save(str(path))
            record = _Record(
                version=VERSION,
                mpp=self._mpp,
                graph=path.name,
                graph_hash=quick_hash(path),
                slides=slides,
            )
            write_atomic(self._path, record.model_dump_json().encode())
        except (OSError, RuntimeError) as error:
            path.unlink(missing_ok=True)
            raise IndexFilesError(
                f"The approximate index {self._path} cannot be written ({error}): make room, or "
                "search without it."
            ) from error
        for older in self._folder.glob(f"{self._mpp:g}-*{_SUFFIX}"):
            if older != path:
                _remove(older)

    def _usable_record(self) -> _Record | None:
        """Return the record of a whole graph that holds no tile that is not in the index now."""
        try:
            record = _Record.model_validate_json(self._path.read_bytes())
            whole = quick_hash(self._folder / record.graph) == record.graph_hash
        except (OSError, IndexError, ValidationError):
            return None
        fits = all(self._present.get(slide.quick_hash) == slide for slide in record.slides)
        return record if whole and fits and record.version == VERSION else None

    def _opened(self, record: _Record, *, view: bool) -> Any:
        usearch = require_usearch()
        graph = usearch.Index.restore(str(self._folder / record.graph), view=view)
        if graph is None:
            raise IndexFilesError(
                f"The approximate index {self._path} cannot be read: remove the folder "
                f"{self._folder} and make it again."
            )
        graph.expansion_search = _CARE_SEARCHING
        graph.expansion_add = _CARE_ADDING
        return graph

    def _in_graph(self, slide: IndexedSlide) -> _InGraph:
        rows = slide.rows_of(self._mpp)
        return _InGraph(
            quick_hash=slide.quick_hash,
            checksum=slide.checksums.get("embeddings", 0),
            first=rows.start,
            tiles=rows.stop - rows.start,
        )

    def _embeddings(self, one: _InGraph) -> NDArray[np.float32] | None:
        slide = self._files.find(one.quick_hash)
        try:
            found = None if slide is None else self._files.embeddings(slide)
        except IndexFilesError as error:
            logger.warning("%s", error)
            return None
        return None if found is None else found[one.first : one.first + one.tiles]

    def _excluded_tiles(self, excluded: ExcludedRegion | None) -> NDArray[np.intp]:
        """Rows, in their shard, of the tiles that are no hits: so many more must be asked for."""
        if excluded is None or excluded.quick_hash not in self._present:
            return np.empty(0, dtype=np.intp)
        slide = self._files.find(excluded.quick_hash)
        if slide is None:
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(excluded.rows(self._files.tiles(slide).places))


def _new_graph(usearch: Any, dimensions: int) -> Any:
    return usearch.Index(
        ndim=dimensions,
        metric="ip",
        dtype="f16",
        connectivity=_LINKS,
        expansion_add=_CARE_ADDING,
        expansion_search=_CARE_SEARCHING,
    )


def _nearest_of_each(matches: Any) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return each tile that any query found once, and its largest similarity."""
    # Of one query, usearch gives rows without a second axis, and only what was found.
    keys, distances = np.atleast_2d(matches.keys), np.atleast_2d(matches.distances)
    counts = np.asarray(matches.counts if hasattr(matches, "counts") else [keys.shape[1]])
    # Others may have found fewer than they were asked for; what stands behind them means nothing.
    real = np.arange(keys.shape[1]) < counts[:, np.newaxis]
    found, at = np.unique(keys[real], return_inverse=True)
    similar = np.full(len(found), -np.inf, dtype=np.float32)
    np.maximum.at(similar, at, 1 - distances[real].astype(np.float32))
    return found.astype(np.intp), similar


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # somebody searches in it; the next build removes it
