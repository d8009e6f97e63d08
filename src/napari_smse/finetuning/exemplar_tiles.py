"""Labelled tiles of which only the embeddings are at hand, to learn from beside drawn regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import TrainingError
from napari_smse.models import Model, SmseNetwork
from napari_smse.slides import Region
from napari_smse.training.prediction import JudgedTiles


@dataclass(frozen=True)
class AddedTile:
    """A labelled tile, as a bank of exemplars holds it.

    Attributes
    ----------
    embedding, logits
        ``(d,)`` of length 1 and ``(classes,)``, by the model to tune.
    class_name
        Its class.
    mpp
        um/px.
    slide, case
        Quick hash of its slide, and what the slide is called, which is its case.
    path
        Of the slide, if that is open; else only a name to tell slides apart by.
    slide_mpp
        um/px of the slide; of the tile, if the slide is not open.
    region
        On the slide, level-0 px.
    drawn
        Which of the areas drawn on the slide it is of, where that is known.
    look
        ``(k,)``, what it looks like; NaN if that is not known.
    """

    embedding: Tensor
    logits: Tensor
    class_name: str
    mpp: float
    slide: str
    case: str
    path: Path
    slide_mpp: float
    region: Region
    drawn: str = ""
    look: NDArray[np.float32] | None = None

    def image(self, label: int, source: str) -> LabelledImage:
        """Return it as an image of this class, from this source."""
        return LabelledImage(
            path=self.path,
            label=label,
            case=f"{source} {self.case}",
            mpp=self.slide_mpp,
            mpp_range=(self.mpp, self.mpp),
            source=source,
            stratum=f"{source} {self.mpp:g}",
            region=self.region,
            drawn=self.drawn,
        )

    @property
    def judged(self) -> JudgedTiles:
        """What the model says of it."""
        return JudgedTiles(self.embedding[None], self.logits[None], torch.tensor([self.mpp]))


def judge_embeddings(embeddings: NDArray[np.floating], model: Model) -> list[tuple[Tensor, Tensor]]:
    """Return embeddings of length 1, and what the class head says of each.

    Parameters
    ----------
    embeddings
        ``(n, d)``, by the model.

    Raises
    ------
    TrainingError
        The model is one whose heads cannot be tuned.
    """
    network = model.network
    if not isinstance(network, SmseNetwork):
        raise TrainingError(
            f"Model {model.card.name} has no embedding to learn known tiles from: use the bundled "
            "one or one made by `napari-smse train`."
        )
    exact = normalize(torch.from_numpy(np.asarray(embeddings, dtype=np.float32)), dim=1)
    with torch.inference_mode():
        logits = network.class_head(exact.to(network.class_head.weight.dtype)).float()
    return list(zip(exact, logits.clone(), strict=True))
