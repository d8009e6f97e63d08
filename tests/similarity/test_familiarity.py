"""One statement from appearance and distance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_smse.similarity.bank_file import bank_of
from napari_smse.similarity.familiarity import familiarity, near_limit
from support.exemplar_banks import made_bank


@pytest.mark.parametrize(
    ("appearance", "distance", "verdict", "begins"),
    [
        (0.7, 0.4, "known", "Known: "),
        (0.7, 1.17, "unfamiliar", "Unfamiliar: "),
        (1.3, 0.4, "out of distribution", "Out of distribution: "),
        (1.3, 1.17, "out of distribution", "Out of distribution: "),
    ],
)
def test_the_four_combinations(appearance, distance, verdict, begins) -> None:
    found = familiarity(appearance, distance, 0.8)
    assert found.verdict == verdict
    assert found.sentence.startswith(begins)
    # Both figures stand behind it, whatever it says.
    assert f"{appearance:.2f}" in found.measured
    assert f"{distance:.2f}" in found.measured
    assert "0.80" in found.measured


def test_only_what_is_known_may_be_relied_on() -> None:
    said = {
        (looks, near): familiarity(looks, near, 0.8).sentence
        for looks in (0.7, 1.3, None)
        for near in (0.4, 1.17)
    }
    for (looks, near), sentence in said.items():
        if looks is not None:
            assert ("o not rely" not in sentence) == (looks <= 1 and near <= 0.8)
    assert len(set(said.values())) == len(said)


@pytest.mark.parametrize("appearance", [None, float("nan")])
def test_what_is_not_measured_is_not_claimed(appearance) -> None:
    near, far = (familiarity(appearance, distance, 0.8) for distance in (0.4, 1.2))
    assert (near.verdict, far.verdict) == ("untold", "unfamiliar")
    assert "not measured" in near.sentence
    assert "not measured" in near.measured
    nothing = familiarity(appearance, float("inf"), None)
    assert (nothing.verdict, nothing.sentence) == ("untold", "")


def test_without_reference_tiles_appearance_alone_tells() -> None:
    assert familiarity(0.7, float("inf"), None).verdict == "known"
    assert familiarity(1.7, float("inf"), 0.8).verdict == "out of distribution"
    assert "too few" in familiarity(0.7, 0.4, None).measured


def test_the_limit_is_what_a_slow_loop_finds() -> None:
    bank = made_bank(60)
    apart = []
    for row in range(60):
        others = [other for other in range(60) if bank.cases[other] != bank.cases[row]]
        apart.append(np.linalg.norm(bank.embeddings[others] - bank.embeddings[row], axis=1).min())
    assert near_limit(bank) == pytest.approx(np.percentile(apart, 95), abs=1e-4)


def test_few_exemplars_or_one_case_tell_no_limit() -> None:
    assert near_limit(made_bank(19)) is None
    assert near_limit(made_bank(0)) is None
    assert near_limit(replace(made_bank(60), cases=("one",) * 60)) is None


def test_the_bundled_bank_calls_most_of_its_own_near() -> None:
    bank = bank_of("bundled")
    limit = near_limit(bank)
    assert limit is not None
    assert 0.05 < limit < 1.4
