"""OME-Zarr images made up for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from support.slides import Image, pyramid


def write_ome_zarr(
    path: Path,
    image: Image,
    version: str = "0.5",
    *,
    mpp: float | None = 0.5,
    levels: int = 3,
    chunk: int = 64,
    axes: str = "cyx",
    **options: Any,
) -> Path:
    """Write an image whose levels are halves; axes beside c, y, x have length 1."""
    unit = {} if mpp is None else {"unit": "micrometer"}
    axis = {
        **{name: {"type": "space", **unit} for name in "yx"},
        "c": {"type": "channel"},
        "z": {"type": "space", "unit": "micrometer"},
        "t": {"type": "time"},
    }
    datasets = [
        {
            "path": str(index),
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [(mpp or 1) * 2**index if name in "yx" else 1.0 for name in axes],
                }
            ],
        }
        for index in range(levels)
    ]
    multiscales = [
        {"name": "made up", "axes": [{"name": n, **axis[n]} for n in axes], "datasets": datasets}
    ]
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **multiscales[0]}]
        options = {"chunk_key_encoding": {"name": "v2", "separator": "/"}, **options}
    else:
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    for index, level in enumerate(pyramid(image, levels)):
        pixels = in_axes(level, axes)
        chunks = tuple(
            min(chunk, side) if n in "yx" else 1 for n, side in zip(axes, pixels.shape, strict=True)
        )
        array = group.create_array(
            str(index), shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, **options
        )
        array[:] = pixels
    return path


def in_axes(image: Image, axes: str) -> Image:
    """Lay (y, x, c) pixels along these axes."""
    order = ["yxc".index(name) for name in axes if name in "yxc"]
    pixels = image.transpose(order)
    for place, name in enumerate(axes):
        if name not in "yxc":
            pixels = np.expand_dims(pixels, place)
    return pixels
