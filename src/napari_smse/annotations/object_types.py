"""Which objects of a GeoJSON file are annotations: what a person drew, not what a program found.

QuPath exports all objects of a slide alike, and states the type of each: ``objectType`` since
version 0.4, ``object_type`` in 0.3, and before that a class of its own in place of an identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MEASURED: Final = ("µm/px", "Tissue")
"""What an exported tile is measured by, beside the probability of each class."""

_PROBABILITY: Final = "P("
_NOT_DRAWN: Final = frozenset({"detection", "tile", "cell", "tmacore", "root"})


def probability_name(class_name: str) -> str:
    """Return what the probability of a class is called among the measurements of a tile."""
    return f"{_PROBABILITY}{class_name})"


def is_annotation(feature: Mapping[str, Any]) -> bool:
    """Tell whether a GeoJSON feature is an annotation.

    Tiles, cells and other detections are not, and neither is what has the measurements of a tile
    that this package exported, whatever it was made into since. A feature that does not state
    it is, as other programs write them, is taken for one.
    """
    given = feature.get("properties")
    properties = given if isinstance(given, dict) else {}
    stated = properties.get("objectType", properties.get("object_type", feature.get("id")))
    kind = stated.lower().replace("_", "") if isinstance(stated, str) else ""
    if kind.removeprefix("path").removesuffix("object") in _NOT_DRAWN:
        return False
    return not _has_scores(properties.get("measurements"))


def _has_scores(measurements: Any) -> bool:
    """Tell whether these are the measurements of a scored tile, in any writing of QuPath's."""
    if isinstance(measurements, list):
        measurements = {
            entry.get("name"): entry for entry in measurements if isinstance(entry, dict)
        }
    if not isinstance(measurements, dict):
        return False
    scored = any(isinstance(name, str) and name.startswith(_PROBABILITY) for name in measurements)
    return scored and all(name in measurements for name in MEASURED)
