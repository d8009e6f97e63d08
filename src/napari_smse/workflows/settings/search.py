"""How to search for tiles, among exemplars and in an index of slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_smse.workflows.settings.option import Option


@dataclass(frozen=True)
class EvidenceSettings:
    """Which exemplars a tile is compared with."""

    k: Annotated[
        int,
        Option(
            "k nearest neighbours",
            "How many of the nearest reference tiles are shown and vote.",
            1,
            50,
        ),
    ] = 5
    similar_scale: Annotated[
        bool,
        Option(
            "Only those of about the same scale",
            "Compare a tile only with reference tiles within 1.5x its µm/px.",
        ),
    ] = False


@dataclass(frozen=True)
class SearchSettings:
    """What to look for in an index of slides."""

    k: Annotated[
        int,
        Option("Tiles", "How many tiles to find, of all slides together.", 1, 1000, unit="tiles"),
    ] = 50
    mpp: Annotated[
        float | None,
        Option(
            "Scale",
            "Scale of the tiles in µm/px (0.5) or as objective power (20x). By default the finest "
            "that the slide is indexed at.",
        ),
    ] = None
    approximate: Annotated[
        bool | None,
        Option(
            "Approximate",
            "Search the approximate index, or every tile. By default the approximate index where "
            "there is one and the tiles are 4 million or more.",
        ),
    ] = None
