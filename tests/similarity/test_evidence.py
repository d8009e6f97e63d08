from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.similarity.evidence import evidence_at, evidence_of, of_similar_scale
from support.exemplar_banks import CLASSES, made_bank, made_scale, made_tiles, unit


def on_no_slide(bank):
    """A bank of which no two tiles show the same place."""
    return replace(bank, slides=("",) * len(bank))


@given(seed=st.integers(0, 999), number=st.integers(1, 30), k=st.integers(1, 12))
def test_the_vote_is_that_of_a_slow_loop(seed, number, k):
    bank = on_no_slide(made_bank(number, seed))
    tile = unit(np.random.default_rng(seed + 1).normal(size=(1, 8)))[0]
    found = evidence_of(tile, bank, k)
    away = np.linalg.norm(bank.embeddings - tile, axis=1)
    nearest = np.argsort(away)[:k]
    assert len(found.nearest) == min(k, number)
    np.testing.assert_allclose([one.distance for one in found.nearest], away[nearest], atol=2e-3)
    weights = {name: 0.0 for name in CLASSES}
    for row in nearest:
        weights[bank.class_name(row)] += 1 / max(away[row], 0.01)
    for name in CLASSES:
        assert found.shares[name] == pytest.approx(weights[name] / sum(weights.values()), abs=0.02)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert sum(found.count(name) for name in CLASSES) == len(found.nearest)


def test_an_exemplar_is_told_as_the_bank_holds_it():
    bank = made_bank(9)
    found = evidence_of(bank.embeddings[4], bank, 1)
    (one,) = found.nearest
    assert (one.row, one.case, one.source) == (4, bank.cases[4], bank.sources[4])
    assert one.class_name == found.called == bank.class_name(4)
    assert one.mpp == bank.mpps[4]
    assert found.distance == pytest.approx(0, abs=1e-3)
    assert found.shares[found.called] == 1


def test_a_near_one_outweighs_two_that_are_far():
    bank = made_bank(3)
    away = unit([[1, 0.1], [1, 2], [1, -2]])
    bank.embeddings[:] = 0
    bank.embeddings[:, :2] = away
    bank.labels[:] = [1, 0, 0]
    found = evidence_of(np.eye(8)[0], bank, 3)
    assert found.called == "malignant"
    assert found.count("malignant") == 1


def test_without_exemplars_there_is_no_vote():
    found = evidence_of(np.eye(8)[0], made_bank(0), 5)
    assert found.nearest == ()
    assert found.called == ""
    assert found.distance == float("inf")
    assert set(found.shares.values()) == {0.0}


def test_only_exemplars_of_a_similar_scale_on_request():
    bank = on_no_slide(made_bank(40))
    assert set(bank.mpps) == {0.25, 0.5, 1.0}
    found = evidence_of(bank.embeddings[0], bank, 40, mpp=0.4)
    assert {one.mpp for one in found.nearest} == {0.5}
    assert len(found.nearest) == (bank.mpps == 0.5).sum()
    assert all(bank.mpps[one.row] == one.mpp for one in found.nearest)
    assert len(evidence_of(bank.embeddings[0], bank, 40).nearest) == 40
    assert not evidence_of(bank.embeddings[0], bank, 40, mpp=8.0).nearest
    assert len(of_similar_scale(bank, 0.75)) == (bank.mpps != 0.25).sum()


def test_every_scale_at_a_point_has_its_own_evidence():
    scales = (made_scale(0.5, [0, 1], [0, 0]), made_scale(1.0, [0], [0]))
    bank = made_bank(20)
    probability = [[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]
    tiles = made_tiles(scales, probability, bank.embeddings[[3, 5, 7]])
    fine, coarse = evidence_at(tiles, bank, 70, 10, 2)
    assert (fine.row, coarse.row) == (1, 2)
    assert (fine.mpp, coarse.mpp) == (0.5, 1.0)
    assert fine.probability["malignant"] == pytest.approx(0.8)
    assert coarse.probability["malignant"] == pytest.approx(0.3)
    assert fine.evidence.nearest[0].row == 5
    assert coarse.evidence.nearest[0].row == 7
    alike = evidence_at(tiles, bank, 70, 10, 20, similar_scale=True)
    assert {one.mpp for one in alike[0].evidence.nearest} == {0.5}
    assert {one.mpp for one in alike[1].evidence.nearest} == {1.0}
    assert evidence_at(tiles, bank, 600, 600) == []
