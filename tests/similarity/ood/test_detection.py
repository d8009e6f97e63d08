"""What of a slide is unlike everything a model knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.ood.detection import (
    no_appearance,
    ood_scores,
    read_appearance,
    reference_with,
)
from napari_smse.similarity.ood.reference import OodReference, fitted_appearance
from napari_smse.slides import open_slide
from napari_smse.tiles.appearance import MEASURES
from support.exemplar_banks import CLASSES, made_bank
from support.models import redness_model
from support.slides import write_pyramid_tiff
from support.stores import forget_appearance

K = len(MEASURES)
GLASS, PINK, RED = (243, 243, 243), (205, 150, 190), (230, 90, 150)


def knowing(seed: int = 0) -> OodReference:
    """A model that knows tiles around nought."""
    tiles = np.random.default_rng(seed).normal(size=(300, K))
    return OodReference(model="m", appearances=(fitted_appearance("a", 0.5, tiles, 6.0),))


def test_exemplars_of_a_bank_are_known_besides():
    bank = made_bank(40, appearances=True)
    bank = replace(bank, appearances=bank.appearances + 40)
    known = reference_with(knowing(), bank, CLASSES)
    like_them = np.random.default_rng(5).normal(40, 1, (50, K)).astype(np.float32)
    mpps = np.full(50, 0.5)
    assert (knowing().ood_scores(like_them, mpps) > 1).all()
    assert (known.ood_scores(like_them, mpps) <= 1).mean() > 0.9
    # Every second one has a source of its own, and only of those it is known how they look.
    assert {appearance.source for appearance in known.appearances} == {"a", "source 0"}


def test_exemplars_without_looks_or_of_classes_the_model_lacks_change_nothing():
    assert reference_with(knowing(), None, CLASSES) == knowing()
    assert reference_with(knowing(), made_bank(40), CLASSES) == knowing()
    ink = made_bank(40, appearances=True, classes=("ink", "pen"))
    assert reference_with(knowing(), ink, CLASSES) == knowing()
    assert reference_with(knowing(), ink, ("ink",)) != knowing()


@pytest.fixture
def run(tmp_path: Path):
    """Pink tissue with a red half, scored at two scales."""
    rgb = np.full((900, 900, 3), PINK, np.uint8)
    rgb[:, 450:] = RED
    rgb[::7, ::5] //= 2
    rgb[600:] = GLASS
    path = write_pyramid_tiff(tmp_path / "slide.tif", rgb, mpp=0.25)
    model = redness_model()
    with open_slide(path) as slide:
        request = ScoreRequest((0.25, 0.5))
        plan = request.plan(slide, model.card)
        device = choose_device("cpu", exact=True)
        store = open_run(tmp_path / "s.zarr", slide, model.card, request, plan, device)
        yield slide, model, plan, store, device


def test_looks_are_read_of_what_is_scored_and_only_once(run):
    slide, model, plan, store, device = run
    appearances = no_appearance(plan)
    assert list(read_appearance(slide, plan, store, appearances)) == []
    for _ in score(slide, model, plan, store, device):
        pass
    forget_appearance(store)
    shares = list(read_appearance(slide, plan, store, appearances))
    assert shares[-1] == 1
    assert len(shares) == len(plan.blocks)
    assert all(np.isfinite(appearance).all() for appearance in appearances)
    assert list(read_appearance(slide, plan, store, appearances)) == []


def test_what_a_run_measured_is_not_read_again(run):
    slide, model, plan, store, device = run
    for _ in score(slide, model, plan, store, device):
        pass
    measured = no_appearance(plan)
    assert list(read_appearance(slide, plan, store, measured)) == []
    forget_appearance(store)
    read = no_appearance(plan)
    assert list(read_appearance(slide, plan, store, read))
    for known, again in zip(measured, read, strict=True):
        np.testing.assert_array_equal(known, again)


def test_the_tiles_that_look_otherwise_are_the_unlike_ones(run):
    slide, model, plan, store, device = run
    for _ in score(slide, model, plan, store, device):
        pass
    appearances = no_appearance(plan)
    for _ in read_appearance(slide, plan, store, appearances):
        pass
    tiles = store.tile_table()
    in_tissue = tiles.places[:, 1] + tiles.places[:, 3] <= 600
    is_pink = in_tissue & (tiles.places[:, 0] + tiles.places[:, 2] <= 450)
    is_red = in_tissue & (tiles.places[:, 0] >= 450)
    own = np.concatenate(appearances)
    assert len(own) == len(tiles)
    assert is_pink.any()
    assert is_red.any()
    # What is known: the pink tiles, give or take.
    spread = own[is_pink].std(axis=0) + 0.05
    rng = np.random.default_rng(0)
    known_tiles = own[is_pink].mean(axis=0) + rng.normal(size=(500, K)) * spread
    limit = float(
        np.quantile(fitted_appearance("", 0.35, known_tiles).distances(known_tiles), 0.95)
    )
    of_pink = fitted_appearance("pink", 0.35, known_tiles, limit)
    model_knows = OodReference(model="m", appearances=(of_pink,))
    found = ood_scores(tiles, plan, appearances, model_knows)
    assert (found[is_red] > 1).all()
    assert np.mean(found[is_pink] <= 1) > 0.8
