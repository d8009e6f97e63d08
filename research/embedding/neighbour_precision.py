"""Are the nearest tiles of a held-out tile of its class? The embedding against frozen features.

    python -m research.embedding.neighbour_precision --data ../shared/data

BreakHis, 5 folds by case, three deals. In each fold the heads learn on the training cases as the
bundled model's do; every tile that a held-out image is judged by then looks for its 5 nearest
among the tiles of the training cases, so none of its own case. What is told is the share of the 5
that are of its class: the mean over a case's tiles, then over cases, then over both classes, which
is 0.5 by chance. The frozen trunk's features, each centred and scaled by the training tiles and
brought to length 1, are searched in the same way. Intervals: 95 %, 1,000 bootstraps of cases
within their class, the same draws for both, so that the difference is paired.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.models import SmseNetwork
from napari_smse.similarity.neighbours import nearest
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import HeadLearner
from research.bundled import SOURCES
from research.bundled.breakhis_folds import REPEATS, VALIDATED, divided
from research.bundled.frozen_trunk import RECIPE, filled_table

K, DRAWS = 5, 1000
EMBEDDING, FROZEN = "embedding", "frozen features"


class Tiles(NamedTuple):
    """Tiles that images are judged by: trunk features, classes, cases."""

    features: torch.Tensor
    labels: NDArray[np.int64]
    cases: list[str]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(2)
    data = read_training_set(SOURCES, base=options.data).select_sources([VALIDATED])
    table = filled_table(data)
    right: dict[str, dict[tuple[str, int], list[float]]] = {
        EMBEDDING: defaultdict(list),
        FROZEN: defaultdict(list),
    }
    for name, case, label, precision in measured(data, table):
        right[name][case, label].append(precision)
    found = figures(right)
    for name, told in found.items():
        print(f"{name:26} {told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def measured(data: LabelledSet, table: FeatureCache) -> Iterator[tuple[str, str, int, float]]:
    """Yield what was searched, the case and class of a held-out tile, and its precision."""
    for repeat in range(REPEATS):
        for fold in divided(data, repeat, joined=False):
            learner = HeadLearner(table, RECIPE)
            learner(data, fold.training.tolist(), [], 1000 * repeat)
            bank, held_out = (
                tiles_of(data, table, side.tolist()) for side in (fold.training, fold.test)
            )
            for name, (here, there) in {
                EMBEDDING: embedded(learner.network, held_out, bank),
                FROZEN: standardised(held_out, bank),
            }.items():
                rows = nearest(here, there, K).rows
                precision = (bank.labels[rows] == held_out.labels[:, None]).mean(axis=1)
                for case, label, one in zip(
                    held_out.cases, held_out.labels.tolist(), precision.tolist(), strict=True
                ):
                    yield name, case, label, one


def tiles_of(data: LabelledSet, table: FeatureCache, images: list[int]) -> Tiles:
    """Return the tiles of some images."""
    found = [table.evaluation_features(data.images[i]).values for i in images]
    rows = [i for i, values in zip(images, found, strict=True) for _ in values]
    return Tiles(
        torch.cat(found).float(),
        np.array([data.images[i].label for i in rows]),
        [data.images[i].case for i in rows],
    )


def embedded(network: SmseNetwork, *sides: Tiles) -> list[NDArray[np.float32]]:
    """Return embeddings."""
    with torch.inference_mode():
        return [network.head(side.features).embedding.numpy() for side in sides]


def standardised(held_out: Tiles, bank: Tiles) -> list[NDArray[np.float32]]:
    """Return features centred and scaled by the bank's, of length 1."""
    mean, spread = bank.features.mean(dim=0), bank.features.std(dim=0) + 1e-6
    return [
        torch.nn.functional.normalize((side.features - mean) / spread, dim=1).numpy()
        for side in (held_out, bank)
    ]


def figures(
    right: dict[str, dict[tuple[str, int], list[float]]], seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return value and interval of each, and of their difference."""
    rng = np.random.default_rng(seed)
    keys = sorted(right[EMBEDDING])
    of_class = [[key for key in keys if key[1] == label] for label in (0, 1)]
    means = {
        name: [np.array([np.mean(cases[key]) for key in some]) for some in of_class]
        for name, cases in right.items()
    }
    draws = [rng.integers(0, len(some), (DRAWS, len(some))) for some in of_class]
    values = {name: np.mean([one.mean() for one in both]) for name, both in means.items()}
    drawn = {
        name: np.mean(
            [one[draw].mean(axis=1) for one, draw in zip(both, draws, strict=True)], axis=0
        )
        for name, both in means.items()
    }
    values["embedding - frozen"] = values[EMBEDDING] - values[FROZEN]
    drawn["embedding - frozen"] = drawn[EMBEDDING] - drawn[FROZEN]
    return {
        f"precision@{K}, {name}": {
            "value": float(value),
            **dict(
                zip(("low", "high"), np.quantile(drawn[name], (0.025, 0.975)).tolist(), strict=True)
            ),
        }
        for name, value in values.items()
    }


if __name__ == "__main__":
    main()
