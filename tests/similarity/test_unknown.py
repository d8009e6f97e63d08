"""What is unlike everything a model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_model import redness_model
from generated import write_pyramid_tiff
from napari_smse.errors import BankError
from napari_smse.network import read_card
from napari_smse.network.card import model_paths
from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.appearance import MEASURES, appearances_of
from napari_smse.similarity.slide_tiles import slide_tiles
from napari_smse.similarity.unknown import (
    KnownLooks,
    fitted_look,
    load_looks,
    looks_path,
    no_looks,
    read_looks,
    save_looks,
    unlike_tiles,
)
from napari_smse.slides import open_slide

K = len(MEASURES)
GLASS, PINK, RED = (243, 243, 243), (205, 150, 190), (230, 90, 150)


def cloud(seed: int, number: int = 400, shift: float = 0.0) -> np.ndarray:
    """Tiles whose measures are correlated normal numbers."""
    rng = np.random.default_rng(seed)
    mixed = np.random.default_rng(99).normal(size=(K, K)) / np.sqrt(K) + np.eye(K)
    return (rng.normal(size=(number, K)) @ mixed + shift).astype(np.float32)


def known(*looks) -> KnownLooks:
    return KnownLooks(model="m", looks=looks)


def with_limit(source: str, mpp: float, looks: np.ndarray):
    limit = float(np.quantile(fitted_look(source, mpp, looks).distances(looks), 0.95))
    return fitted_look(source, mpp, looks, limit)


def test_distance_is_that_of_mahalanobis():
    looks = cloud(1)
    one = fitted_look("a", 0.5, looks)
    inverse = np.linalg.inv(np.array(one.covariance))
    away = looks[:5] - np.array(one.mean)
    slow = [float(np.sqrt(row @ inverse @ row)) for row in away.astype(float)]
    np.testing.assert_allclose(one.distances(looks[:5]), slow, rtol=1e-6)


def test_of_tiles_as_known_about_95_percent_are_known_and_others_are_not():
    model = known(with_limit("a", 0.5, cloud(1)))
    fresh, far = cloud(2), cloud(3, shift=6)
    assert 0.85 < np.mean(model.unlike(fresh, np.full(len(fresh), 0.5)) <= 1) < 0.99
    assert (model.unlike(far, np.full(len(far), 0.5)) > 1).all()


def test_it_is_enough_to_be_like_one_source():
    here, there = cloud(1), cloud(2, shift=9)
    both = known(with_limit("a", 0.5, here), with_limit("b", 0.5, there))
    mpps = np.full(400, 0.5)
    assert np.mean(both.unlike(here, mpps) <= 1) == pytest.approx(0.95, abs=0.01)
    assert np.mean(both.unlike(there, mpps) <= 1) == pytest.approx(0.95, abs=0.01)
    assert (both.unlike((here + there) / 2, mpps) > 1).all()


def test_tiles_are_compared_at_the_nearest_scale():
    fine, coarse = cloud(1), cloud(2, shift=9)
    model = known(with_limit("a", 0.25, fine), with_limit("a", 0.5, coarse))
    assert (model.unlike(coarse, np.full(400, 0.25)) > 1).all()
    assert np.mean(model.unlike(coarse, np.full(400, 0.45)) <= 1) > 0.9
    assert np.mean(model.unlike(coarse, np.full(400, 4.0)) <= 1) > 0.9


def test_what_was_not_read_cannot_be_told():
    looks = cloud(1, 3)
    looks[1, 4] = np.nan
    found = known(with_limit("a", 0.5, cloud(2))).unlike(looks, np.full(3, 0.5))
    assert np.isnan(found).tolist() == [False, True, False]


def test_files_hold_what_was_saved(tmp_path):
    model = known(with_limit("a", 0.5, cloud(1)))
    weights = tmp_path / "net.safetensors"
    weights.touch()
    assert load_looks(weights, "m") is None
    save_looks(model, looks_path(weights))
    assert looks_path(weights) == tmp_path / "net.looks.json"
    assert load_looks(weights, "m") == model


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "m", "looks": []}', "\x00"])
def test_damaged_files_are_refused(tmp_path, text):
    weights = tmp_path / "net.safetensors"
    weights.touch()
    looks_path(weights).write_text(text)
    with pytest.raises(BankError, match="does not say what the model knows"):
        load_looks(weights, "m")


def test_files_of_other_measures_or_models_are_refused(tmp_path):
    weights = tmp_path / "net.safetensors"
    weights.touch()
    path = looks_path(weights)
    save_looks(known(with_limit("a", 0.5, cloud(1))), path)
    with pytest.raises(BankError, match=r"is of the model m, not of this one \(other\)"):
        load_looks(weights, "other")
    path.write_text(path.read_text().replace('"mean":[', '"mean":[0.0,'))
    with pytest.raises(BankError, match="other measures"):
        load_looks(weights, "m")


def test_the_bundled_model_says_what_it_knows():
    card = read_card()
    found = load_looks("bundled", card.weights_sha256)
    assert found is not None
    assert {one.source for one in found.looks} == {"breakhis", "colon", "oral"}
    assert model_paths("bundled")[0].exists()


def test_ink_glass_blur_and_darkness_are_unlike_what_the_bundled_model_knows(shared_data):
    from PIL import Image, ImageFilter

    found = load_looks("bundled", read_card().weights_sha256)
    assert found is not None
    paths = sorted((shared_data / "breakhis").rglob("*-100-0*.jp*g"))[:40]
    assert len(paths) == 40
    tiles = []
    for path in paths:
        with Image.open(path) as file:
            side = round(224 * 0.25 / 0.197)
            tiles.append(
                np.asarray(file.convert("RGB").crop((0, 0, side, side)).resize((224, 224)))
            )
    usual = np.stack(tiles)
    mpps = np.full(len(usual), 0.25)
    assert np.mean(found.unlike(appearances_of(usual), mpps) > 1) < 0.25
    soft = [np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(6))) for one in usual]
    ink = (usual * (np.array([20, 60, 160]) / 255)).astype(np.uint8)
    for strange in (np.stack(soft), ink, 255 - usual, usual // 12, usual * 0 + 243):
        assert np.mean(found.unlike(appearances_of(strange), mpps) > 1) > 0.75


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
    looks = no_looks(plan)
    assert list(read_looks(slide, plan, store, looks)) == []
    for _ in score(slide, model, plan, store, device):
        pass
    shares = list(read_looks(slide, plan, store, looks))
    assert shares[-1] == 1
    assert len(shares) == len(plan.blocks)
    assert all(np.isfinite(one).all() for one in looks)
    assert list(read_looks(slide, plan, store, looks)) == []


def test_the_tiles_that_look_otherwise_are_the_unlike_ones(run):
    slide, model, plan, store, device = run
    for _ in score(slide, model, plan, store, device):
        pass
    looks = no_looks(plan)
    for _ in read_looks(slide, plan, store, looks):
        pass
    tiles = slide_tiles(store)
    in_tissue = tiles.places[:, 1] + tiles.places[:, 3] <= 600
    is_pink = in_tissue & (tiles.places[:, 0] + tiles.places[:, 2] <= 450)
    is_red = in_tissue & (tiles.places[:, 0] >= 450)
    own = np.concatenate(looks)
    assert len(own) == len(tiles)
    assert is_pink.any()
    assert is_red.any()
    # What is known: the pink tiles, give or take.
    spread = own[is_pink].std(axis=0) + 0.05
    rng = np.random.default_rng(0)
    known_tiles = own[is_pink].mean(axis=0) + rng.normal(size=(500, K)) * spread
    model_knows = known(with_limit("pink", 0.35, known_tiles))
    found = unlike_tiles(tiles, plan, looks, model_knows)
    assert (found[is_red] > 1).all()
    assert np.mean(found[is_pink] <= 1) > 0.8
