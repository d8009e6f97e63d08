"""What a model's training tiles look like, in a file beside its weights."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.errors import DamagedModelError
from napari_smse.models import read_card
from napari_smse.models.model_files import bundled_models, model_paths
from napari_smse.similarity.ood.reference import (
    MIN_NEW_TILES,
    OodReference,
    fitted_appearance,
    load_ood_reference,
    ood_reference_path,
    save_ood_reference,
)
from napari_smse.tiles.appearance import MEASURES, appearance_features
from support.edited_json import edit_json, facts_of

K = len(MEASURES)


def cloud(seed: int, number: int = 400, shift: float = 0.0) -> np.ndarray:
    """Tiles whose measures are correlated normal numbers."""
    rng = np.random.default_rng(seed)
    mixed = np.random.default_rng(99).normal(size=(K, K)) / np.sqrt(K) + np.eye(K)
    return (rng.normal(size=(number, K)) @ mixed + shift).astype(np.float32)


def known(*appearances) -> OodReference:
    return OodReference(model="m", appearances=appearances)


def with_limit(source: str, mpp: float, appearances: np.ndarray):
    limit = float(
        np.quantile(fitted_appearance(source, mpp, appearances).distances(appearances), 0.95)
    )
    return fitted_appearance(source, mpp, appearances, limit)


def test_distance_is_that_of_mahalanobis():
    appearances = cloud(1)
    one = fitted_appearance("a", 0.5, appearances)
    inverse = np.linalg.inv(np.array(one.covariance))
    away = appearances[:5] - np.array(one.mean)
    slow = [float(np.sqrt(row @ inverse @ row)) for row in away.astype(float)]
    np.testing.assert_allclose(one.distances(appearances[:5]), slow, rtol=1e-6)


def test_of_tiles_as_known_about_95_percent_are_known_and_others_are_not():
    model = known(with_limit("a", 0.5, cloud(1)))
    fresh, far = cloud(2), cloud(3, shift=6)
    assert 0.85 < np.mean(model.ood_scores(fresh, np.full(len(fresh), 0.5)) <= 1) < 0.99
    assert (model.ood_scores(far, np.full(len(far), 0.5)) > 1).all()


def test_it_is_enough_to_be_like_one_source():
    here, there = cloud(1), cloud(2, shift=9)
    both = known(with_limit("a", 0.5, here), with_limit("b", 0.5, there))
    mpps = np.full(400, 0.5)
    assert np.mean(both.ood_scores(here, mpps) <= 1) == pytest.approx(0.95, abs=0.01)
    assert np.mean(both.ood_scores(there, mpps) <= 1) == pytest.approx(0.95, abs=0.01)
    assert (both.ood_scores((here + there) / 2, mpps) > 1).all()


def test_tiles_are_compared_at_the_nearest_scale():
    fine, coarse = cloud(1), cloud(2, shift=9)
    model = known(with_limit("a", 0.25, fine), with_limit("a", 0.5, coarse))
    assert (model.ood_scores(coarse, np.full(400, 0.25)) > 1).all()
    assert np.mean(model.ood_scores(coarse, np.full(400, 0.45)) <= 1) > 0.9
    assert np.mean(model.ood_scores(coarse, np.full(400, 4.0)) <= 1) > 0.9


def test_what_was_not_read_cannot_be_told():
    appearances = cloud(1, 3)
    appearances[1, 4] = np.nan
    found = known(with_limit("a", 0.5, cloud(2))).ood_scores(appearances, np.full(3, 0.5))
    assert np.isnan(found).tolist() == [False, True, False]


def test_files_hold_what_was_saved(tmp_path):
    model = known(with_limit("a", 0.5, cloud(1)))
    weights = tmp_path / "net.safetensors"
    weights.touch()
    assert load_ood_reference(weights, "m") is None
    save_ood_reference(model, ood_reference_path(weights))
    assert ood_reference_path(weights) == tmp_path / "net.looks.json"
    assert load_ood_reference(weights, "m") == model


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "m", "looks": []}', "\x00"])
def test_damaged_files_are_refused(tmp_path, text):
    weights = tmp_path / "net.safetensors"
    weights.touch()
    ood_reference_path(weights).write_text(text)
    with pytest.raises(DamagedModelError, match="does not say what the model knows"):
        load_ood_reference(weights, "m")


def test_files_of_other_measures_or_models_are_refused(tmp_path):
    weights = tmp_path / "net.safetensors"
    weights.touch()
    path = ood_reference_path(weights)
    save_ood_reference(known(with_limit("a", 0.5, cloud(1))), path)
    with pytest.raises(DamagedModelError, match=r"is of the model m, not of this one \(other\)"):
        load_ood_reference(weights, "other")
    (looks,) = facts_of(path.read_bytes())["looks"]
    edit_json(path, looks=[looks | {"mean": [0.0, *looks["mean"]]}])
    with pytest.raises(DamagedModelError, match="other measures"):
        load_ood_reference(weights, "m")


def test_the_bundled_model_says_what_it_knows():
    card = read_card()
    found = load_ood_reference("bundled", card.weights_sha256)
    assert found is not None
    sources = {appearance.source for appearance in found.appearances}
    assert sources == {"breakhis", "colon", "lung", "oral", "ucsb"}
    assert model_paths("bundled")[0].exists()


def test_ink_glass_blur_and_darkness_are_unlike_what_the_bundled_model_knows(shared_data):
    from PIL import Image, ImageFilter

    found = load_ood_reference("bundled", read_card().weights_sha256)
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
    assert np.mean(found.ood_scores(appearance_features(usual), mpps) > 1) < 0.25
    soft = [np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(6))) for one in usual]
    ink = (usual * (np.array([20, 60, 160]) / 255)).astype(np.uint8)
    for strange in (np.stack(soft), ink, 255 - usual, usual // 12, usual * 0 + 243):
        assert np.mean(found.ood_scores(appearance_features(strange), mpps) > 1) > 0.75


def test_a_few_tiles_of_another_source_make_their_like_known():
    model = known(with_limit("a", 0.25, cloud(1)), with_limit("b", 0.5, cloud(2)))
    few, like_them, far = cloud(3, 8, shift=6), cloud(4, shift=6), cloud(5, shift=12)
    mpps = np.full(400, 0.5)
    assert np.mean(model.ood_scores(like_them, mpps) > 1) > 0.99
    wider = model.extended(["new"] * 8, np.full(8, 0.5), few)
    assert [appearance.source for appearance in wider.appearances] == ["a", "b", "new"]
    assert np.mean(wider.ood_scores(like_them, mpps) > 1) < 0.2
    assert (wider.ood_scores(far, mpps) > 1).all()
    # What was known stays known, and nothing becomes known at another scale.
    assert (wider.ood_scores(cloud(6), mpps) <= model.ood_scores(cloud(6), mpps)).all()
    assert np.mean(wider.ood_scores(like_them, np.full(400, 0.25)) > 1) > 0.99
    assert len(model.appearances) == 2


def test_of_too_few_tiles_nothing_is_learnt():
    model = known(with_limit("a", 0.5, cloud(1)))
    few = cloud(3, MIN_NEW_TILES, shift=6)
    mpps = np.full(len(few), 0.5)
    assert model.extended(["new"] * len(few), mpps, few) != model
    few[0, 3] = np.nan
    assert model.extended(["new"] * len(few), mpps, few) == model
    two_scales = [0.5, 0.5, 0.5, 0.25, 0.25]
    assert model.extended(["new"] * len(few), two_scales, cloud(3, 5)) == model
    assert model.extended([], [], np.empty((0, K), np.float32)) == model


def test_what_is_learnt_at_a_scale_between_does_not_hide_what_was_known():
    """A tile is compared at the nearest known scale: a new one there would have only the new."""
    model = known(with_limit("a", 0.25, cloud(1)), with_limit("a", 0.5, cloud(1)))
    wider = model.extended(["new"] * 20, np.full(20, 0.26), cloud(3, 20, shift=6))
    assert {appearance.mpp for appearance in wider.appearances} == {0.25, 0.5}
    assert np.mean(wider.ood_scores(cloud(7), np.full(400, 0.26)) <= 1) > 0.85


def test_a_look_learnt_of_many_tiles_is_theirs():
    model = known(with_limit("a", 0.5, cloud(1)))
    many = cloud(8, 4000, shift=6) * 2
    learnt = model.extended(["new"] * 4000, np.full(4000, 0.5), many).appearances[-1]
    own = np.cov(many.T)
    np.testing.assert_allclose(learnt.mean, many.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(np.diag(learnt.covariance), np.diag(own), rtol=0.02)


def test_looks_are_no_model_of_their_own():
    assert not [name for name in bundled_models() if "looks" in name]


def test_a_model_that_learnt_from_few_tiles_alone_knows_those_alone():
    spread = known(with_limit("a", 0.5, cloud(1)), with_limit("b", 0.5, cloud(2, shift=9)))
    learnt, fresh = cloud(3, 20, shift=30), cloud(4, shift=30)
    alone = spread.of_others_alone(["mine"] * 20, np.full(20, 0.5), learnt)
    assert alone is not None
    assert [appearance.source for appearance in alone.appearances] == ["mine"]
    assert np.mean(alone.ood_scores(fresh, np.full(len(fresh), 0.5)) <= 1) > 0.7
    assert (alone.ood_scores(cloud(5), np.full(400, 0.5)) > 1).all()


def test_of_too_few_tiles_alone_nothing_is_known():
    spread = known(with_limit("a", 0.5, cloud(1)))
    few = MIN_NEW_TILES - 1
    assert spread.of_others_alone(["mine"] * few, np.full(few, 0.5), cloud(3, few)) is None
