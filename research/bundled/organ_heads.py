"""Is a head of its own for each organ worth having? Breast, as two laboratories of it are known.

    python -m research.bundled.organ_heads --data DATA --networks FOLDER

FOLDER is one that `laboratories` wrote, with networks that never saw a laboratory. Each embeds up
to 60 images of a class of a source at the same scales; logistic regression on the embeddings,
classes and sources weighted alike, is fitted on the sources of the organ left out alone, and on all
sources. Both are measured on the laboratory left out, beside the network's own head.

Intervals: 95 %, 1,000 bootstraps of cases (arrays of UCSB); differences in pairs.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, paired_difference
from napari_smse.progress import run_task
from napari_smse.training.embeddings import EmbeddedTiles, embed_images
from napari_smse.training.ood_reference import sample_images
from research.bundled.kept_networks import TILE_PX, kept_networks
from research.bundled.laboratories import by_alike, describe, read_laboratories

MOST: Final = 60


def main() -> None:
    """Measure each network whose laboratory left out shares its organ with another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--networks", type=Path, required=True, help="written by laboratories")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    data = by_alike(read_laboratories(options.data))
    data = replace(data, images=tuple(sample_images(data.images, MOST)))
    print("| left out | own head | organ's sources | all sources | organ minus all |")
    print("|---|---|---|---|---|")
    for source, network in kept_networks(options.networks):
        if source in data.sources and same_organ(data, source):
            found = embed_images(network, data, range(len(data.images)), TILE_PX)
            print(f"| {source} | {' | '.join(row(*run_task(found), data, source))} |", flush=True)


def same_organ(data: LabelledSet, source: str) -> list[str]:
    """Return the other sources of a source's organ."""
    organ = data.sources[source].organ
    return [name for name, one in data.sources.items() if one.organ == organ and name != source]


def row(tiles: EmbeddedTiles, own: torch.Tensor, data: LabelledSet, source: str) -> Iterator[str]:
    """Yield the figures on a source left out."""
    unseen = np.array(tiles.sources) == source
    heads = {
        "own": own[torch.from_numpy(unseen)],
        "organ": fitted(tiles, np.isin(tiles.sources, same_organ(data, source)), unseen),
        "all": fitted(tiles, ~unseen, unseen),
    }
    predictions = {name: of_images(tiles, logits, unseen) for name, logits in heads.items()}
    for found in predictions.values():
        yield describe(estimate(found, data, "auc"))
    yield describe(paired_difference(predictions["organ"], predictions["all"], data, "auc"), "+")


def fitted(
    tiles: EmbeddedTiles, known: NDArray[np.bool_], unseen: NDArray[np.bool_]
) -> torch.Tensor:
    """Fit on known tiles, each class of each source weighing alike; return logits of the unseen."""
    embeddings, labels = tiles.embeddings.numpy(), tiles.labels.numpy()
    kinds = np.unique(
        [f"{source} {label}" for source, label in zip(tiles.sources, labels, strict=True)],
        return_inverse=True,
    )[1]
    weights = 1 / np.bincount(kinds[known], minlength=kinds.max() + 1).clip(1)[kinds]
    model = LogisticRegression(max_iter=1000)
    model.fit(embeddings[known], labels[known], weights[known] / weights[known].mean())
    decision = torch.from_numpy(model.decision_function(embeddings[unseen]))
    return torch.stack([-decision / 2, decision / 2], dim=1)


def of_images(
    tiles: EmbeddedTiles, logits: torch.Tensor, chosen: NDArray[np.bool_]
) -> HeldOutPredictions:
    """Return the mean over each image's tiles."""
    part = replace(tiles, images=tiles.images[torch.from_numpy(chosen)])
    return HeldOutPredictions.from_fold(*part.image_means(logits))


if __name__ == "__main__":
    main()
