"""Exemplar banks, what they say of tiles, and tiles unlike all that is known."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import box

import napari_smse as smse
from napari_smse import errors
from napari_smse.annotations import AnnotationSet
from support.stores import forget_appearance


@pytest.fixture(scope="module")
def bank(mini, scored_by_mini, notes):
    return smse.ExemplarBank.of_model(mini).with_annotated(scored_by_mini, notes)


def test_a_model_without_exemplars_has_an_empty_bank(mini, redness):
    for model in (mini, redness):
        bank = smse.ExemplarBank.of_model(model)
        assert isinstance(bank, smse.ExemplarBank)
        assert len(bank) == 0
        assert bank.classes == model.card.classes


def test_annotated_tiles_become_exemplars(bank, scored_by_mini, notes, slide):
    assert isinstance(bank, smse.ExemplarBank)
    assert {bank.class_name(row) for row in range(len(bank))} == {"benign", "malignant"}
    assert set(bank.slides) == {slide.quick_hash}
    assert bank.thumbnails is None
    again = bank.with_annotated(scored_by_mini, notes, thumbnails=True)
    assert len(again) == len(bank)
    assert again.thumbnails is not None


def test_a_bank_is_saved_and_loaded(bank, tmp_path):
    bank.save(tmp_path / "bank.safetensors")
    back = smse.ExemplarBank.load(tmp_path / "bank.safetensors")
    assert isinstance(back, smse.ExemplarBank)
    assert back.classes == bank.classes
    assert back.embeddings == pytest.approx(bank.embeddings, abs=1e-3)
    with pytest.raises(errors.BankError):
        smse.ExemplarBank.load(tmp_path / "none")


def test_a_tile_is_explained_by_the_exemplars_nearest_to_it(bank, scored_by_mini):
    region = bank.region(0)
    x, y = region.x + region.width / 2, region.y + region.height / 2
    (tile,) = smse.explain(scored_by_mini, x, y, bank, k=3)
    assert scored_by_mini.region(tile.row) == region
    # The tile is in the bank itself, which would say nothing but what it is called there.
    assert 0 not in [one.row for one in tile.evidence.nearest]
    distances = np.linalg.norm(bank.embeddings - bank.embeddings[0], axis=1)
    assert tile.evidence.distance >= np.sort(distances)[0] - 1e-2
    assert sum(tile.evidence.shares.values()) == pytest.approx(1)
    assert smse.explain(scored_by_mini, 0, 0, bank) == []


def test_banks_that_do_not_fit_are_refused(bank, scored, scored_by_mini, mini, notes):
    with pytest.raises(errors.BankError, match="embeddings of two models"):
        smse.explain(scored, 0, 0, bank)
    with pytest.raises(errors.BankError):
        bank.with_annotated(scored, notes)
    with pytest.raises(errors.BankError, match="empty"):
        smse.explain(scored_by_mini, 0, 0, smse.ExemplarBank.of_model(mini))
    with pytest.raises(errors.QueryError, match="Nothing is drawn"):
        bank.with_annotated(scored_by_mini, AnnotationSet())


def test_a_model_that_says_nothing_of_what_it_knows_leaves_it_open(mini, scored_by_mini, slide):
    values = smse.out_of_distribution(scored_by_mini, slide, mini)
    assert values.shape == (len(scored_by_mini),)
    assert np.isnan(values).all()


@pytest.fixture(scope="module")
def bundled():
    return smse.load_model("bundled")


def test_tiles_are_compared_with_what_the_model_knows(bundled, slide, scored, tmp_path):
    roi = box(3200, 1000, 4800, 2300)
    scores = smse.score(slide, bundled, 1.0, roi=roi, out=tmp_path / "a.zarr", device="cpu")
    forget_appearance(scores.store)
    seen = []
    values = smse.out_of_distribution(scores, slide, bundled, progress=seen.append)
    assert values.shape == (len(scores),)
    assert np.isfinite(values).all()
    assert seen[-1].done == seen[-1].total
    back = smse.read_scores(scores.path)
    assert smse.out_of_distribution(back, slide, bundled) == pytest.approx(values)
    with pytest.raises(errors.RequestError, match="scored by redness"):
        smse.out_of_distribution(scored, slide, bundled)


def test_the_bundled_models_exemplars_explain_a_slide(bundled, slide, tmp_path):
    roi = box(3200, 1000, 4800, 2300)
    bank = smse.ExemplarBank.of_model(bundled)
    assert len(bank) > 100
    scores = smse.score(slide, bundled, 1.0, roi=roi, out=tmp_path / "a.zarr", device="cpu")
    (tile,) = smse.explain(scores, 4000, 1600, bank)
    assert len(tile.evidence.nearest) == 5
