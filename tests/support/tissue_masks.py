"""Drawn tissue masks, and networks that tell ground by colour."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_smse.segmentation.networks import GRANDQC_ARTEFACTS, MaskNetwork
from napari_smse.tiles import Ground

Box = tuple[float, float, float, float]


def write_mask(path: Path, boxes: Sequence[tuple[str, Box]], **properties: Any) -> Path:
    """Write boxes (left, top, right, bottom) of classes as GeoJSON; no class where it is empty."""
    features = [_feature(name, box, properties) for name, box in boxes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def _feature(name: str, box: Box, properties: Mapping[str, Any]) -> dict[str, Any]:
    left, top, right, bottom = box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    classed = {"classification": {"name": name}} if name else {}
    return {
        "type": "Feature",
        "properties": {**properties, **classed},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


class ColourNetwork(nn.Module):
    """Tissue where there is more red than green, fold where blue is least; glass elsewhere."""

    def __init__(self, network: MaskNetwork = GRANDQC_ARTEFACTS) -> None:
        super().__init__()
        kinds = list(network.classes)
        self.layer = nn.Conv2d(3, len(kinds), kernel_size=1)
        weight, bias = torch.zeros(len(kinds), 3, 1, 1), torch.full((len(kinds),), -1e3)
        weight[kinds.index(Ground.TISSUE), :, 0, 0] = torch.tensor([1.0, -1.0, 0.0])
        bias[kinds.index(Ground.TISSUE)] = 0.0
        bias[kinds.index(Ground.GLASS)] = 0.5
        if Ground.FOLD in kinds:
            weight[kinds.index(Ground.FOLD), :, 0, 0] = torch.tensor([0.0, 0.0, -4.0])
            bias[kinds.index(Ground.FOLD)] = -4.0
        self.layer.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of normalised images."""
        return self.layer(images)
