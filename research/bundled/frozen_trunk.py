"""The recipe of model 0.2: heads on ImageNet's trunk as it is. A control, and quick to train."""

from __future__ import annotations

import logging
from typing import Final

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.models import SmseNetwork
from napari_smse.scoring.device import computes_bfloat16
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import default_recipe

CROPS_PER_IMAGE: Final = 8
# Chosen by cross-validation and by leaving sources out: research/EXPERIMENTS.md.
# Where a CPU has no bfloat16, computing in it takes several times as long as in float32.
RECIPE: Final = default_recipe().model_copy(
    update={"precision": "bfloat16" if computes_bfloat16() else "float32"}
)
_log = logging.getLogger(__name__)


def filled_table(data: LabelledSet) -> FeatureCache:
    """Compute the frozen trunk's features of all images."""
    network, _ = new_network(RECIPE, len(data.classes))
    assert isinstance(network, SmseNetwork)
    table = FeatureCache(network, RECIPE, crops_per_image=CROPS_PER_IMAGE)
    for progress in table.fill(data.images):
        if progress.done % 200 == 0:
            _log.info("features of %d of %d images", progress.done, progress.total)
    return table
