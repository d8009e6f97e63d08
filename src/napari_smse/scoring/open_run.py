"""Open the store of a run: a new one, or the one that an earlier run left behind."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from napari_smse.errors import ChangedSlideError, OutputError, ScaleError
from napari_smse.models.card import ModelCard
from napari_smse.scoring.device import ComputeDevice, Quantisation
from napari_smse.scoring.request import ScoreRequest, scale_warnings, setting_name
from napari_smse.scoring.store import MASK, QUANTISATION, REGION, ScoreStore, signature
from napari_smse.scoring.stored_scales import holds_all_of, scored_scales
from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.slides import Slide
from napari_smse.slides.identity import path_text
from napari_smse.tiles import PlacedTiles, TilePlan, TissueMask, find_tissue, plan_reads
from napari_smse.tiles.mask_choice import MaskChoice

_TILES = "tiles"
FEATURES: Final = "features"
"""The fact of embeddings that were read from a file of features: which file, and its content."""
_log = logging.getLogger(__name__)


def run_facts(
    slide: Slide, card: ModelCard, request: ScoreRequest, plan: TilePlan, device: ComputeDevice
) -> dict[str, Any]:
    """What the scores depend on, as JSON values."""
    facts = facts_of_run(slide, card, request, plan)
    facts |= {"precision": device.precision, "runtime": device.runtime}
    if request.mask is not None:
        facts[MASK] = {"path": path_text(request.mask.path), "notice": plan.mask.notice}
    if device.quantisation is not None:
        facts[QUANTISATION] = asdict(device.quantisation)
    return facts if request.region is None else facts | {REGION: request.region}


def facts_of_run(
    slide: Slide, card: ModelCard, request: ScoreRequest, plan: TilePlan
) -> dict[str, Any]:
    """What holds of a run by whatever it was computed: slide, model, request and tiles."""
    return {
        "slide": {
            "name": path_text(slide.path.name),
            "quick_hash": slide.quick_hash,
            "width": slide.width,
            "height": slide.height,
            "mpp": slide.mpp,
            "mpp_source": str(slide.scale.source),
        },
        "model": model_facts(card),
        "request": request.facts(),
        _TILES: plan_hash(plan),
    }


def run_warnings(
    slide: Slide, card: ModelCard, mpps: tuple[float, ...], facts: Mapping[str, Any]
) -> list[str]:
    """What a reader of a run's results must know about its scales and precision, one line each.

    Parameters
    ----------
    slide, card, mpps
        What was scored, by what, and at which scales, um/px.
    facts
        Of the run's store.
    """
    quantisation = facts.get(QUANTISATION)
    notes = [] if quantisation is None else [Quantisation(**quantisation).note]
    if FEATURES in facts:
        name = PurePath(facts[FEATURES]["path"]).name
        notes.append(f"Features were read from {name}, and were not computed here.")
    return [*scale_warnings(slide, card, mpps), *notes]


def model_facts(card: ModelCard) -> dict[str, Any]:
    """What names a model in a store, as JSON values."""
    return {
        "name": card.name,
        "version": card.version,
        "hash": card.weights_sha256,
        # A card can give the same weights' answers other names.
        "classes": list(card.classes),
    }


def plan_hash(plan: TilePlan) -> str:
    """A short hash of which tiles are in which block.

    It changes with the tissue found, so with the versions of what finds it, and with the pixels
    that tiles begin at: a run must not go on among the blocks of another plan.
    """
    digest = hashlib.sha256()
    pixels = [tiles.grid.pixel for tiles in plan.scales]
    if any(pixel != 1 for pixel in pixels):  # runs of earlier versions, which knew no other, go on
        digest.update(repr(pixels).encode())
    if any(tiles.grid.inside for tiles in plan.scales):  # earlier versions went over the edge
        digest.update(b"inside")
    for tiles in plan.scales:
        digest.update(np.ascontiguousarray([tiles.columns, tiles.rows], dtype="<i4").tobytes())
        if isinstance(tiles, PlacedTiles):
            digest.update(np.ascontiguousarray(tiles.corners, dtype="<i4").tobytes())
    digest.update(repr([block.members for block in plan.blocks]).encode())
    return digest.hexdigest()[:16]


def require_same_slide(slide: Slide, store: ScoreStore) -> None:
    """Refuse the scores of another slide.

    Raises
    ------
    ChangedSlideError
        They are of another, or of other content of it.
    """
    known = store.facts["slide"]
    if known["quick_hash"] != slide.quick_hash:
        raise ChangedSlideError(
            f"{store.path} holds the scores of {known['name']} as it was then, not of "
            f"{slide.path.name}: open the slide that was scored, or score this one."
        )


def applies_icc(store: ScoreStore) -> bool:
    """Whether a slide's ICC profile was applied before it was scored."""
    return bool(store.facts.get("request", {}).get("icc", False))


def as_scored(slide: Slide, store: ScoreStore) -> Slide:
    """Return a slide with the pixels that were scored: as they are, or by its ICC profile.

    Raises
    ------
    ColourProfileError
        It was scored by its profile, and that cannot be applied.
    """
    return slide.with_icc() if applies_icc(store) else slide


def tissue_of(slide: Slide, store: ScoreStore) -> TissueMask:
    """Return the tissue that a store's tiles were chosen by.

    Where it was taken from a file, it is in the cache; if it is there no more, tissue by colour has
    to do, which the log tells: it is what maps are drawn on, and no tile is chosen anew.

    Parameters
    ----------
    slide, store
        The slide, as `as_scored` gives it, and its scores.
    """
    request = store.facts.get("request", {})
    choice = MaskChoice.from_facts(request, store.facts.get(MASK, {}))
    if choice is None:
        return find_tissue(slide)
    mask = choice.known(slide, icc=applies_icc(store))
    if mask is None:
        _log.warning(
            "%s: the tissue that %s found is not in the cache any more, so maps are drawn on "
            "tissue by colour",
            slide.path.name,
            choice.path.name,
        )
        return find_tissue(slide)
    return mask


def stored_plan(slide: Slide, store: ScoreStore) -> TilePlan:
    """Plan again what a store was made for, from the tiles that it holds.

    Parameters
    ----------
    slide
        The slide that was scored, with the um/px that it had then.
    store
        Its scores.

    Raises
    ------
    ChangedSlideError
        Another slide was scored, or other content of it.
    ScaleError
        The slide has another um/px than when it was scored.
    OutputError
        The store cannot be read, or its tiles are not those of such a plan.
    """
    require_same_slide(slide, store)
    facts = store.facts
    known = facts["slide"]
    if known["mpp"] != slide.mpp:
        raise ScaleError(
            f"{slide.path.name} was scored at {known['mpp']:g} µm/px of level 0, and is open at "
            f"{slide.mpp:g}: open it at the first."
        )
    scales = [store.scale(number).tiles for number in range(store.scale_count)]
    coarse_first = bool(facts["request"].get("coarse_first", False))
    mask, icc = tissue_of(as_scored(slide, store), store), applies_icc(store)
    plan = plan_reads(slide, scales, mask, coarse_first=coarse_first, icc=icc)
    if plan_hash(plan) != facts.get("tiles"):
        raise OutputError(
            f"{store.path} was written by another version, which read the slide in other pieces: "
            "score the slide again."
        )
    return plan


def open_run(
    path: Path,
    slide: Slide,
    card: ModelCard,
    request: ScoreRequest,
    plan: TilePlan,
    device: ComputeDevice,
    *,
    overwrite: bool = False,
    earlier: Iterable[Path] = (),
) -> ScoreStore:
    """Open the store to score into.

    A store of the same slide, model, request and tiles is continued; it may be complete already. A
    complete one of the same but fewer scales goes on with the others. One of anything else is kept
    unless `overwrite`.

    Parameters
    ----------
    path
        The store's folder.
    slide, card, request, plan, device
        The run.
    overwrite
        Start anew whatever is there.
    earlier
        Stores of other runs. Scales that one of them holds by the same model and in the same way
        are taken from there, and not scored again.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds another run's scores.
    """
    facts = run_facts(slide, card, request, plan, device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot make the folder {path.parent}: {error.strerror or error}. Choose a folder "
            "that you may write to."
        ) from error
    known: Mapping[int, ScaleScores] = {}
    if path.exists() and not overwrite:
        store = ScoreStore.open(path)
        if store.facts.get("signature") == signature(facts):
            return store
        known = scored_scales([path], facts, plan)
        if not holds_all_of(known, store):
            raise another_run_error(path, _changed(store.facts, facts))
    elif not overwrite:
        known = scored_scales(earlier, facts, plan)
    return ScoreStore.create(path, plan, card.classes, card.embedding_dim, facts, known)


def another_run_error(where: Path | str, changed: Iterable[str]) -> OutputError:
    """Return the error that results of another run lie somewhere.

    Parameters
    ----------
    where
        The folder or address.
    changed
        What differs, as `setting_name` takes it.
    """
    names = list(dict.fromkeys(map(setting_name, changed)))
    if len(names) > 1 and _TILES in names:  # which follow from the others
        names.remove(_TILES)
    return OutputError(
        f"{where} holds the scores of another run (different {', '.join(names)}): choose another "
        "folder, or overwrite it (in a shell: --overwrite)."
    )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Which facts differ, as `request overlap`."""
    for name, value in now.items():
        previous = before.get(name)
        if isinstance(value, dict) and isinstance(previous, dict):
            yield from (f"{name} {key}" for key in value if value[key] != previous.get(key))
        elif value != previous:
            yield name
