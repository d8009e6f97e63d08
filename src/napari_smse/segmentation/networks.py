"""The published networks that find tissue and artefacts, and how a file of weights tells which.

Imports no torch. What is said of a network is as its authors state it: HEST's by Jaume et al.,
HEST-1k: A Dataset for Spatial Transcriptomics and Histology Image Analysis (NeurIPS 2024);
GrandQC by Weng et al., Nature Communications 15 (2024), 10685.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from napari_smse.errors import MaskError
from napari_smse.tiles import Ground

Architecture = Literal["deeplabv3_resnet50", "UnetPlusPlus", "Unet"]
_MPP_IN_NAME: Final = re.compile(r"mpp[_-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class MaskNetwork:
    """A published network.

    Attributes
    ----------
    name
        What it is called.
    architecture
        Of torchvision, or of segmentation_models_pytorch with an EfficientNet-B0.
    classes
        What each of its outputs stands for.
    mpps
        um/px that its weights exist for; the only one is its own.
    licence
        Of its weights.
    jpeg_quality
        What images are compressed with first, as its training images were; None for not at all.
    """

    name: str
    architecture: Architecture
    classes: tuple[Ground, ...]
    mpps: tuple[float, ...]
    licence: str
    jpeg_quality: int | None = None

    @property
    def notice(self) -> str:
        """What a reader of results must know that are by it."""
        return (
            f"Tissue by {self.name}; its weights are licensed {self.licence}, as their authors "
            "state: no commercial use."
        )

    def mpp(self, wanted: float | None, path: Path) -> float:
        """Return the um/px to run it at.

        Parameters
        ----------
        wanted
            As somebody says, or the name of the file.
        path
            Of its weights.

        Raises
        ------
        MaskError
            Its weights exist for several, and nobody says which these are.
        """
        if wanted is not None:
            return wanted
        if len(self.mpps) == 1:
            return self.mpps[0]
        raise MaskError(
            f"{path.name} does not say which scale these weights of {self.name} are for: name it "
            "as it was published (GrandQC_MPP1, GrandQC_MPP15 or GrandQC_MPP2), or give the µm/px "
            "(in a shell: --mask-mpp)."
        )


HEST: Final = MaskNetwork(
    "HEST tissue segmentation",
    "deeplabv3_resnet50",
    (Ground.GLASS, Ground.TISSUE),
    (1.0,),
    "CC BY-NC-SA 4.0",
)
GRANDQC_TISSUE: Final = MaskNetwork(
    "GrandQC tissue detection",
    "UnetPlusPlus",
    (Ground.TISSUE, Ground.GLASS),
    (10.0,),
    "CC BY-NC-SA 4.0 or CC BY-NC 4.0",
    jpeg_quality=80,
)
GRANDQC_ARTEFACTS: Final = MaskNetwork(
    "GrandQC artefact detection",
    "Unet",
    (
        Ground.GLASS,
        Ground.TISSUE,
        Ground.FOLD,
        Ground.FOREIGN,
        Ground.PEN,
        Ground.BUBBLE,
        Ground.BLUR,
        Ground.GLASS,
    ),
    (1.0, 1.5, 2.0),
    "CC BY-NC-SA 4.0",
)
KNOWN: Final = (HEST, GRANDQC_TISSUE, GRANDQC_ARTEFACTS)

_LAST_LAYER: Final = {
    "deeplabv3_resnet50": "classifier.4.weight",
    "UnetPlusPlus": "segmentation_head.0.weight",
    "Unet": "segmentation_head.0.weight",
}


def recognise(shapes: Mapping[str, tuple[int, ...]], path: Path) -> MaskNetwork:
    """Return the network that weights are of.

    Parameters
    ----------
    shapes
        Of the weights, by their names without what a wrapper put before.
    path
        The file.

    Raises
    ------
    MaskError
        They are of none of those known.
    """
    for network in KNOWN:
        last = shapes.get(_LAST_LAYER[network.architecture], ())
        nested = any(name.startswith("decoder.blocks.x_") for name in shapes)
        if last[:1] == (len(network.classes),) and nested is (
            network.architecture == "UnetPlusPlus"
        ):
            return network
    names = ", ".join(network.name for network in KNOWN)
    raise MaskError(
        f"{path.name} holds weights of none of the networks that find tissue here ({names}): give "
        "the weights of one of these, or a mask as GeoJSON."
    )


def mpp_in_name(path: Path) -> float | None:
    """Return the um/px that a file's name states as GrandQC's do: MPP15 is 1.5, MPP10 is 10."""
    found = _MPP_IN_NAME.search(path.name)
    return None if found is None else {"15": 1.5}.get(found[1], float(found[1]))
