"""Stand-ins for WSInfer's models: the zoo's configurations, with small networks of random weights.

Facts of the configurations: the model zoo's own files, as read on 29 November 2026.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_smse.models import ModelCard, read_card
from napari_smse.models.wsinfer.loading import agree_to

_KATHER = [
    "background",
    "normal_colon_mucosa",
    "debris",
    "colorectal_adenocarcinoma_epithelium",
    "adipose",
    "mucus",
    "smooth_muscle",
    "cancer_associated_stroma",
    "lymphocytes",
]
_BREAST = ((0.7238, 0.5716, 0.6779), (0.112, 0.1459, 0.1089))
_LUNG = ((0.8301, 0.66, 0.8054), (0.0864, 0.1602, 0.0647))
_PROSTATE = ((0.6462, 0.507, 0.8055), (0.1381, 0.1674, 0.1358))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Channels = tuple[float, float, float]


def _configuration(
    architecture: str,
    names: list[str],
    field: int,
    spacing: float,
    px: int | None,
    normalisation: tuple[Channels, Channels] | None,
) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"name": "ToTensor"}]
    if px is not None:
        steps.insert(0, {"name": "Resize", "arguments": {"size": px}})
    if normalisation is not None:
        mean, std = normalisation
        steps.append({"name": "Normalize", "arguments": {"mean": mean, "std": std}})
    return {
        "spec_version": "1.0",
        "architecture": architecture,
        "num_classes": len(names),
        "class_names": names,
        "patch_size_pixels": field,
        "spacing_um_px": spacing,
        "transform": steps,
    }


ZOO: dict[str, dict[str, Any]] = {
    "breast-tumor": _configuration("resnet34", ["Other", "Tumor"], 350, 0.25, 224, _BREAST),
    "lung-tumor": _configuration(
        "resnet34",
        ["Lepidic", "Benign", "Acinar", "Micropapillary", "Mucinous", "Solid"],
        350,
        0.5,
        224,
        _LUNG,
    ),
    "prostate-tumor": _configuration(
        "resnet34", ["Grade3", "Grade4or5", "Benign"], 175, 0.5, 224, _PROSTATE
    ),
    "pancreas-tumor": _configuration("preactresnet34", ["Tumor"], 350, 1.5, 224, _BREAST),
    "lymphocytes": _configuration(
        "inception_v4nobn", ["Other", "Lymphocytes"], 100, 0.5, 299, _HALF
    ),
    "lymph-nodes": _configuration("resnet50", ["nomets", "mets"], 96, 1.0, None, None),
    "colorectal-kather": _configuration("resnet50", _KATHER, 224, 0.5, 224, None),
    "colorectal-penn": _configuration(
        "resnet34",
        ["epithelium", "stroma", "tumour", "necrosis", "dysplasia"],
        350,
        0.25,
        224,
        _BREAST,
    ),
}
"""By short names; of the last, mean, deviation and order of the classes are not known."""


class SmallClassifier(nn.Module):
    """Logits from the mean colour and the contrast of a tile."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(6, classes)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(2)
        return self.layer(torch.cat([pixels.mean(dim=2), pixels.std(dim=2)], dim=1))


def agree(folder: Path) -> ModelCard:
    """Agree to run what lies in a folder now."""
    return agree_to(folder, read_card(folder).weights_sha256)


def write_wsinfer(
    folder: Path, configuration: dict[str, Any], network: nn.Module | None = None
) -> Path:
    """Write a model's folder; with a network of timm, its weights beside the archive, too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\ntags:\n- wsinfer\n---\n# A model\n")
    sizes = [s["arguments"]["size"] for s in configuration["transform"] if s["name"] == "Resize"]
    px = sizes[0] if sizes else configuration["patch_size_pixels"]
    if network is None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = SmallClassifier(configuration["num_classes"])
    else:
        save_file(network.state_dict(), folder / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, px, px))
        torch.jit.save(torch.jit.freeze(traced), folder / "torchscript_model.pt")
    return folder
