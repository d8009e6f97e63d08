"""What can be set where several scored slides are looked at together."""

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
