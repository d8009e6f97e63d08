"""Features of a slide's tiles that another program extracted, as a run of that slide.

Such a run has embeddings and no classes, as that of an encoder has: tiles like others are found,
groups of tiles are seen, and heads are learnt on it where the encoder is on this machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.atomic_write import output_error, write_atomic
from napari_smse.errors import DataError, SmseError, UnknownEncoderError
from napari_smse.models.card import CARD_SUFFIX, EncoderWeights, ModelCard, card_json
from napari_smse.models.encoders import find_encoder
from napari_smse.models.encoders.encoder import TRUNK_PREFIX
from napari_smse.models.encoders.encoder_card import UNCLASSIFIED
from napari_smse.models.model_files import read_card
from napari_smse.results import folder_name
from napari_smse.results.exchange import TileFeatures, read_tile_features
from napari_smse.scoring import ScoreRequest, ScoreStore, store_lock
from napari_smse.scoring.open_run import FEATURES, facts_of_run
from napari_smse.scoring.store import signature
from napari_smse.scoring.tile_table import unit_length
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.tiles import TilePlan, find_tissue, plan_reads
from napari_smse.workflows import score_slide
from napari_smse.workflows.runs.stored_runs import NOT_RECORDED, run_of_store
from napari_smse.workflows.scored_slide import Run

_VERSION: Final = "features"
_NEAR: Final = 1.25
_LIMITS: Final = (
    "Its features were read from a file, and nothing here says how they were made.",
    "It knows no classes, so there is no map.",
)


def open_feature_run(path: Path, slide: Slide, tile_size: int | None = None) -> Run:
    """Return the features of a slide's tiles as a run of it, stored in the cache.

    Parameters
    ----------
    path
        An HDF5 file as `read_tile_features` reads it.
    slide
        The slide that it is of.
    tile_size
        Edge of a tile, level-0 px, where the file does not say so.

    Returns
    -------
    Run
        By the encoder that the file names, if its weights are on this machine and give as many
        features; else by a card that says no more than its name.

    Raises
    ------
    DataError
        The file cannot be read, holds no tile, or is of another slide.
    OutputError
        h5py is not installed, or the cache cannot be written.
    SlideError
        The slide states no um/px, or cannot be read.
    """
    found = read_tile_features(path, slide, tile_size)
    if not len(found):
        raise DataError(f"{path} holds no tile: extract the features of the slide again.")
    mask = find_tissue(slide)
    tissue = mask.fraction(found.placed.x, found.placed.y, found.tile_size)
    plan = plan_reads(slide, [replace(found.placed, tissue=tissue)], mask)
    tiles = plan.scales[0]
    features = found.features[_order(found.coords, np.column_stack([tiles.x, tiles.y]))]
    model, card = _model(found)
    facts = _facts(slide, card, plan, found)
    place = score_slide.runs_folder() / f"{folder_name(slide.name)}-{signature(facts)}.zarr"
    if not model:
        model = str(place.with_suffix(""))
        _write_card(card, place.with_suffix(CARD_SUFFIX))
    with store_lock(place):
        store = _stored(place, plan, card, facts, features)
    score_slide.forget_old_runs(score_slide.runs_folder())
    return run_of_store(slide, store, card, model)


def is_of_features(run: Run) -> bool:
    """Whether a run was read from a file of features, and computed by no model here."""
    return FEATURES in run.store.facts


def _order(corners: NDArray[np.int32], planned: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return which row of a file each tile of the plan is; both have the same corners."""
    rows = np.empty(len(corners), dtype=np.intp)
    rows[np.lexsort(planned.T)] = np.lexsort(corners.T)
    return rows


def _facts(slide: Slide, card: ModelCard, plan: TilePlan, found: TileFeatures) -> dict[str, Any]:
    spec = found.placed.grid.spec
    request = ScoreRequest((spec.mpp,), overlap=spec.overlap, min_tissue=0.0)
    content = hashlib.sha256(found.features.tobytes()).hexdigest()
    return {
        **facts_of_run(slide, card, request, plan),
        "precision": NOT_RECORDED,
        "runtime": NOT_RECORDED,
        FEATURES: {"path": path_text(found.path.absolute()), "sha256": content},
    }


def _stored(
    place: Path,
    plan: TilePlan,
    card: ModelCard,
    facts: dict[str, Any],
    features: NDArray[np.float32],
) -> ScoreStore:
    """Return the store of these features; one that was written before and is whole is taken."""
    try:
        store = ScoreStore.open(place)
        if store.complete:
            return store
    except SmseError:
        pass
    store = ScoreStore.create(place, plan, card.classes, card.embedding_dim, facts)
    certain = np.ones((len(features), len(card.classes)), dtype=np.float32)
    store.write_rows(0, 0, certain, unit_length(features))
    store.mark_done(range(len(plan.blocks)))
    store.finish(seconds=0.0)
    return store


def _model(found: TileFeatures) -> tuple[str, ModelCard]:
    """Return what the encoder is loaded by, and its card; no name if it is not on this machine."""
    width = found.features.shape[1]
    try:
        card = read_card(found.encoder)
        if not card.knows_classes and card.embedding_dim == width:
            return found.encoder, card
    except (SmseError, OSError, ValueError):  # a name that is too long for a file, for one
        pass
    named = f"{found.encoder} {width}"
    spec = found.placed.grid.spec
    return "", ModelCard(
        name=found.encoder,
        version=_VERSION,
        classes=(UNCLASSIFIED,),
        tile_px=spec.size_px,
        mpp_range=_mpp_range(found),
        trunk=f"{TRUNK_PREFIX}{found.encoder}",
        embedding_dim=width,
        limits=_LIMITS,
        # The same of all slides whose features this encoder made, so that these compare.
        weights_sha256=hashlib.sha256(named.encode()).hexdigest(),
        encoder=EncoderWeights(
            name=found.encoder, repository="", licence="unknown", commercial=False, sha256=""
        ),
    )


def _mpp_range(found: TileFeatures) -> tuple[float, float]:
    """Return the scales that an encoder was trained at; of an unknown one, those near the file's.

    Slides of one magnification differ by some percent.
    """
    try:
        return find_encoder(found.encoder).mpp_range
    except UnknownEncoderError:
        return found.mpp / _NEAR, found.mpp * _NEAR


def _write_card(card: ModelCard, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, card_json(card).encode())
    except OSError as error:
        raise output_error(path, error) from error
