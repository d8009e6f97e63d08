"""A tile that is a reference tile itself is no evidence for itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_smse.similarity.evidence import evidence_at, evidence_of
from napari_smse.similarity.exemplar_classifier import class_prototypes
from napari_smse.similarity.leave_one_out import (
    own_exemplars,
    similar_without_own,
    tiles_with_own,
)
from napari_smse.slides import Region
from support.exemplar_banks import made_bank, made_scale, made_tiles, unit

SLIDE = "the slide"
FINE = made_scale(0.5, [0, 1, 2, 3], [0, 0, 0, 0])
COARSE = made_scale(1.0, [0], [0])


def added(tiles, rows, *, others=30, slide=SLIDE):
    """A bank of others, and then of tiles of the slide, which are malignant."""
    bank = made_bank(others + len(rows))
    slides = ("",) * others + (slide,) * len(rows)
    places, embeddings = bank.places.copy(), bank.embeddings.copy()
    places[others:], embeddings[others:] = tiles.places[rows], tiles.embeddings[rows]
    labels = bank.labels.copy()
    labels[others:] = 1
    return replace(bank, slides=slides, places=places, embeddings=embeddings, labels=labels)


@pytest.fixture
def tiles():
    return made_tiles([FINE, COARSE], np.full((5, 2), 0.5))


def test_what_shows_the_tissue_of_a_tile_is_found(tiles) -> None:
    bank = added(tiles, [0, 1, 4])
    # The coarse tile lies over the first two of the fine ones.
    assert own_exemplars(bank, SLIDE, tiles.region(0)).tolist() == [30, 32]
    assert own_exemplars(bank, SLIDE, tiles.region(3)).tolist() == []
    assert own_exemplars(bank, SLIDE, tiles.region(4)).tolist() == [30, 31, 32]
    assert own_exemplars(bank, "another", tiles.region(0)).tolist() == []
    assert own_exemplars(bank, "", tiles.region(0)).tolist() == []


def test_tiles_with_own_are_those_one_by_one(tiles) -> None:
    bank = added(tiles, [0, 2])
    found = tiles_with_own(bank, SLIDE, tiles.places)
    one_by_one = {row: own_exemplars(bank, SLIDE, tiles.region(row)) for row in range(len(tiles))}
    assert sorted(found) == [row for row, own in one_by_one.items() if len(own)]
    for row, own in found.items():
        np.testing.assert_array_equal(own, one_by_one[row])


def test_a_tile_is_not_its_own_neighbour(tiles) -> None:
    bank = added(tiles, [0])
    assert evidence_at(tiles, bank, 10, 10, 3)[0].evidence.distance == pytest.approx(0, abs=1e-3)
    found = evidence_at(tiles, bank, 10, 10, 3, slide=SLIDE)[0].evidence
    assert found.own == ("malignant",)
    assert found.distance > 0.01
    assert 30 not in [neighbour.row for neighbour in found.nearest]
    without = evidence_of(tiles.embeddings[0], bank.without([30]), 3)
    assert [one.row for one in found.nearest] == [one.row for one in without.nearest]
    # Another tile may still be compared with it.
    assert evidence_at(tiles, bank, 200, 10, 3, slide=SLIDE)[0].evidence.own == ()


def test_two_scales_of_a_place_have_one_vote(tiles) -> None:
    bank = added(tiles, [0, 4])
    same = np.concatenate([bank.embeddings[:30], tiles.embeddings[[0, 0]]])
    found = evidence_of(tiles.embeddings[0], replace(bank, embeddings=same), 5)
    assert len(found.nearest) == 5
    assert sum(neighbour.row >= 30 for neighbour in found.nearest) == 1


@pytest.mark.parametrize("method", ["nearest", "prototypes"])
def test_classes_are_as_if_the_own_exemplars_were_not_there(method) -> None:
    rng = np.random.default_rng(2)
    embeddings = unit(rng.normal(size=(6, 8)))
    bank = made_bank(40)
    own = {4: np.array([3]), 1: np.array([0, 7, 12]), 2: np.flatnonzero(bank.labels == 1)}
    found = similar_without_own(embeddings, bank, own, method)
    for number, (tile, rows) in enumerate(own.items()):
        rest = bank.without(rows.tolist())
        if method == "prototypes":
            wanted = embeddings[tile] @ class_prototypes(rest).T
        else:
            wanted = [
                (rest.embeddings[rest.labels == label] @ embeddings[tile]).max(initial=-np.inf)
                for label in (0, 1)
            ]
        wanted = np.where(np.isnan(wanted), -np.inf, wanted)
        np.testing.assert_allclose(found[number], wanted, atol=1e-5)


def test_a_region_of_no_slide_is_nobodys_own() -> None:
    assert own_exemplars(made_bank(4), "no such slide", Region(0, 0, 9, 9)).tolist() == []
