"""What can be set where embeddings are compared: evidence, search, maps, and what to label next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_smse.workflows.settings.option import Option

Projection = Literal["pca", "umap"]


@dataclass(frozen=True)
class EmbeddingMapSettings:
    """How tiles get their places on an embedding map."""

    method: Annotated[
        Projection,
        Option(
            "Projection",
            "Principal components keep what differs most; UMAP keeps who is whose neighbour, and "
            "says nothing of how far apart groups are.",
            choices={"pca": "Principal components", "umap": "UMAP (slower)"},
        ),
    ] = "pca"


@dataclass(frozen=True)
class SuggestSettings:
    """How many tiles to suggest for annotation."""

    n: Annotated[
        int,
        Option("Tiles", "Number of tiles of all slides together.", 1, 200, unit="tiles"),
    ] = 20


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
