"""The per-slide store: what was scored, where, by which model, how far it got."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.scoring.heat_map import HeatMap, fuse
from napari_smse.scoring.store_layout import (
    FORMAT,
    KNOWN_SCALES,
    READABLE,
    SCORED_TILES,
    VERSION,
    check_arrays,
    check_checksums,
    check_chunks,
    check_facts,
    count_scored,
    create_array,
    create_scale,
    has_checksums,
    open_store_group,
    read_appearance,
    read_tiles,
    reading,
    require_chunks,
    with_checksum,
    write,
    writing,
)
from napari_smse.scoring.tile_table import ScaleScores, TileTable, unit_length
from napari_smse.tiles import TilePlan
from napari_smse.zarr_groups import open_group

REGION: Final = "region"
"""The fact that holds the outline of the region that was scored, as a GeoJSON geometry."""

MASK: Final = "mask"
"""The fact that holds the file that tissue was taken from, and what is to be known of it."""

UNSIGNED: Final = frozenset({REGION, MASK})
"""Facts whose content the request has by its hash."""

QUANTISATION: Final = "quantisation"
"""The fact of scores in int8 that holds by which network, and how far its outputs lie off."""


class ScoreStore:
    """A zarr group with the scores of one slide, written block by block.

    A block counts as done only after all its rows are on disk, so a killed run
    goes on where it stopped. Scales that an earlier run scored are there from the start.

    Parameters
    ----------
    path
        The store's folder.
    group
        The open zarr group.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self._group = group
        # zarr cannot tell an array from a group before it looks, so these are typed loosely.
        self._scales: list[Any] = [group[f"scale_{n}"] for n in range(self.facts["scales"])]
        self._blocks_done: Any = group["blocks_done"]
        self._checked: set[int] = set()

    @classmethod
    def create(
        cls,
        path: Path,
        plan: TilePlan,
        classes: Sequence[str],
        embedding_dim: int,
        facts: Mapping[str, Any],
        known: Mapping[int, ScaleScores] | None = None,
    ) -> ScoreStore:
        """Start a store, replacing one that is there.

        Parameters
        ----------
        path
            Folder to write, by custom ending in ``.zarr``.
        plan
            The tiles to be scored.
        classes
            Class names, in the order of the probabilities.
        embedding_dim
            Length of an embedding.
        facts
            What the scores depend on (slide, model, request), as JSON values;
            `signature` of it decides whether a later run may go on from here.
        known
            Scales, by their number in the plan, whose tiles are scored already.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        # Made beside its place and moved there: a store is either whole in its plan or not there.
        part = path.with_name(path.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            group = open_group(part, mode="w-", zarr_format=3)
            for number, tiles in enumerate(plan.scales):
                create_scale(group, number, tiles, len(classes), embedding_dim)
            create_array(group, "blocks_done", (len(plan.blocks),), np.uint8, 0)[:] = 0
            stated = {
                "format": FORMAT,
                "version": VERSION,
                "signature": signature(facts),
                "classes": list(classes),
                "scales": len(plan.scales),
                "complete": False,
                "started": _now(),
                **facts,
            }
            group.attrs.update(with_checksum(json.loads(json.dumps(stated)), part))
            if known:
                cls(part, group)._take_over(known, plan)
            if path.exists():
                shutil.rmtree(path)
            part.rename(path)
        except OSError as error:
            raise OutputError(
                f"Cannot write results to {path}: {error.strerror or error}. Choose a folder "
                "that you may write to, on a disk with room."
            ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> ScoreStore:
        """Open a store that is there.

        Raises
        ------
        OutputError
            If there is none, or it is of another kind or version.
        """
        with reading(path):
            group = open_store_group(path)
            if group.attrs.get("format") != FORMAT or group.attrs.get("version") not in READABLE:
                raise OutputError(
                    f"{path} was not written by this version of napari-smse: remove it and "
                    "score the slide again."
                )
            check_checksums(group.attrs, path)
            facts = check_facts(group.attrs)
            check_arrays(group, len(facts.classes), facts.scales)
            if has_checksums(group.attrs):
                require_chunks(group, ("blocks_done",))
            store = cls(path, group)
            store.blocks_done()
        return store

    @property
    def facts(self) -> dict[str, Any]:
        """Everything written about the run, as JSON values."""
        return dict(self._group.attrs)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return tuple(self.facts["classes"])

    @property
    def complete(self) -> bool:
        """Whether every tile was scored."""
        return bool(self.facts["complete"])

    @property
    def finished(self) -> bool:
        """Whether a run came to its end: every tile was scored, or its time was up."""
        return "finished" in self.facts

    @property
    def scale_count(self) -> int:
        """Number of scales."""
        return len(self._scales)

    @property
    def known_scales(self) -> frozenset[int]:
        """Numbers of the scales that were taken over, whole, from an earlier run."""
        return frozenset(self.facts.get(KNOWN_SCALES, ()))

    def _take_over(self, known: Mapping[int, ScaleScores], plan: TilePlan) -> None:
        """Write the scores of whole scales, and count the blocks that only hold such as done."""
        for number, scores in known.items():
            self.write_rows(number, 0, scores.probability, scores.embedding, scores.appearance)
        self.mark_done(
            [
                number
                for number, block in enumerate(plan.blocks)
                if all(scale in known for scale, _, _ in block.members)
            ]
        )
        self._state({KNOWN_SCALES: sorted(known)})

    def _state(self, facts: Mapping[str, Any]) -> None:
        """Write further facts, with the checksum of them all."""
        stated = json.loads(json.dumps({**self.facts, **facts}))
        self._group.attrs.update(with_checksum(stated, self.path))

    def blocks_done(self) -> NDArray[np.bool_]:
        """Which blocks of the plan are on disk."""
        return np.asarray(self._blocks_done[:], dtype=bool)

    def write_rows(
        self,
        scale: int,
        rows: int | NDArray[np.int64],
        probability: NDArray[np.float32],
        embedding: NDArray[np.floating],
        appearance: NDArray[np.float32] | None = None,
    ) -> None:
        """Write tiles of one scale; what they look like only if it is known.

        Their rows are ascending, (n,), or consecutive from a first one. Many cost hardly more than
        few, as a chunk is read and written as a whole.

        Raises
        ------
        OutputError
            If the disk is full or the folder was taken away.
        """
        at = slice(rows, rows + len(probability)) if isinstance(rows, int) else rows
        with writing(self.path):
            group = self._scales[scale]
            write(group["probability"], at, probability)
            write(group["embedding"], at, embedding.astype(np.float16))
            if "appearance" in group:
                write(group["appearance"], at, np.nan if appearance is None else appearance)

    def mark_done(self, blocks: Sequence[int]) -> None:
        """Count blocks as done; call it only after their rows are written."""
        with writing(self.path):
            done = self._blocks_done[:]
            done[list(blocks)] = 1
            write(self._blocks_done, slice(None), done)

    def forget(self) -> None:
        """Count no block as done, and no scale: what was scored cannot be relied on."""
        with writing(self.path):
            write(self._blocks_done, slice(None), 0)
            self._state({KNOWN_SCALES: []})

    def finish(self, *, complete: bool = True, **facts: Any) -> None:
        """Mark the end of a run that scored every tile or all it had time for, with facts of it."""
        with writing(self.path):
            scored = [count_scored(group) for group in self._scales]
            self._state({**facts, SCORED_TILES: scored, "finished": _now(), "complete": complete})

    def name_model(self, model: Mapping[str, Any]) -> None:
        """Record whose scores these are: the same weights have another name now.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        with writing(self.path):
            self._state({"model": dict(model)})

    def scale(self, number: int) -> ScaleScores:
        """Read back one scale.

        Raises
        ------
        OutputError
            If the files are damaged.
        """
        group = self._scales[number]
        with reading(self.path):
            self._require_whole(number)
            return ScaleScores(
                read_tiles(group),
                np.asarray(group["probability"][:]),
                np.asarray(group["embedding"][:]),
                read_appearance(group),
            )

    def _require_whole(self, number: int) -> None:
        """Raise if chunks of a scale were lost since the run came to its end."""
        scored = self.facts.get(SCORED_TILES)
        if scored is not None and number not in self._checked:
            check_chunks(self._scales[number], scored[number], complete=self.complete)
            self._checked.add(number)

    def appearance(self, number: int) -> NDArray[np.float32]:
        """Read back what the tiles of one scale look like, ``(n, k)``; NaN where not measured.

        Raises
        ------
        OutputError
            If the files are damaged.
        """
        with reading(self.path):
            return read_appearance(self._scales[number])

    def tile_table(self) -> TileTable:
        """Return the tiles of all scales that were scored so far, in one table.

        Raises
        ------
        OutputError
            If the files are damaged.
        """
        scales, embeddings, probability = [], [], []
        for number in range(self.scale_count):
            scores = self.scale(number)
            # A run that is still going writes a tile's embedding a moment after its probability.
            written = scores.embedding.any(axis=1)
            done = np.flatnonzero(~np.isnan(scores.probability[:, 0]) & written)
            scales.append(scores.tiles.take(done))
            embeddings.append(unit_length(scores.embedding[done]))
            probability.append(scores.probability[done])
        return TileTable(
            tuple(scales), np.concatenate(embeddings), np.concatenate(probability), self.classes
        )

    def fused(self, class_index: int, scales: Sequence[int] | None = None) -> HeatMap:
        """The map of one class over several scales, all by default."""
        numbers = range(self.scale_count) if scales is None else scales
        return fuse([self.scale(number).heat_map(class_index) for number in numbers])


def signature(facts: Mapping[str, Any]) -> str:
    """A short hash of what scores depend on, but for `UNSIGNED`; equal means a run can go on."""
    facts = {name: value for name, value in facts.items() if name not in UNSIGNED}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
