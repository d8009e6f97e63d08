"""Encoders: networks trained by others that turn a tile into features.

What they are (`catalogue`) is known without torch; how they are built (`construction`) is not.
"""

from napari_smse.models.encoders.catalogue import ENCODERS, find_encoder
from napari_smse.models.encoders.encoder import (
    TRUNK_PREFIX,
    Architecture,
    Encoder,
    Gate,
    Pooling,
)

__all__ = [
    "ENCODERS",
    "TRUNK_PREFIX",
    "Architecture",
    "Encoder",
    "Gate",
    "Pooling",
    "find_encoder",
]
