"""Scores as somebody who means harm would hand them on: reading them would run a command."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

ARRAYS = ("blocks_done", "scale_0/tissue", "scale_0/probability", "scale_0/embedding")


class _Payload:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self._mark,)


def as_format_2(store: Path, mark: Path) -> None:
    """Replace scores by the same in zarr's format 2, where each array has a pickled chunk."""
    whole = store.with_name("whole.zarr")
    store.rename(whole)
    source, target = (
        zarr.open_group(whole, mode="r"),
        zarr.open_group(store, mode="w", zarr_format=2),
    )
    target.attrs.update(dict(source.attrs))
    for name, array in source.members(max_depth=None):
        if isinstance(array, zarr.Group):
            target.create_group(name).attrs.update(dict(array.attrs))
        elif name in ARRAYS:
            _pickled_array(store, name, array, mark)
        else:
            target.create_array(name, data=array[:])
    shutil.rmtree(whole)


def with_one_array_of_format_2(store: Path, mark: Path) -> None:
    """Replace one array by one of format 2, within a group of format 3."""
    array = zarr.open_group(store, mode="r")["blocks_done"]
    values = np.asarray(array[:])
    shutil.rmtree(store / "blocks_done")
    other = store.with_name("other.zarr")
    _pickled_array(other, "blocks_done", values, mark)
    (other / "blocks_done").rename(store / "blocks_done")
    shutil.rmtree(other)


def with_format_2_in_the_consolidated_metadata(store: Path, mark: Path) -> None:
    """Have the group say of an array, where zarr looks first, that it is of format 2."""
    kept = {
        path.parent.relative_to(store).as_posix(): json.loads(path.read_text())
        for path in store.rglob("zarr.json")
        if path.parent != store
    }
    with_one_array_of_format_2(store, mark)
    kept["blocks_done"] = json.loads((store / "blocks_done" / ".zarray").read_text())
    about = json.loads((store / "zarr.json").read_text())
    about["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": kept,
    }
    (store / "zarr.json").write_text(json.dumps(about))


def with_codec(store: Path, mark: Path, name: str = "numcodecs.pickle") -> None:
    """Give an array of format 3 a codec that the product never writes."""
    for part in ARRAYS:
        file = store / part / "zarr.json"
        about = json.loads(file.read_text())
        about["codecs"].append({"name": name, "configuration": {}})
        file.write_text(json.dumps(about))
        for chunk in (store / part / "c").rglob("0"):
            if chunk.is_file():
                chunk.write_bytes(pickle.dumps(_Payload(mark)))


def _pickled_array(store: Path, name: str, array: Any, mark: Path) -> None:
    """Write an array of format 2 with one chunk, which its filters unpickle.

    zarr asks the first filter for the type of the values, and refuses one named pickle there only.
    """
    group = zarr.open_group(store, mode="a", zarr_format=2)
    group.create_array(
        name, shape=array.shape, chunks=array.shape, dtype=array.dtype, compressors=None
    )
    file = store / name / ".zarray"
    about = json.loads(file.read_text())
    about |= {"dtype": "|O", "fill_value": "", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}
    file.write_text(json.dumps(about))
    chunk = ".".join("0" * array.ndim)
    (store / name / chunk).write_bytes(pickle.dumps(_Payload(mark)))


PREPARED = {
    "format 2": as_format_2,
    "an array of format 2": with_one_array_of_format_2,
    "consolidated metadata of format 2": with_format_2_in_the_consolidated_metadata,
    "a codec that unpickles": with_codec,
}
