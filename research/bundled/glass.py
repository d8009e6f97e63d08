"""Does the bundled recipe call glass? Pooling over tissue, and glass on training crops, compared.

    python -m research.bundled.glass --data DATA --features FILE --out FILE

The trunk's features of evaluation tiles and of crops, plain and partly covered with glass, are
computed once, pooled over the whole tile and over its tissue, and kept in ``--features``. Heads are
then trained on each mixture and measured on cases that they never saw:

- AUC over BreakHis cases (5 folds, dealt anew twice) and of each source left out as a whole;
- how far glass on a crop shifts P(malignant), where everything else of the crop stays;
- on a slide without tumour: the correlation of P(malignant) with the tissue share of a tile.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.evaluation.cross_validation import cross_validation, leave_source_out
from napari_smse.metrics.predictions import join
from napari_smse.metrics.summary import estimate
from napari_smse.models import SmseNetwork
from napari_smse.models.trunk import DEFAULT_TRUNK, STAGES_SUFFIX, TISSUE_SUFFIX
from napari_smse.scoring.read_block import read_block
from napari_smse.slides import open_slide
from napari_smse.tiles import plan_tiles
from napari_smse.training.feature_cache import FeatureCache, TileFeatures
from napari_smse.training.head_training import HeadLearner, fresh_heads, train_heads
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import Recipe
from research.bundled import SOURCES
from research.bundled.breakhis_folds import divided
from research.bundled.frozen_trunk import RECIPE

SLIDE: Final = Path("slides") / "CMU-1-Small-Region.svs"
MPPS: Final = (0.25, 0.5, 1.0)
DEALS: Final = 2
CROPS_PER_IMAGE: Final = 4
"""Half of the bundled recipe's, as all are computed twice, with glass and without."""
POOLINGS: Final = {"whole tile": STAGES_SUFFIX, "tissue": TISSUE_SUFFIX}
GLASS_SHARES: Final = (0.0, 0.5)
_BATCH: Final = 32
_log = logging.getLogger(__name__)


Features = dict[str, Tensor]
"""Of one image: ``(n, features)`` by pooling and kind of tile, and um/px by kind of tile."""


@dataclass
class SlideFeatures:
    """Features of a slide's tiles by pooling, and the share of tissue of each, ``(n,)``."""

    features: dict[str, Tensor]
    tissue: NDArray[np.float32]


def main() -> None:
    """Compute features, train, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--features", type=Path, required=True, help="kept there, or read")
    parser.add_argument("--out", type=Path, required=True, help="figures as JSON")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = read_training_set(SOURCES, base=options.data)
    images = stored_features(options.features, data)
    networks = pooling_networks()
    slide = {mpp: slide_features(networks, options.data / SLIDE, mpp) for mpp in MPPS}
    found = {}
    for pooling in POOLINGS:
        for share in GLASS_SHARES:
            name = f"{pooling}, glass on {share:.0%} of the crops"
            found[name] = measured(data, images, slide, pooling, share)
            print(name, json.dumps(found[name]), flush=True)
    options.out.write_text(json.dumps(found, indent=1))


# -- features --------------------------------------------------------------------------


def stored_features(path: Path, data: LabelledSet) -> list[Features]:
    """Return the features of all images, computed unless they are kept."""
    if path.is_file():
        kept: list[Features] = torch.load(path, weights_only=True)
        return kept
    images = []
    for features in _image_features(pooling_networks(), data.images):
        images.append(features)
        if len(images) % 200 == 0:
            _log.info("features of %d of %d images", len(images), len(data.images))
    torch.save(images, path)
    return images


def pooling_networks() -> dict[str, SmseNetwork]:
    """Return a network with the frozen trunk for each way to pool."""
    networks = {}
    for pooling, suffix in POOLINGS.items():
        network, _ = new_network(_recipe(suffix, 0.0), 2)
        assert isinstance(network, SmseNetwork)
        networks[pooling] = network.eval().to(memory_format=torch.channels_last)
    return networks


def _recipe(suffix: str, glass: float) -> Recipe:
    changes = {"network": f"{DEFAULT_TRUNK}{suffix}", "glass": glass}
    return RECIPE.model_copy(update=changes)


def _image_features(
    networks: dict[str, SmseNetwork], images: tuple[LabelledImage, ...]
) -> Iterator[Features]:
    # Plain crops and covered ones are the same but for the glass, which is drawn last.
    plain, covered = (
        FeatureCache(
            networks["tissue"], _recipe(TISSUE_SUFFIX, glass), crops_per_image=CROPS_PER_IMAGE
        )
        for glass in (0.0, 1.0)
    )
    for image in images:
        evaluation, evaluation_mpps = plain._evaluation_tiles(image)
        crops, crop_mpps = plain._augmented_tiles(image)
        with_glass, _ = covered._augmented_tiles(image)
        tiles = {"evaluation": evaluation, "plain": crops, "covered": with_glass}
        found = {"evaluation mpps": evaluation_mpps, "crop mpps": crop_mpps}
        sizes = [len(part) for part in tiles.values()]
        for pooling, values in _by_pooling(networks, torch.cat(list(tiles.values()))).items():
            parts = torch.split(values, sizes)
            found.update(
                {f"{pooling} {kind}": part for kind, part in zip(tiles, parts, strict=True)}
            )
        # Copies, as a part would be stored with all it was cut from.
        yield {name: value.clone() for name, value in found.items()}


def slide_features(networks: dict[str, SmseNetwork], path: Path, mpp: float) -> SlideFeatures:
    """Return the features of a slide's tiles at a scale, um/px, every half tile."""
    with open_slide(path) as slide:
        plan = plan_tiles(slide, [mpp], overlap=0.5)
        tiles = np.concatenate([read_block(slide, plan, block) for block in plan.blocks])
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    return SlideFeatures(_by_pooling(networks, pixels), plan.scales[0].tissue)


def _by_pooling(networks: dict[str, SmseNetwork], tiles: Tensor) -> dict[str, Tensor]:
    """Return float16 features by pooling; the convolutions are computed once."""
    parts: dict[str, list[Tensor]] = {name: [] for name in networks}
    first = next(iter(networks.values()))
    with torch.inference_mode():
        for batch in torch.split(tiles, _BATCH):
            stages = first.trunk.body.forward_intermediates(  # type: ignore[operator, union-attr]
                first.normalise(batch), indices=3, stop_early=True, intermediates_only=True
            )
            for name, network in networks.items():
                _, tissue = network.trunk_inputs(batch)
                parts[name].append(network.trunk.pool(stages, tissue).half())  # type: ignore[operator]
    return {name: torch.cat(values) for name, values in parts.items()}


# -- figures ---------------------------------------------------------------------------


def measured(
    data: LabelledSet,
    images: list[Features],
    slide: dict[float, SlideFeatures],
    pooling: str,
    share: float,
) -> dict[str, float]:
    """Train heads and return figures by name."""
    recipe = _recipe(POOLINGS[pooling], share)
    table = _table(data, images, pooling, share)
    figures: dict[str, list[float]] = {}
    shifts: list[NDArray[np.float64]] = []
    learner = HeadLearner(table, recipe)
    for deal in range(DEALS):
        running = cross_validation(
            learner, data, divided(data, deal, joined=True), seed=1000 * deal
        )
        parts = []
        for done in running:
            parts.append(done.held_out)
            for image in done.fold.test:
                shifts.append(_shift(learner.network, images[image], pooling))
        held_out = join(parts)
        for name in ("auc", "auc_within_stratum"):
            figures.setdefault(name, []).append(estimate(held_out, data, name, draws=10).value)
    for name in data.sources:
        left_out = leave_source_out(learner, data, name)
        figures[f"{name} left out"] = [estimate(left_out, data, "auc", draws=10).value]
    moved = np.concatenate(shifts)
    figures["shift by glass"] = [float(moved.mean())]
    figures["size of the shift"] = [float(np.abs(moved).mean())]
    network = fresh_heads(table.network, recipe, len(data.classes))
    for _ in train_heads(network, table, data, range(len(data.images)), recipe):
        pass
    for mpp, tiles in slide.items():
        malignant = _malignant(network, tiles.features[pooling])
        figures[f"correlation at {mpp:g}"] = [float(np.corrcoef(malignant, tiles.tissue)[0, 1])]
        figures[f"mean at {mpp:g}"] = [float(malignant.mean())]
    return {name: round(float(np.mean(values)), 3) for name, values in figures.items()}


def _table(data: LabelledSet, images: list[Features], pooling: str, share: float) -> FeatureCache:
    network = pooling_networks()[pooling]
    table = FeatureCache(network, _recipe(POOLINGS[pooling], share))
    covered = round(share * CROPS_PER_IMAGE)
    for image, features in zip(data.images, images, strict=True):
        crops = features[f"{pooling} covered"][:covered], features[f"{pooling} plain"][covered:]
        table._crops[image] = TileFeatures(torch.cat(crops), features["crop mpps"])
        table._evaluation[image] = TileFeatures(
            features[f"{pooling} evaluation"], features["evaluation mpps"]
        )
    return table


def _shift(network: SmseNetwork, features: Features, pooling: str) -> NDArray[np.float64]:
    """Return by how much glass on an image's crops raises P(malignant), ``(crops,)``."""
    with_glass = _malignant(network, features[f"{pooling} covered"])
    return with_glass - _malignant(network, features[f"{pooling} plain"])


def _malignant(network: SmseNetwork, features: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        logits = network.eval().head(features.float()).logits
    return torch.softmax(logits, dim=1)[:, 1].double().numpy()


if __name__ == "__main__":
    main()
