"""A model in WSInfer's format, scored by wsinfer and by us: are the answers the same, how fast?

    sh benchmarks/peers/make_environments.sh FOLDER
    .venv/bin/python -m benchmarks.peers.wsinfer_models SLIDE --environments FOLDER

The bundled model as it is exported, compared with itself. And two stand-ins with random weights, as
no model can be downloaded everywhere: a ResNet-34 of two classes with the configuration of the
zoo's breast model, and a small network of one class with that of its pancreas model. wsinfer
chooses the patches; each is then read and judged by us, at the model's own scale, and the
probabilities are compared. Tiles a second are of each program's own run over the slide, finding
tissue left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import napari_smse as smse
from napari_smse.models import Model, load_model, read_card
from napari_smse.models.wsinfer.export import export_wsinfer
from napari_smse.models.wsinfer.loading import agree_to
from napari_smse.slides import Region, Slide, open_slide

HERE = Path(__file__).resolve().parent
MEAN, STD = (0.7238, 0.5716, 0.6779), (0.112, 0.1459, 0.1089)
CONFIGURATIONS = {
    "breast, two classes": ("resnet34", ["Other", "Tumor"], 350, 0.25),
    "pancreas, one class": ("small", ["Tumor"], 350, 1.5),
}
BUNDLED, BUNDLED_MPP = "bundled, exported", 0.5


class Small(nn.Module):
    """A logit from the mean colour and the contrast of a tile."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(n, 1)``."""
        pixels = images.flatten(2)
        return self.layer(torch.cat([pixels.mean(dim=2), pixels.std(dim=2)], dim=1))


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--environments", type=Path, required=True)
    options = parser.parse_args()
    print("| model | tiles | largest difference | mean | wsinfer, tiles/s | ours, tiles/s |")
    print("|---|---|---|---|---|---|")
    for name in (BUNDLED, *CONFIGURATIONS):
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {' | '.join(compared(name, options, Path(folder)))} |", flush=True)


def compared(name: str, options: argparse.Namespace, folder: Path) -> list[str]:
    """Return the figures of a model."""
    model_folder = folder / "model"
    model, mpp = exported(model_folder) if name == BUNDLED else stand_in(name, model_folder)
    slides = folder / "slides"
    slides.mkdir()
    (slides / options.slide.name).symlink_to(options.slide.resolve())
    python = options.environments / "wsinfer" / "bin" / "python"
    words = [python, HERE / "score_by_wsinfer.py", slides, model_folder, folder / "out"]
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    with (folder / "out" / "model-outputs-csv" / f"{options.slide.stem}.csv").open() as file:
        rows = list(csv.DictReader(file))
    with open_slide(options.slide) as slide:
        differences = np.array([difference(row, slide, model) for row in rows])
        ours = own_speed(slide, model, mpp)
    return [
        str(len(rows)),
        f"{differences.max():.1e}",
        f"{differences.mean():.1e}",
        f"{len(rows) / seconds:.0f}",
        f"{ours:.0f}",
    ]


def difference(row: dict[str, str], slide: Slide, model: Model) -> float:
    """Return how far our probability of a patch lies from wsinfer's."""
    x, y, width, height = (int(row[key]) for key in ("minx", "miny", "width", "height"))
    px = model.card.tile_px
    tile = slide.read(Region(x, y, width, height), slide.mpp * width / px)
    with torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(tile)).permute(2, 0, 1)[None]
        ours = model.network(images).logits.softmax(dim=1)[0]
    classes = [name for name in model.card.classes if f"prob_{name}" in row]
    return max(
        abs(float(ours[model.card.classes.index(name)]) - float(row[f"prob_{name}"]))
        for name in classes
    )


def own_speed(slide: Slide, model: Model, mpp: float) -> float:
    """Return tiles a second of our own run, network ready and tissue found."""
    chosen = smse.load_model(model.path)
    smse.score(slide, chosen, mpp=mpp, device="cpu")
    began = time.perf_counter()
    # Anew: what the first run stored would be read again, and nothing scored.
    scores = smse.score(slide, chosen, mpp=mpp, device="cpu", overwrite=True)
    return len(scores) / (time.perf_counter() - began)


def exported(folder: Path) -> tuple[Model, float]:
    """Write the bundled model for WSInfer; return it as it is, and its scale, um/px."""
    network = load_model().network
    export_wsinfer(network, read_card(), folder, BUNDLED_MPP)
    return load_model(), BUNDLED_MPP


def stand_in(name: str, folder: Path) -> tuple[Model, float]:
    """Write a stand-in's folder; return it as we load it, and its scale, um/px."""
    write_model(name, folder)
    agree_to(folder, read_card(folder).weights_sha256)
    model = load_model(folder)
    return model, model.card.mpp_range[0]


def write_model(name: str, folder: Path) -> None:
    """Write a stand-in's folder."""
    architecture, classes, field, spacing = CONFIGURATIONS[name]
    folder.mkdir()
    steps: list[dict[str, Any]] = [
        {"name": "Resize", "arguments": {"size": 224}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
    ]
    values = {
        "spec_version": "1.0",
        "architecture": architecture,
        "num_classes": len(classes),
        "class_names": classes,
        "patch_size_pixels": field,
        "spacing_um_px": spacing,
        "transform": steps,
    }
    (folder / "config.json").write_text(json.dumps(values))
    torch.manual_seed(0)
    network = Small() if architecture == "small" else timm.create_model(architecture, num_classes=2)
    save_file(network.state_dict(), folder / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, 224, 224))
        torch.jit.save(torch.jit.freeze(traced), folder / "torchscript_model.pt")


if __name__ == "__main__":
    main()
