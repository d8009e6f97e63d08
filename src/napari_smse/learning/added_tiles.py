"""Labelled tiles of which only the embeddings are at hand, to learn from beside drawn regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from napari_smse.errors import TrainingError
from napari_smse.learning.annotated_tiles import SOURCE, AnnotatedTiles
from napari_smse.learning.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.learning.prediction import JudgedTiles
from napari_smse.network import Model, SmseNetwork
from napari_smse.slides import Region


@dataclass(frozen=True)
class AddedTile:
    """A labelled tile, as a bank of exemplars holds it.

    Attributes
    ----------
    embedding
        ``(d,)`` of length 1, by the model to tune.
    class_name
        Its class.
    mpp
        um/px.
    slide
        The name of its slide, which is its case.
    path
        Of the slide, if that is open; else only a name to tell slides apart by.
    slide_mpp
        um/px of the slide; of the tile, if the slide is not open.
    region
        On the slide, level-0 px.
    drawn
        Which of the areas drawn on the slide it is of, where that is known.
    """

    embedding: NDArray[np.float32]
    class_name: str
    mpp: float
    slide: str
    path: Path
    slide_mpp: float
    region: Region
    drawn: str = ""


def no_annotated_tiles(classes: Sequence[str]) -> AnnotatedTiles:
    """Return what there is to learn from where nothing is drawn."""
    return AnnotatedTiles(LabelledSet(tuple(classes), (), {SOURCE: Source(SOURCE)}), {}, 0)


def with_added(drawn: AnnotatedTiles, added: Sequence[AddedTile], model: Model) -> AnnotatedTiles:
    """Return what was drawn, and added tiles besides.

    Parameters
    ----------
    drawn
        A tile that is drawn, too, keeps the class that it is drawn as.
    added
        Those of other classes than are learnt are left out.
    model
        That embedded them.

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
    classes = drawn.labelled_set.classes
    taken = {_place(one) for one in drawn.known}
    known = dict(drawn.known)
    for one in added:
        if one.class_name not in classes:
            continue
        image = _image(one, classes.index(one.class_name))
        if _place(image) not in taken:
            taken.add(_place(image))
            known[image] = _judged(one, network)
    labelled = replace(drawn.labelled_set, images=tuple(known))
    return replace(drawn, labelled_set=labelled, known=known)


def _image(one: AddedTile, label: int) -> LabelledImage:
    return LabelledImage(
        path=one.path,
        label=label,
        case=f"{SOURCE} {one.slide}",
        mpp=one.slide_mpp,
        mpp_range=(one.mpp, one.mpp),
        source=SOURCE,
        stratum=f"{SOURCE} {one.mpp:g}",
        region=one.region,
        drawn=one.drawn,
    )


def _judged(one: AddedTile, network: SmseNetwork) -> JudgedTiles:
    embedding = normalize(torch.from_numpy(one.embedding.astype(np.float32)), dim=0)[None]
    with torch.inference_mode():
        logits = network.class_head(embedding.to(network.class_head.weight.dtype)).float()
    return JudgedTiles(embedding, logits.clone(), torch.tensor([one.mpp]))


def _place(image: LabelledImage) -> tuple[Path, Region | None, float]:
    return image.path, image.region, round(image.mpp_range[0], 4)
