"""The control: logistic regression on the features of a trunk that learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.datasets.crops import evaluation_tiles
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.pixels import read_pixels
from napari_smse.errors import TrainingError
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.wsinfer.network import WsinferNetwork
from napari_smse.training.prediction import Predictor

_BATCH: Final = 16


class LinearProbe:
    """Learns a logistic regression on pooled features of an image's evaluation tiles.

    Features are standardised and the classes weighted alike; an image's logits are the mean
    over its tiles. Features are computed once for each image, whatever the folds. Validation
    cases are not needed, so they are learnt from too.

    Parameters
    ----------
    network
        Network whose trunk to use.
    tile_px
        Side of its tiles.
    device
        Device to run on, as torch names it.
    on_message
        Called with a line of text for each step of the work.
    """

    def __init__(
        self,
        network: SmseNetwork | WsinferNetwork,
        *,
        tile_px: int = 224,
        device: str = "cpu",
        on_message: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._network = network.eval().to(device)
        self._tile_px = tile_px
        self._device = device
        self._on_message = on_message
        self._features: dict[LabelledImage, NDArray[np.float32]] = {}

    def __call__(
        self,
        labelled_set: LabelledSet,
        training: Sequence[int],
        validation: Sequence[int],
        seed: int,
    ) -> Predictor:
        """Fit, and return the predictor.

        Raises
        ------
        TrainingError
            scikit-learn is not installed.
        """
        images = [labelled_set.images[i] for i in [*training, *validation]]
        features = [self.features(image) for image in images]
        labels = np.repeat([image.label for image in images], [len(part) for part in features])
        model = regression(class_weight="balanced", max_iter=500)
        model.fit(np.concatenate(features), labels)

        def predict(unseen: Sequence[LabelledImage]) -> Tensor:
            logits = [_logits(model, self.features(image)) for image in unseen]
            return torch.from_numpy(np.stack(logits)).float()

        return predict

    def features(self, image: LabelledImage) -> NDArray[np.float32]:
        """Return the features of an image's tiles, ``(tiles, features)``."""
        if image not in self._features:
            self._features[image] = self._compute(image)
            self._on_message(f"features of {len(self._features)} images")
        return self._features[image]

    def _compute(self, image: LabelledImage) -> NDArray[np.float32]:
        tiles = np.stack(evaluation_tiles(read_pixels(image), image, self._tile_px))
        batches = torch.split(torch.from_numpy(tiles).permute(0, 3, 1, 2), _BATCH)
        with torch.inference_mode():
            features = [
                self._network.features(batch.to(self._device)).float().cpu() for batch in batches
            ]
        return np.asarray(torch.cat(features).numpy(), dtype=np.float32)


def regression(**options: Any) -> Any:
    """Return a logistic regression on standardised features, not fitted yet.

    Parameters
    ----------
    **options
        For scikit-learn's.

    Raises
    ------
    TrainingError
        scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise TrainingError(
            'Logistic regression needs scikit-learn: run pip install "napari-smse[train]".'
        ) from error
    return make_pipeline(StandardScaler(), LogisticRegression(**options))


def _logits(model: Any, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``(classes,)``, the mean over tiles."""
    decision = np.asarray(model.decision_function(features), dtype=np.float64)
    if decision.ndim == 1:
        # Two classes give the log odds of the second.
        decision = np.stack([-decision / 2, decision / 2], axis=1)
    return np.asarray(decision.mean(axis=0))
