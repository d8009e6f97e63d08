"""The description of a slide for a worker: enough to plan the same tiles, and to check that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.models.model_files import bundled_models
from napari_smse.scoring import ComputeDevice, ScoreRequest
from napari_smse.scoring.open_run import plan_hash
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan
from napari_smse.tiles.mask_choice import pack_mask

if TYPE_CHECKING:
    from napari_smse.models import Model


@dataclass(frozen=True)
class SlideWork:
    """A slide to score, described so that every machine with the same files understands it.

    Parameters
    ----------
    path
        Path of the slide, absolute.
    mpp
        um/px of its level 0.
    quick_hash
        Hash of its content.
    request
        Request, from which the tiles are planned.
    plan
        Hash of the plan that this machine made.
    model
        A bundled model's name, or a path, absolute.
    weights_sha256
        SHA-256 of the model's weights.
    device
        Device, runtime and precision: the same for all, so that all compute the same numbers.
    mask
        The slide's tissue, packed, if it is not to be found by its colours.
    """

    path: Path
    mpp: float
    quick_hash: str
    request: ScoreRequest
    plan: str
    model: str
    weights_sha256: str
    device: ComputeDevice
    mask: bytes = b""

    @classmethod
    def from_slide(
        cls,
        slide: Slide,
        model: Model,
        model_name: str,
        request: ScoreRequest,
        plan: TilePlan,
        device: ComputeDevice,
    ) -> SlideWork:
        """Describe what is to be done on a slide.

        Parameters
        ----------
        slide, model, request, plan, device
            The slide, and how to score it on this machine.
        model_name
            Name or path that the model was loaded by.
        """
        bundled = model_name == "bundled" or model_name in bundled_models()
        return cls(
            path=slide.path,
            mpp=slide.mpp,
            quick_hash=slide.quick_hash,
            request=request,
            plan=plan_hash(plan),
            model=model_name if bundled else str(model.path.absolute()),
            weights_sha256=model.card.weights_sha256,
            device=device,
            mask=b"" if request.mask is None else pack_mask(plan.mask),
        )
