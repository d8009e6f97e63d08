"""OME-Zarr images at an address: the group that zarr reads, and which files are there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import zarr

from napari_smse.address import file_system
from napari_smse.errors import CopyFirstError, UnreachableSlideError
from napari_smse.slides.byte_ranges import trying
from napari_smse.slides.http_ranges import request_options
from napari_smse.slides.remote_path import RemotePath
from napari_smse.zarr_groups import open_group

METADATA: Final = (".zarray", ".zattrs", ".zgroup", "zarr.json")
"""Names of files, sorted."""

_AT_ONCE: Final = 8
_BESIDE_LEVELS: Final = ("OME", "labels")


def remote_group(path: RemotePath) -> zarr.Group:
    """Return the group of an OME-Zarr, whose chunks are fetched when they are read.

    Raises
    ------
    CopyFirstError
        Its credentials are in the query, which opens one file only.
    SlideError
        One of its other classes: it cannot be reached.
    """
    from zarr.storage import FsspecStore

    url, place = path.url, str(path)
    if "?" in url:
        raise CopyFirstError(
            f"{place} is a folder, of which a token in the address opens no file: copy it first"
        )
    file_system(url, UnreachableSlideError)  # names what is not installed
    store = FsspecStore.from_url(url, storage_options=request_options(url), read_only=True)
    return trying(place, lambda: open_group(store, mode="r", use_consolidated=False))


def remote_files(path: RemotePath, levels: Sequence[str]) -> list[Path]:
    """Return the files of an OME-Zarr that tell it from others, as far as they are there.

    A server lists no folders, so that each file is asked for by its name.

    Parameters
    ----------
    path
        The folder.
    levels
        Paths of the levels within, finest first.
    """
    inside = sorted({*(level.split("/")[0] for level in levels), *_BESIDE_LEVELS})
    folders = (path, *(path / name for name in inside))
    metadata = [folder / name for folder in folders for name in METADATA]
    array = remote_group(path)[levels[-1]]
    assert isinstance(array, zarr.Array)
    steps = array.shards or array.chunks
    counts = [-(-side // step) for side, step in zip(array.shape, steps, strict=True)]
    keys = (array.metadata.encode_chunk_key(place) for place in np.ndindex(*counts))
    coarsest = sorted(path / levels[-1] / name for name in (*METADATA, *keys))
    wanted = list(dict.fromkeys([*metadata, *coarsest]))
    with ThreadPoolExecutor(_AT_ONCE) as asked:
        there = asked.map(RemotePath.exists, wanted)
        return [file for file, is_there in zip(wanted, there, strict=True) if is_there]
