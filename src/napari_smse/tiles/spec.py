"""What a tile is: pixels at a target scale, and the piece of slide they show."""

from __future__ import annotations

from dataclasses import dataclass

from napari_smse.errors import ScaleError
from napari_smse.slides.scale import is_plausible

FINEST_MPP, COARSEST_MPP = 0.05, 10.0
MAX_OVERLAP = 0.9


@dataclass(frozen=True)
class TileSpec:
    """The size of a tile at a target scale, and on the slide.

    Parameters
    ----------
    size_px
        Edge of the square tile that the network sees, in pixels at `mpp`.
    mpp
        Target scale in um/px.
    slide_mpp
        Scale of the slide's level 0 in um/px.
    overlap
        Fraction of a tile's edge that its neighbour covers too, 0 to 0.9.

    Raises
    ------
    ScaleError
        If `mpp` is outside 0.05-10 um/px, `slide_mpp` outside 0.02-10, or the overlap outside
        0-0.9.
    """

    size_px: int
    mpp: float
    slide_mpp: float
    overlap: float = 0.0

    def __post_init__(self) -> None:
        """Refuse scales that no microscope has and overlaps that never end."""
        if not FINEST_MPP <= self.mpp <= COARSEST_MPP:
            raise ScaleError(
                f"{self.mpp:g} µm/px is not a scale tiles can be cut at: "
                f"give {FINEST_MPP:g} to {COARSEST_MPP:g} µm/px (20x is 0.5)."
            )
        if not is_plausible(self.slide_mpp):
            raise ScaleError(
                f"{self.slide_mpp:g} µm/px is no scale of a slide: state its true one."
            )
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ScaleError(
                f"Tiles cannot overlap by {self.overlap:g}: give a share of the tile's edge "
                f"from 0 to {MAX_OVERLAP:g}."
            )

    @property
    def size_um(self) -> float:
        """Edge of the tile in um."""
        return self.size_px * self.mpp

    @property
    def size_level0(self) -> float:
        """Edge of the tile in level-0 px."""
        return self.size_px * (self.mpp / self.slide_mpp)  # exact where one is a multiple

    @property
    def stride_level0(self) -> float:
        """Distance from one tile to the next in level-0 px."""
        return self.size_level0 * (1 - self.overlap)

    @property
    def upsampling(self) -> float:
        """How much the slide is magnified to reach the target scale; above 1 adds no detail."""
        return self.slide_mpp / self.mpp
