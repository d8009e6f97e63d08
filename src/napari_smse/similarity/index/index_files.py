"""The files of an index of many slides: a folder with one for each, which grows by appending."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import IndexFilesError
from napari_smse.similarity.index.manifest import INDEX_NAME, no_index, read_about, start_index
from napari_smse.similarity.index.shard import IndexedSlide, Shard, ShardTiles, SlideState
from napari_smse.similarity.index.shard_file import (
    read_embeddings,
    read_shard,
    read_slide,
    read_tiles,
    remove_strays,
    shard_files,
    shard_path,
    write_shard,
)
from napari_smse.slides.identity import path_text

MEMORY_BYTES: Final = 2 * 2**30
"""Embeddings of at most so many bytes are cached in float32: 4 million tiles of 128 numbers."""

_Stamp = tuple[int, int]


class AddOutcome(StrEnum):
    """What adding a slide came to."""

    ADDED = "added"
    REPLACED = "replaced"
    SAME = "already in the index"


class IndexFiles:
    """The scored tiles of many slides, in a folder.

    It looks for the tiles of all its shards, whoever wrote them; what cannot be read is named in
    `warnings` and left out. One thread at a time may use it.

    Parameters
    ----------
    folder
        The index.
    memory_bytes
        Embeddings of at most so many bytes are cached.

    Raises
    ------
    IndexFilesError
        There is no index in the folder, or none that this version can read.
    """

    def __init__(self, folder: Path, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = folder
        self.model = self.model_name = ""
        self.warnings: tuple[str, ...] = ()
        self._slides: dict[str, IndexedSlide] = {}
        self._stamps: dict[str, _Stamp] = {}
        self._cached: dict[str, NDArray[np.float32]] = {}
        self._memory_bytes = memory_bytes
        if not (folder / INDEX_NAME).is_file() and not any(shard_files(folder)):
            raise IndexFilesError(no_index(folder))
        self.refresh()

    @classmethod
    def make(cls, folder: Path, model: str, model_name: str) -> Self:
        """Open an index to add slides of a model to, or start one.

        Parameters
        ----------
        folder
            The index; made if there is none.
        model, model_name
            sha256 of the weights, and what the model is called.

        Raises
        ------
        IndexFilesError
            The index is of another model, or the folder cannot be written.
        """
        if not (folder / INDEX_NAME).is_file() and not any(shard_files(folder)):
            try:
                start_index(folder, model, model_name)
            except OSError as error:
                raise _not_written(folder, error) from error
        index = cls(folder)
        index.require_model(model, model_name)
        return index

    @property
    def slides(self) -> tuple[IndexedSlide, ...]:
        """The slides that can be searched, by name."""
        return tuple(sorted(self._slides.values(), key=lambda slide: (slide.name, slide.path)))

    @property
    def tile_count(self) -> int:
        """Number of tiles of all slides and scales."""
        return sum(slide.tile_count for slide in self._slides.values())

    @property
    def mpps(self) -> tuple[float, ...]:
        """Scales that any slide has, um/px, fine to coarse."""
        return tuple(sorted({mpp for slide in self._slides.values() for mpp, _ in slide.scales}))

    @property
    def max_tiles(self) -> int:
        """Number of tiles of the scale that has most."""
        counts: dict[float, int] = {}
        for slide in self._slides.values():
            for mpp, tiles in slide.scales:
                counts[mpp] = counts.get(mpp, 0) + tiles
        return max(counts.values(), default=0)

    def find(self, quick_hash: str) -> IndexedSlide | None:
        """Return a slide; None if it is not there."""
        return self._slides.get(quick_hash)

    def at_path(self, path: Path) -> IndexedSlide | None:
        """Return the slide that lay at a path when it was indexed; None if none did."""
        where = path_text(path.absolute())
        return next((slide for slide in self._slides.values() if slide.path == where), None)

    def shard(self, slide: IndexedSlide) -> Shard:
        """Return a slide with its tiles; raises `IndexFilesError` if its file is damaged."""
        return read_shard(self.folder, slide)

    def tiles(self, slide: IndexedSlide) -> ShardTiles:
        """Return a slide with its tiles, not their embeddings; raises as `shard` does."""
        return read_tiles(self.folder, slide)

    def embeddings(self, slide: IndexedSlide) -> NDArray[np.float32]:
        """Return the embeddings of a slide, ``(n, d)``, cached while there is room.

        Raises
        ------
        IndexFilesError
            Its file is gone or damaged.
        """
        known = self._cached.get(slide.quick_hash)
        if known is not None:
            return known
        read = read_embeddings(self.folder, slide)
        # What is searched from end to end is best cached first come, first served: with the least
        # recently used thrown out, each shard would be gone just before its turn.
        if sum(array.nbytes for array in self._cached.values()) + read.nbytes <= self._memory_bytes:
            self._cached[slide.quick_hash] = read
        return read

    def require_model(self, model: str, name: str) -> None:
        """Refuse the embeddings of another model.

        Raises
        ------
        IndexFilesError
            They are of another model; the message names both.
        """
        if self.model and self.model != model:
            raise IndexFilesError(
                f"The index {self.folder} was made by the model {self.model_name} "
                f"({self.model[:12]}), not by {name} ({model[:12]}): embeddings of two models do "
                "not compare. Score with the index's model, or make another index for this one."
            )

    def refresh(self) -> None:
        """Look for slides that were added, replaced or removed by anyone.

        Raises
        ------
        IndexFilesError
            The folder is gone, or was written by another version.
        """
        about, warnings = read_about(self.folder)
        self.model, self.model_name = about
        stamps: dict[str, _Stamp] = {}
        before, self._slides = self._slides, {}
        for path in shard_files(self.folder):
            try:
                status = path.stat()
                stamp = status.st_mtime_ns, status.st_size
                known = before.get(path.stem) if self._stamps.get(path.stem) == stamp else None
                slide = known or read_slide(path)
                self._take_model_of(slide, path)
            except FileNotFoundError:
                continue  # removed just now
            except (IndexFilesError, OSError) as error:
                warnings.append(f"Left out: {error}")
                continue
            self._slides[path.stem], stamps[path.stem] = slide, stamp
        changed = [key for key in self._cached if self._stamps.get(key) != stamps.get(key)]
        for key in changed:
            del self._cached[key]
        self._stamps, self.warnings = stamps, tuple(warnings)

    def _take_model_of(self, slide: IndexedSlide, path: Path) -> None:
        if not self.model:
            self.model, self.model_name = slide.model, slide.model_name
        if slide.model != self.model:
            raise IndexFilesError(
                f"{path} holds tiles of the model {slide.model_name} ({slide.model[:12]}), the "
                f"index is of {self.model_name} ({self.model[:12]}): remove the file, and index "
                f"{slide.name} with the index's model."
            )

    def planned(self, slide: IndexedSlide, *, replace: bool = False) -> AddOutcome:
        """Tell what adding a slide would come to, from its facts alone.

        Raises
        ------
        IndexFilesError
            It is of another model; or it is there with other settings, or another slide was
            indexed from its path, and it should not be replaced.
        """
        self.require_model(slide.model, slide.model_name)
        present = self.find(slide.quick_hash)
        older = self.at_path(Path(slide.path))
        other = present.differences(slide) if present is not None else []
        if other and not replace:
            raise IndexFilesError(
                f"{slide.name} is in the index {self.folder} with other settings (different "
                f"{', '.join(other)}): index it with the same ones, or replace it (in a shell: "
                "--overwrite)."
            )
        if older is not None and older.quick_hash != slide.quick_hash and not replace:
            raise IndexFilesError(
                f"{slide.path} changed since it was added to the index {self.folder}: keep the "
                "old one's tiles by indexing the new slide from another path, or replace them (in "
                "a shell: --overwrite)."
            )
        if present is None:
            return AddOutcome.ADDED if older is None else AddOutcome.REPLACED
        return AddOutcome.REPLACED if other else AddOutcome.SAME

    def move(self, slide: IndexedSlide) -> bool:
        """Note where a slide lies now; whether it had to be, as it is gone from where it was.

        Raises
        ------
        IndexFilesError
            Its file is damaged, or cannot be written.
        """
        present = self.find(slide.quick_hash)
        if present is None or not _has_moved(slide, present):
            return False
        where = {"name": slide.name, "path": slide.path}
        whole = self.shard(present)
        self._write(replace(whole, slide=present.model_copy(update=where)))
        return True

    def add(self, shard: Shard, *, replace: bool = False) -> AddOutcome:
        """Add a slide; with the settings it is there with, this costs nothing.

        What other programs added meanwhile is looked at first, so that nothing of other settings is
        ever replaced unasked.

        Parameters
        ----------
        shard
            The slide and its tiles.
        replace
            Take the place of the same slide with other settings, and of the slide that lay at the
            same path before.

        Raises
        ------
        IndexFilesError
            As `planned` and `refresh`; or it cannot be written, and what was there still is.
        """
        self.refresh()
        planned = self.planned(shard.slide, replace=replace)
        present = self.find(shard.slide.quick_hash)
        older = self.at_path(Path(shard.slide.path))
        if present is not None and planned is AddOutcome.SAME and len(shard) <= present.tile_count:
            # It says nothing new but, perhaps, where the slide lies now.
            if not self.move(shard.slide):
                return planned
        else:
            try:
                self._write(shard, first=present is None)
            except FileExistsError:
                self.refresh()
                if self.find(shard.slide.quick_hash) is not None:
                    return self.add(shard, replace=replace)  # another program was first
                self._write(shard)  # what is there is damaged
        if older is not None and older.quick_hash != shard.slide.quick_hash:
            self._remove(older)
        return planned

    def _write(self, shard: Shard, *, first: bool = False) -> None:
        try:
            write_shard(self.folder, shard, first=first)
        except FileExistsError:
            raise
        except OSError as error:
            raise _not_written(self.folder, error) from error
        remove_strays(self.folder)
        self._forget(shard.slide)

    def _remove(self, slide: IndexedSlide) -> None:
        try:
            shard_path(self.folder, slide.quick_hash).unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(self.folder, error) from error
        self._forget(slide)

    def _forget(self, slide: IndexedSlide) -> None:
        """Read anew what was cached of a slide: its file may be as large, and as old, as before."""
        self._cached.pop(slide.quick_hash, None)
        self._stamps.pop(slide.quick_hash, None)
        self.refresh()


def _not_written(folder: Path, error: OSError) -> IndexFilesError:
    return IndexFilesError(
        f"The index {folder} cannot be written ({error.strerror or error}): choose a folder that "
        "you may write to, on a disk with room. What was in it still is."
    )


def _has_moved(slide: IndexedSlide, present: IndexedSlide) -> bool:
    return slide.path != present.path and present.state() is not SlideState.SAME
