"""What a tile shows beyond the edges of a picture that is smaller than it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mirrored(part: NDArray[np.uint8], before: tuple[int, int], size: int) -> NDArray[np.uint8]:
    """Return a square tile of a part of it, mirrored to all sides where it ends.

    Parameters
    ----------
    part
        ``(h, w, 3)``, no larger than the tile.
    before
        How many rows and columns are missing before it; the others are missing after it.
    size
        Edge of the tile, px.
    """
    after = [size - have - missing for have, missing in zip(part.shape[:2], before, strict=True)]
    pad = [*zip(before, after, strict=True), (0, 0)]
    # numpy cannot reflect a single line, which only generated images have.
    mode = "reflect" if min(part.shape[:2]) > 1 else "edge"
    return np.asarray(np.pad(part, pad, mode=mode))  # type: ignore[call-overload]
