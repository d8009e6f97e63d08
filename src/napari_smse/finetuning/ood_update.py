"""The out-of-distribution reference of a tuned model: its parent's, and tiles learnt from.

The first heads on an encoder know the tiles that they learnt from and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError, SmseError
from napari_smse.models import Model, read_card
from napari_smse.progress import Task
from napari_smse.similarity.ood.reference import OodReference, load_ood_reference
from napari_smse.training.ood_reference import read_tile_appearances

_BUNDLED: Final = "bundled"
logger = logging.getLogger(__name__)


def updated_ood_reference(
    model: Model,
    images: Sequence[LabelledImage],
    known: Mapping[LabelledImage, NDArray[np.float32]] | None = None,
) -> Task[OodReference | None]:
    """Read tiles that were learnt from, with progress in images; no failure here is an error.

    Tiles that cannot be read are left out, and the log tells.

    Parameters
    ----------
    model
        That was tuned.
    images
        Learnt from.
    known
        Appearance features ``(k,)`` of some of them, which are not read again.

    Returns
    -------
    OodReference or None
        None if the model does not say what it knows, or its file cannot be read; of first heads
        on an encoder, if they learnt from too few tiles.
    """
    first_heads = not model.card.knows_classes
    try:
        reference = _bundled_reference() if first_heads else _reference_of(model)
    except SmseError as error:
        logger.warning("the tuned model cannot tell what is unlike: %s", error)
        return None
    if reference is None:
        return None
    known = known or {}
    # Of tiles of a bank only embeddings may be at hand.
    available = [image for image in images if image in known or image.path.exists()]
    tiles = yield from read_tile_appearances(
        available, model.card.tile_px, known=known, skip=_log_unreadable
    )
    return tiles.alone(reference) if first_heads else tiles.added_to(reference)


def _reference_of(model: Model) -> OodReference | None:
    return load_ood_reference(model.path, model.card.weights_sha256)


def _bundled_reference() -> OodReference | None:
    """Return that of the bundled model, from which the spread within a source is taken."""
    return load_ood_reference(_BUNDLED, read_card(_BUNDLED).weights_sha256)


def _log_unreadable(error: DataError) -> None:
    logger.warning("what a tile looks like is not learnt: %s", error)
