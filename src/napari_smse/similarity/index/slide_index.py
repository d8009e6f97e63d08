"""An index of many slides, and the search in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import IndexFilesError, QueryError
from napari_smse.progress import Progress, Task, run_task
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.index.approximate import ApproximateTiles, require_usearch
from napari_smse.similarity.index.hits import (
    ExcludedRegion,
    SearchResult,
    SlideHits,
    TopK,
    hits_of,
    representative_queries,
    scale_warnings,
    state_warnings,
)
from napari_smse.similarity.index.index_files import AddOutcome, IndexFiles
from napari_smse.similarity.index.shard import shard_of
from napari_smse.slides import Slide

APPROXIMATE_FROM: Final = 4_000_000
"""From so many tiles of a scale on, an approximate index answers where there is one."""


class SlideIndex(IndexFiles):
    """The scored tiles of many slides, to be searched."""

    def add_scored(self, slide: Slide, store: ScoreStore, *, replace: bool = False) -> AddOutcome:
        """Add a scored slide; see `add`.

        Raises
        ------
        SlideError, OutputError
            The slide changed since it was scored, or its scores cannot be read.
        IndexFilesError
            As `add`.
        """
        return self.add(shard_of(slide, store), replace=replace)

    def search(
        self,
        queries: NDArray[np.floating],
        k: int,
        *,
        mpp: float | None = None,
        excluded: ExcludedRegion | None = None,
        approximate: bool | None = None,
    ) -> SearchResult:
        """Return the k tiles nearest to any of some; see `searching`."""
        return run_task(
            self.searching(queries, k, mpp=mpp, excluded=excluded, approximate=approximate)
        )

    def searching(
        self,
        queries: NDArray[np.floating],
        k: int,
        *,
        mpp: float | None = None,
        excluded: ExcludedRegion | None = None,
        approximate: bool | None = None,
    ) -> Task[SearchResult]:
        """Search the k tiles nearest to any of some, with progress in tiles.

        Parameters
        ----------
        queries
            ``(q, d)``, embeddings of the index's model.
        k
            How many tiles of all slides together.
        mpp
            Only tiles of this scale, um/px.
        excluded
            A piece of a slide that is no hit.
        approximate
            Whether an approximate index answers; by default, if there is one and there are more
            than `APPROXIMATE_FROM` tiles.

        Raises
        ------
        QueryError
            There is nothing to look for, or nothing to look in.
        IndexFilesError
            An approximate index is asked for and cannot be had.
        """
        if k < 1:
            raise QueryError(f"There are no {k} nearest tiles: ask for 1 or more.")
        self._require_tiles(mpp)
        warnings = [*self.warnings, *scale_warnings(self._slides, mpp)]
        order = sorted(self._slides)
        best = TopK(representative_queries(queries, self._dimensions(order)), k)
        tiles = ApproximateTiles(self, mpp)
        usable = self._use_approximate(tiles, approximate, warnings)
        # What came after the approximate index was made is looked through in any case.
        known = tiles.search(best, order, excluded) if usable else frozenset()
        rest = [key for key in order if key not in known]
        yield from self._look_through(best, order, rest, mpp, excluded, warnings)
        groups = tuple(self._groups(best, order, warnings))
        warnings += [line for group in groups for line in state_warnings(group)]
        return SearchResult(groups, tiles.count, usable, tuple(warnings))

    def build_approximate(self) -> Task[None]:
        """Make or bring up to date the approximate index, with progress in tiles.

        Raises
        ------
        IndexFilesError
            usearch is not installed, or the index cannot be written.
        """
        require_usearch()
        yield from ApproximateTiles(self, None).build()

    def _use_approximate(
        self, tiles: ApproximateTiles, wanted: bool | None, warnings: list[str]
    ) -> bool:
        if wanted is None and tiles.count >= APPROXIMATE_FROM:
            missing = tiles.missing()
            if missing:
                warnings.append(f"Searched tile by tile, which takes long: {missing}")
            return missing is None
        if wanted:
            missing = tiles.missing()
            if missing:
                raise IndexFilesError(missing)
        return bool(wanted)

    def _look_through(
        self,
        best: TopK,
        order: list[str],
        keys: list[str],
        mpp: float | None,
        excluded: ExcludedRegion | None,
        warnings: list[str],
    ) -> Task[None]:
        done, total = 0, sum(len(range(*self._rows(key, mpp))) for key in keys)
        yield Progress(0, total)
        for number, key in enumerate(order):
            start, stop = self._rows(key, mpp)
            if start == stop or key not in keys:
                continue
            try:
                embeddings = self.embeddings(self._slides[key])
                outside = self._outside(key, excluded)
            except IndexFilesError as error:
                warnings.append(f"Left out: {error}")
                continue
            part = None if outside is None else outside[start:stop]
            for looked_at in best.look_at(number, embeddings[start:stop], start, part):
                done += looked_at
                yield Progress(done, total)

    def _rows(self, key: str, mpp: float | None) -> tuple[int, int]:
        rows = self._slides[key].rows_of(mpp)
        return rows.start, rows.stop

    def _outside(self, key: str, excluded: ExcludedRegion | None) -> NDArray[np.bool_] | None:
        if excluded is None or excluded.quick_hash != key:
            return None
        return excluded.rows(self.tiles(self._slides[key]).places)

    def _groups(self, best: TopK, order: list[str], warnings: list[str]) -> Iterator[SlideHits]:
        for number, rows in best.of_shards().items():
            slide = self._slides[order[number]]
            try:
                tiles = self.tiles(slide)
            except IndexFilesError as error:
                warnings.append(f"Left out: {error}")
                continue
            yield SlideHits(slide, slide.state(), hits_of(tiles, rows))

    def _require_tiles(self, mpp: float | None) -> None:
        if not self._slides:
            reason = f" {self.warnings[0]}" if self.warnings else ""
            raise QueryError(
                f"The index {self.folder} holds no slides yet: add some first.{reason}"
            )
        if not any(slide.rows_of(mpp) != slice(0, 0) for slide in self._slides.values()):
            known = ", ".join(f"{known:g}" for known in self.mpps)
            raise QueryError(
                f"The index {self.folder} holds no tiles at {mpp:g} µm/px: look for tiles at one "
                f"of its scales ({known} µm/px), or index slides at this one."
            )

    def _dimensions(self, order: list[str]) -> int | None:
        for key in order:
            try:
                return int(self.embeddings(self._slides[key]).shape[1])
            except IndexFilesError:
                continue  # told when its turn comes
        return None
