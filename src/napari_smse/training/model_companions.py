"""What lies beside a trained model's weights: exemplars, and an out-of-distribution reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.progress import run_task
from napari_smse.similarity.bank_file import model_bank_path, save_bank
from napari_smse.similarity.ood.reference import (
    OodReference,
    ood_reference_path,
    save_ood_reference,
)
from napari_smse.training.embeddings import embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from napari_smse.training.ood_reference import (
    fitted_ood_reference,
    read_tile_appearances,
    sample_images,
)

_MAX_IMAGES: Final = 60
"""Of a class of a source at the same scales."""


def save_model_companions(
    network: SmseNetwork,
    labelled_set: LabelledSet,
    tile_px: int,
    weights: Path,
    sha256: str,
) -> None:
    """Write exemplars of a model, and what its training tiles look like.

    Parameters
    ----------
    network
        The model's, on the device to use.
    labelled_set
        The images learnt from; some of every kind are read.
    tile_px
        Side of the tiles.
    weights, sha256
        Of the model.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    images = sample_images(labelled_set.images, _MAX_IMAGES)
    _save_exemplars(network, replace(labelled_set, images=tuple(images)), tile_px, weights, sha256)
    _save_ood_reference(images, tile_px, weights, sha256)


def _save_exemplars(
    network: SmseNetwork, sample: LabelledSet, tile_px: int, weights: Path, sha256: str
) -> None:
    tiles, _ = run_task(embed_images(network, sample, range(len(sample.images)), tile_px))
    save_bank(replace(choose_exemplars(tiles), model=sha256), model_bank_path(weights))


def _save_ood_reference(
    images: Sequence[LabelledImage], tile_px: int, weights: Path, sha256: str
) -> None:
    tiles = run_task(read_tile_appearances(images, tile_px, max_images=_MAX_IMAGES))
    appearances = tuple(fitted_ood_reference(tiles))
    if appearances:
        save_ood_reference(
            OodReference(model=sha256, appearances=appearances), ood_reference_path(weights)
        )
    else:
        # Too few tiles to tell by; looks that lie here are those of a model before.
        ood_reference_path(weights).unlink(missing_ok=True)
