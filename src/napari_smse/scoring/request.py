"""The request of a run, the scales in it, and warnings about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import ModelError, RequestError, ScaleError
from napari_smse.models.card import ModelCard
from napari_smse.slides import Slide
from napari_smse.tiles import Ground, TilePlan, TissueMask, plan_tiles
from napari_smse.tiles.mask_choice import MaskChoice
from napari_smse.tiles.tile_choice import MIN_TISSUE, artefact_tiles

_HALF_A_TILE = 0.5
_RANGE_TOLERANCE = 1.05
_SAME_SCALE = 1e-3
"""Of um/px, relative: what is rounded in a table or a name is still the same."""
_WARN_UPSAMPLING = 1.25
_SETTING_NAMES = {
    "mpp": "µm/px of the slide",
    "quick_hash": "file of the slide",
    "hash": "weights of the model",
    "mpps": "scales",
    "min_tissue": "least tissue",
    "roi": "region",
    "coarse_first": "time limit",
    "icc": "colours by the ICC profile",
    "leave_out": "artefacts left out",
    "mask_mpp": "µm/px of the tissue mask",
}
"""What a run depends on, where a reader would not guess it from the name in its record."""

_OBJECTIVE_MPP = 10.0
"""um/px times objective power, for the usual scanners: 20x is 0.5 um/px."""


@dataclass(frozen=True)
class ScoreRequest:
    """Which tiles of a slide to score.

    Parameters
    ----------
    mpps
        Scales, um/px.
    overlap
        Fraction of a tile's edge that its neighbour covers too.
    min_tissue
        A tile is scored if at least this fraction of it is tissue.
    roi
        Region, (x, y) in level-0 px; None for the whole slide.
    coarse_first
        Score all tissue once, at the coarsest scale, before anything at a finer one. With
        one scale, the second pass lies half a tile further on.
    any_stain
        Also of slides with another stain than H&E.
    icc
        Bring the slide's pixels to sRGB by its ICC profile first.
    mask
        What the tissue is taken from; None for its colours.
    """

    mpps: tuple[float, ...]
    overlap: float = 0.0
    min_tissue: float = MIN_TISSUE
    roi: BaseGeometry | None = None
    coarse_first: bool = False
    any_stain: bool = False
    icc: bool = False
    mask: MaskChoice | None = None

    def plan(self, slide: Slide, card: ModelCard, mask: TissueMask | None = None) -> TilePlan:
        """The tiles to score; raises what `plan_tiles` and `require_tiles` raise.

        Parameters
        ----------
        slide, card
            The slide, and the card of the model.
        mask
            The slide's tissue; by default as it was found before, or by its colours.

        Raises
        ------
        RequestError
            The tissue is to be taken from a file, which nobody asked yet.
        """
        require_tiles(card)
        if self.mask is not None:
            mask = self._chosen(self.mask, slide) if mask is None else self.mask.applied(mask)
        return plan_tiles(
            slide,
            self.mpps,
            tile_px=card.tile_px,
            overlap=self._tile_overlap,
            min_tissue=self.min_tissue,
            roi=self.roi,
            mask=mask,
            coarse_first=self.coarse_first,
            any_stain=self.any_stain,
            icc=self.icc,
        )

    def _chosen(self, choice: MaskChoice, slide: Slide) -> TissueMask:
        mask = choice.known(slide, icc=self.icc)
        if mask is None:
            raise RequestError(
                f"The tissue of {slide.path.name} was not found by {choice.path.name} yet: press "
                "Show tissue or Run, or score it."
            )
        return mask

    def left_out(self, plan: TilePlan) -> dict[Ground, int]:
        """Count the tiles of a plan that are left out for an artefact, by the artefact."""
        counts: Counter[Ground] = Counter()
        for tiles in plan.scales:
            counts.update(
                artefact_tiles(tiles.grid, plan.mask, roi=self.roi, min_tissue=self.min_tissue)
            )
        return dict(counts.most_common())

    @property
    def _tile_overlap(self) -> float:
        single_scale = len(set(self.mpps)) == 1
        return (
            max(self.overlap, _HALF_A_TILE) if self.coarse_first and single_scale else self.overlap
        )

    def facts(self) -> dict[str, Any]:
        """The request as JSON values; a region by the hash of its outline."""
        outline = None if self.roi is None else shapely.to_wkb(shapely.normalize(self.roi))
        facts = {
            "mpps": sorted(set(self.mpps)),
            "overlap": self.overlap,
            "min_tissue": self.min_tissue,
            "roi": None if outline is None else hashlib.sha256(outline).hexdigest()[:16],
        }
        # Written only where it is so: runs of earlier versions, which knew no other, can go on.
        chosen = {"coarse_first": self.coarse_first, "icc": self.icc}
        facts |= {name: True for name, value in chosen.items() if value}
        return facts if self.mask is None else facts | self.mask.facts()

    @property
    def region(self) -> dict[str, Any] | None:
        """The region as a GeoJSON geometry, (x, y) in level-0 px; None for the whole slide."""
        return None if self.roi is None else dict(mapping(self.roi))


def require_tiles(card: ModelCard) -> None:
    """Refuse a network that does not take tiles.

    Raises
    ------
    ModelError
        It takes whole images of one size.
    """
    if not card.takes_tiles:
        raise ModelError(
            f"Model {card.name} ({card.trunk}) judges whole images and cannot score the tiles of a "
            "slide: choose a model for tiles, such as the bundled one."
        )


def parse_scale(text: str | float) -> float:
    """Read a scale as um/px (``0.5``) or objective power (``20x``, taken as 10/20 um/px).

    Raises
    ------
    ScaleError
        If it is neither.
    """
    stripped = str(text).strip().lower()
    is_power = stripped.endswith("x")
    try:
        value = float(stripped.removesuffix("x"))
        mpp = _OBJECTIVE_MPP / value if is_power else value
    except (ValueError, ZeroDivisionError):
        mpp = -1.0
    if not 0 < mpp < float("inf"):
        raise ScaleError(
            f"{text!r} is not a scale: give µm/px, such as 0.5, or an objective power, such as 20x."
        )
    return mpp


def objective_power(mpp: float) -> float:
    """The objective power that a scale amounts to: 10 / (um/px)."""
    return _OBJECTIVE_MPP / mpp


def describe_scale(mpp: float) -> str:
    """A scale in a pathologist's and in a physicist's units: ``20x, 0.5 um/px``."""
    return f"{objective_power(mpp):.3g}x, {mpp:.3g} µm/px"


def is_trained_scale(mpp: float, card: ModelCard) -> bool:
    """Whether the model saw this scale in training (within 5 %)."""
    low, high = card.mpp_range
    return low / _RANGE_TOLERANCE <= mpp <= high * _RANGE_TOLERANCE


def usual_scales(mpps: Sequence[float], card: ModelCard) -> tuple[float, ...]:
    """Return the usual scales, or the model's own where it knows none of them, um/px."""
    if any(is_trained_scale(mpp, card) for mpp in mpps):
        return tuple(mpps)
    return (card.mpp_range[0],)


def fused_scales(mpps: Sequence[float], card: ModelCard) -> list[int]:
    """Which of several scales a fused map may use: the trained ones, or all if none is."""
    trained = [number for number, mpp in enumerate(mpps) if is_trained_scale(mpp, card)]
    return trained or list(range(len(mpps)))


def mask_warnings(request: ScoreRequest, plan: TilePlan) -> list[str]:
    """What a reader of the results must know about where the tissue is from, one line each."""
    warnings = [plan.mask.notice] if plan.mask.notice else []
    counts = request.left_out(plan)
    if counts:
        kinds = ", ".join(f"{count:,} {ground.words}" for ground, count in counts.items())
        warnings.append(f"Tiles left out for artefacts: {kinds}.")
    return warnings


def scale_warnings(slide: Slide, card: ModelCard, mpps: tuple[float, ...]) -> list[str]:
    """What a reader of the results must know about the scales, one line each."""
    warnings = []
    has_one_scale = card.mpp_range[0] == card.mpp_range[1]
    for mpp in sorted(set(mpps)):
        is_trained = is_trained_scale(mpp, card)
        if not is_trained:
            warnings.append(
                f"{mpp:.4g} µm/px lies outside the {card.trained_scales} µm/px that model "
                f"{card.name} was trained on: take its map as unknown."
            )
        # A model with a single scale was trained on tiles that were enlarged just so.
        if slide.mpp > _WARN_UPSAMPLING * mpp and not (has_one_scale and is_trained):
            warnings.append(
                f"{slide.name} has {slide.mpp:.3g} µm/px: tiles at {mpp:.4g} µm/px are magnified "
                f"{slide.mpp / mpp:.1f} times and show no finer detail."
            )
    return warnings


def number_of_scale(mpps: Sequence[float], mpp: float | None) -> int:
    """Return the number of a scale among those that were scored, fine to coarse.

    Parameters
    ----------
    mpps
        The scales, um/px.
    mpp
        The scale that is meant, um/px; None for the only one.

    Raises
    ------
    ScaleError
        If there is none of this um/px, or several and none is named.
    """
    if mpp is None and len(mpps) == 1:
        return 0
    known = ", ".join(f"{one:g}" for one in mpps)
    if mpp is None:
        raise ScaleError(f"There are several scales ({known} µm/px): say which, as mpp.")
    for number, one in enumerate(mpps):
        if abs(one - mpp) <= _SAME_SCALE * one:
            return number
    raise ScaleError(f"Nothing was scored at {mpp:g} µm/px: choose one of {known} µm/px.")


def setting_name(fact: str) -> str:
    """Return what a setting or another fact of a run is called, as ``scales``.

    Parameters
    ----------
    fact
        As a record names it, with the part it is of or without: ``request mpps``, ``mpps``.
    """
    name = fact.rpartition(" ")[2]
    return _SETTING_NAMES.get(name, fact.removeprefix("request ").replace("_", " "))
