"""How to score a slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import RequestError
from napari_smse.scoring import ScoreRequest
from napari_smse.scoring.device import PrecisionChoice
from napari_smse.segmentation.mask_file import choose_mask, is_drawn
from napari_smse.slides import Slide
from napari_smse.tiles import ARTEFACTS, Ground, TileSpec
from napari_smse.tiles.mask_choice import MaskChoice, left_out_by
from napari_smse.workflows.settings.option import Option


@dataclass(frozen=True)
class ScoreSettings:
    """Which tiles of a slide to score, on what, and for how long."""

    mpp: Annotated[
        tuple[float, ...],
        Option("Scales", "Scales of the tiles in µm/px (0.5) or as objective power (20x)."),
    ] = (0.5,)
    overlap: Annotated[
        float,
        Option(
            "Tile overlap",
            "Fraction of a tile's edge that its neighbour covers, too: the map gets smoother, and "
            "takes longer.",
            maximum=0.9,
            step=0.05,
            unit="%",
            per_unit=0.01,
            advanced=True,
        ),
    ] = 0.0
    min_tissue: Annotated[
        float,
        Option(
            "Minimum tissue fraction",
            "Tiles with less tissue than this are not scored.",
            step=0.01,
            unit="%",
            per_unit=0.01,
            advanced=True,
        ),
    ] = 0.25
    time_limit: Annotated[
        float | None,
        Option(
            "Time limit",
            "Time for each slide: all tissue is scored once at the coarsest scale; what is left of "
            "the time goes to where the class is in doubt or scales disagree.",
            minimum=60.0,
            maximum=24 * 3600.0,
            step=60.0,
            unit="min",
            per_unit=60.0,
            unset="none",
            advanced=True,
        ),
    ] = None
    device: Annotated[
        str, Option("Device", "Device to compute on: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto"
    precision: Annotated[
        PrecisionChoice,
        Option(
            "Precision",
            "Number format of the network: auto is the fastest that keeps float32's probabilities "
            "to 0.01, float32 is by torch, and int8, on CPUs, is faster and deviates more: by how "
            "much is measured when the model is quantised.",
            choices={"auto": "Automatic", "float32": "float32", "int8": "int8 (approximate)"},
            advanced=True,
        ),
    ] = "auto"

    any_stain: Annotated[
        bool,
        Option(
            "Allow other stains",
            "Score slides that do not look like H&E, too. No model here learnt from other stains.",
            advanced=True,
        ),
    ] = False

    icc: Annotated[
        bool,
        Option(
            "Apply ICC profile",
            "Bring the slide's colours to sRGB by the ICC profile in its file before anything is "
            "scored.",
            advanced=True,
        ),
    ] = False

    tissue_mask: Annotated[
        str | None,
        Option(
            "Tissue from",
            "Take the tissue from a file instead of finding it by colour: GeoJSON of any program, "
            "a folder with one GeoJSON for each slide (by its name), or the weights of HEST's "
            "tissue segmentation or of GrandQC.",
            unset="colour",
            advanced=True,
        ),
    ] = None

    leave_out: Annotated[
        tuple[str, ...],
        Option(
            "Leave out",
            "Artefacts of a tissue mask that are not scored: "
            f"{', '.join(ARTEFACTS)}; or none. A tile that shows more of them than of tissue is "
            "left out.",
            advanced=True,
        ),
    ] = tuple(ARTEFACTS)

    mask_mpp: Annotated[
        float | None,
        Option(
            "Mask scale",
            "Scale that the network of a tissue mask runs at, where the name of its file does not "
            "state it as GrandQC's do (MPP1, MPP15, MPP2).",
            minimum=0.5,
            maximum=32.0,
            step=0.5,
            unit="µm/px",
            unset="its own",
            advanced=True,
        ),
    ] = None

    def request(self, roi: BaseGeometry | None = None, slide: Slide | None = None) -> ScoreRequest:
        """Return which tiles are to be scored.

        Parameters
        ----------
        roi
            Region, (x, y) in level-0 px; None for the whole slide.
        slide
            The slide that it is about, of whose name a tissue mask may be; without one, there is no
            tissue mask in the request.

        Raises
        ------
        ScaleError
            A scale or the overlap is impossible.
        RequestError
            There is no such artefact, or no tissue mask that it could be left out by.
        MaskError
            The tissue mask is not there.
        """
        for mpp in self.mpp:
            TileSpec(1, mpp, mpp, self.overlap)  # refuses what is impossible
        left_out = left_out_by(self.leave_out)
        if self.tissue_mask is None and left_out != frozenset(ARTEFACTS.values()):
            raise RequestError(
                "Artefacts are told apart by a tissue mask only: give one (in a shell: "
                "--tissue-mask), or leave out --leave-out."
            )
        return ScoreRequest(
            self.mpp,
            self.overlap,
            self.min_tissue,
            roi,
            coarse_first=self.time_limit is not None,
            any_stain=self.any_stain,
            icc=self.icc,
            mask=self._mask_of(slide, left_out),
        )

    def require_masks(self, slides: int) -> None:
        """Refuse to take the tissue of several slides from the outlines of one.

        Parameters
        ----------
        slides
            How many there are.

        Raises
        ------
        RequestError
            There are several, and the tissue mask is one file of outlines.
        """
        mask = None if self.tissue_mask is None else Path(self.tissue_mask)
        if slides > 1 and mask is not None and is_drawn(mask) and not mask.is_dir():
            raise RequestError(
                f"{mask.name} holds the outlines of one slide, and there are {slides}: give the "
                "folder with a GeoJSON for each slide, by its name."
            )

    def _mask_of(self, slide: Slide | None, left_out: frozenset[Ground]) -> MaskChoice | None:
        if slide is None or self.tissue_mask is None:
            return None
        return choose_mask(Path(self.tissue_mask), slide, left_out, self.mask_mpp)

    def request_on(self, slide: Slide, outlines: BaseGeometry | None) -> ScoreRequest:
        """Return which tiles of a slide are to be scored.

        Parameters
        ----------
        slide
            The slide.
        outlines
            Region, (x, y) in level-0 px from the slide's bounds, as QuPath counts; None for all.

        Raises
        ------
        ScaleError
            A scale or the overlap is impossible.
        """
        if outlines is None:
            return self.request(None, slide)
        return self.request(translate(outlines, slide.bounds.x, slide.bounds.y), slide)


def chosen_precision(precision: PrecisionChoice, *, float32: bool) -> PrecisionChoice:
    """Return the precision, of which float32 has a switch of its own, too.

    Raises
    ------
    RequestError
        float32 is asked for, and another one.
    """
    if float32 and precision == "int8":
        raise RequestError("Give float32 or the precision int8, not both.")
    return "float32" if float32 else precision
