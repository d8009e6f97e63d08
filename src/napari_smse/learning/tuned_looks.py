"""What a tuned model knows the look of: what the model it comes from knows, and what it learnt."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence

from napari_smse.errors import SmseError
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.learning.tile_looks import TileLooks, read_tile_looks, some_images
from napari_smse.learning.tuning_progress import FineTuningProgress
from napari_smse.network import Model
from napari_smse.network.known_looks import KnownLooks, load_looks

logger = logging.getLogger(__name__)


def tuned_looks(
    model: Model, images: Sequence[LabelledImage], warnings: list[str]
) -> Generator[FineTuningProgress, None, KnownLooks | None]:
    """Look at tiles that were learnt from, yielding progress; what was learnt is never lost by it.

    Parameters
    ----------
    model
        That was tuned.
    images
        Learnt from.
    warnings
        Taken down here, if the tiles or what the model knows could not be read.

    Returns
    -------
    KnownLooks or None
        None if the model does not say what it knows, or something could not be read.
    """
    try:
        known = load_looks(model.path, model.card.weights_sha256)
        if known is None:
            return None
        # Of tiles of a bank only embeddings may be at hand.
        there = [one for one in images if one.path.exists()]
        found = yield from _read(there, model.card.tile_px)
    except SmseError as error:
        logger.warning("what the tuned model knows the look of is not told: %s", error)
        warnings.append(
            "The tuned model cannot tell what is unlike its training tiles, as these could not be "
            f"looked at: {error}"
        )
        return None
    return found.learnt_by(known)


def _read(
    images: Sequence[LabelledImage], tile_px: int
) -> Generator[FineTuningProgress, None, TileLooks]:
    running, total = read_tile_looks(images, tile_px), len(some_images(images))
    while True:
        try:
            done = next(running)
        except StopIteration as end:
            found: TileLooks = end.value
            return found
        yield FineTuningProgress("checking", done, total)
