"""The colours of stains."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Rows: haematoxylin, eosin, residual (Ruifrok and Johnston 2001), as optical densities.
STAINS: Final[NDArray[np.float64]] = np.array(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]]
)
