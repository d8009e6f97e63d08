"""Files of features of a slide's tiles, as another program writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.slides import Region, Slide


def write_features(
    path: Path, coords: ArrayLike, features: ArrayLike, edge: int, **others: Any
) -> Path:
    """Write a file as TRIDENT does; `others` are more datasets of it, by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["coords"], file["features"] = np.asarray(coords), np.asarray(features, np.float32)
        file["coords"].attrs.update({"patch_size": edge, "patch_size_level0": edge, "overlap": 0})
        for name, values in others.items():
            file[name] = values
    return path


def mean_colours(slide: Slide, edge: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return corners (n, 2) of tiles that touch, and the mean colours (n, 3) of these tiles."""
    columns, rows = slide.width // edge, slide.height // edge
    corners = np.array([(edge * x, edge * y) for y in range(rows) for x in range(columns)])
    tiles = [slide.read(Region(*one, edge, edge), slide.mpp) for one in corners.tolist()]
    colours = np.array([tile.mean(axis=(0, 1)) for tile in tiles], np.float32)
    return corners, colours - colours.mean(axis=0)
