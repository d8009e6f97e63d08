"""A slide of an index on disk: one file, written whole or not at all."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_smse.atomic_write import write_atomic, write_new
from napari_smse.checksum import CHECKSUM, with_checksum, without_checksum
from napari_smse.errors import IndexFilesError
from napari_smse.similarity.index.shard import IndexedSlide, Shard, ShardTiles

logger = logging.getLogger(__name__)

SHARD_SUFFIX: Final = ".safetensors"
FORMAT: Final = "napari-smse index shard"
VERSION: Final = 1
_FACTS: Final = frozenset({"format", "version", "slide", CHECKSUM})

_STRAY_FOR_S: Final = 24 * 3600.0
"""A temporary file this old is no longer being written."""


def shard_files(folder: Path) -> list[Path]:
    """Files of slides; what is being written has a name that begins with a dot."""
    return sorted(path for path in folder.glob(f"*{SHARD_SUFFIX}") if not path.name.startswith("."))


def shard_path(folder: Path, quick_hash: str) -> Path:
    """Return where a slide's shard lies in an index."""
    return folder / f"{quick_hash}{SHARD_SUFFIX}"


def write_shard(folder: Path, shard: Shard, *, first: bool = False) -> None:
    """Write a shard, whole or not at all.

    Parameters
    ----------
    folder
        The index.
    shard
        The slide and its tiles.
    first
        Only if the slide has no file yet.

    Raises
    ------
    FileExistsError
        It has one, though only the first is to be written.
    OSError
        It cannot be written; what was there before still is.
    """
    tensors: dict[str, NDArray[Any]] = {
        "embeddings": shard.embeddings.astype(np.float16),
        "probability": shard.probability.astype(np.float32),
        "places": shard.places.astype(np.int32),
        "scale": shard.scale,
        "mpps": shard.mpps,
    }
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    sums = {name: zlib.crc32(tensor.data) for name, tensor in whole.items()}
    facts = shard.slide.model_copy(update={"checksums": sums}).model_dump_json()
    # It covers the tensors, too, by their sums, and each can be read alone.
    metadata = with_checksum({"format": FORMAT, "version": str(VERSION), "slide": facts})
    write = write_new if first else write_atomic
    write(shard_path(folder, shard.slide.quick_hash), save(whole, metadata=metadata))


def read_slide(path: Path) -> IndexedSlide:
    """Read the facts of a shard's slide; of the tiles, only that they are all there.

    Raises
    ------
    IndexFilesError
        The file is cut off, damaged, or holds something else.
    """
    with _reading(path), safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError("it is no part of an index")
        if metadata.get("version") != str(VERSION):
            raise ValueError(f"it has version {metadata.get('version')}, this program {VERSION}")
        if unknown := metadata.keys() - _FACTS:
            raise ValueError(f"it has {min(unknown)!r}, which is not known here")
        metadata = without_checksum(metadata, path)
        slide = IndexedSlide.model_validate_json(metadata["slide"])
        for name in ("embeddings", "probability", "places"):
            if file.get_slice(name).get_shape()[0] != slide.tile_count:
                raise ValueError("its columns do not fit together")
    if path.name != shard_path(path.parent, slide.quick_hash).name:
        raise _damaged(path, "its name is that of another slide")
    return slide


def read_embeddings(folder: Path, slide: IndexedSlide) -> NDArray[np.float32]:
    """Read a slide's embeddings, ``(n, d)``, each of length 1.

    Raises
    ------
    IndexFilesError
        The file is gone or damaged.
    """
    exact = _tensor(folder, slide, "embeddings").astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    exact /= np.maximum(length, np.finfo(np.float32).tiny)[:, None]
    return exact


def read_shard(folder: Path, slide: IndexedSlide) -> Shard:
    """Read a slide with all its tiles.

    Raises
    ------
    IndexFilesError
        The file is gone or damaged.
    """
    names = ("probability", "places", "embeddings")
    return Shard(slide, *(_tensor(folder, slide, name) for name in names))


def read_tiles(folder: Path, slide: IndexedSlide) -> ShardTiles:
    """Read a slide with its tiles but not their embeddings, which are most of the file.

    Raises
    ------
    IndexFilesError
        The file is gone or damaged.
    """
    names = ("probability", "places")
    return ShardTiles(slide, *(_tensor(folder, slide, name) for name in names))


def remove_strays(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for path in folder.glob(f".*{SHARD_SUFFIX}.*"):
        try:
            if time.time() - path.stat().st_mtime > _STRAY_FOR_S:
                path.unlink()
        except OSError:
            logger.info("a stray file cannot be removed: %s", path)


def _tensor(folder: Path, slide: IndexedSlide, name: str) -> NDArray[Any]:
    path = shard_path(folder, slide.quick_hash)
    with _reading(path), safe_open(path, framework="numpy") as file:
        tensor: NDArray[Any] = file.get_tensor(name)
        if tensor.ndim != 2 or len(tensor) != slide.tile_count:
            raise ValueError("its columns do not fit together")
        if zlib.crc32(np.ascontiguousarray(tensor).data) != slide.checksums.get(name):
            raise ValueError(f"its {name} are not what was written")
    return tensor


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, ValidationError, KeyError, ValueError, TypeError) as error:
        # pydantic says in many lines what a program may want to know.
        many = isinstance(error, ValidationError | KeyError)
        raise _damaged(path, "its facts are not whole" if many else str(error)) from error


def _damaged(path: Path, reason: str) -> IndexFilesError:
    first_line = (reason or "cut off").splitlines()[0]
    return IndexFilesError(
        f"{path} cannot be read ({first_line}): remove the file and index its slide again."
    )
