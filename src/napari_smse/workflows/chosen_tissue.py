"""The tissue of a slide from the file that a request names, found once and then remembered."""

from __future__ import annotations

import logging

from napari_smse.progress import Task
from napari_smse.scoring import ScoreRequest
from napari_smse.segmentation.mask_file import is_drawn, mask_from
from napari_smse.slides import Slide
from napari_smse.tiles import Ground, TissueMask, find_tissue

_log = logging.getLogger(__name__)


def chosen_tissue(
    slide: Slide, request: ScoreRequest, device: str = "auto", threads: int | None = None
) -> Task[TissueMask | None]:
    """Find the tissue of a slide by the file that a request names.

    Parameters
    ----------
    slide
        The slide.
    request
        What is to be scored.
    device
        That a network runs on, by its name.
    threads
        CPU threads for a network; None for torch's own number.

    Returns
    -------
    TissueMask or None
        None if tissue is to be found by its colours.

    Raises
    ------
    NotBrightfieldError
        The slide is fluorescence, dark-field or black.
    MaskError, DeviceError, SlideError
        As `mask_from` raises.
    """
    choice = request.mask
    if choice is None:
        return None
    known = choice.known(slide, icc=request.icc)
    if known is not None:
        return known
    read = slide.with_icc() if request.icc else slide
    mask = yield from mask_from(choice, read, find_tissue(read), device, threads)
    _log.info("%s: %s", slide.path.name, mask.notice)
    choice.keep(slide, mask, icc=request.icc)
    return mask


def is_at_hand(slide: Slide, request: ScoreRequest) -> bool:
    """Whether the tissue of a slide is known, or found in a moment, so that one may wait for it."""
    choice = request.mask
    if choice is None or is_drawn(choice.path):
        return True
    return choice.known(slide, icc=request.icc) is not None


def ground_areas(mask: TissueMask, mpp: float) -> dict[Ground, float]:
    """Return how much of a slide is tissue, and how much is which artefact, in mm².

    Parameters
    ----------
    mask
        The slide's tissue.
    mpp
        um/px of level 0.
    """
    across, down = mask.cell
    counts = {ground: int((mask.ground == ground).sum()) for ground in Ground}
    mm2 = across * down * mpp**2 / 1e6
    return {
        ground: count * mm2
        for ground, count in counts.items()
        if count and ground is not Ground.GLASS
    }
