from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import BankError
from napari_smse.similarity import exemplar_classifier
from napari_smse.similarity.exemplar_classifier import (
    TEMPERATURE,
    ExemplarClassifier,
    class_prototypes,
    fitted_temperature,
)
from support.exemplar_banks import made_bank, unit

WAYS = ("prototypes", "nearest")
TILES = unit(np.random.default_rng(7).normal(size=(60, 8)) + 0.3)


def slow_distances(bank, method):
    """Distance of each tile to each class; infinite for a class without exemplars."""
    found = np.full((len(TILES), len(bank.classes)), np.inf)
    for label in range(len(bank.classes)):
        rows = np.flatnonzero(bank.labels == label)
        if not len(rows):
            continue
        if method == "nearest":
            away = [np.linalg.norm(TILES - bank.embeddings[row], axis=1) for row in rows]
            found[:, label] = np.min(away, axis=0)
        else:
            cases = sorted({bank.cases[row] for row in rows})
            means = [
                np.mean([bank.embeddings[row] for row in rows if bank.cases[row] == case], axis=0)
                for case in cases
            ]
            prototype = np.mean(means, axis=0)
            prototype = prototype / np.linalg.norm(prototype)
            found[:, label] = np.linalg.norm(TILES - prototype, axis=1)
    return found


@pytest.mark.parametrize("method", WAYS)
@given(seed=st.integers(0, 999), number=st.integers(1, 25), temperature=st.floats(0.05, 2))
def test_probabilities_are_those_of_a_slow_loop(method, seed, number, temperature):
    bank = made_bank(number, seed)
    found = ExemplarClassifier(TILES, bank, method, temperature).probability()
    weight = np.exp(-(slow_distances(bank, method) ** 2) / temperature)
    np.testing.assert_allclose(found, weight / weight.sum(axis=1, keepdims=True), atol=2e-4)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("remove"), st.lists(st.integers(0, 30), max_size=6)),
        st.tuples(st.just("add"), st.integers(0, 999), st.integers(0, 6)),
        st.tuples(st.just("relabel"), st.integers(0, 30)),
        st.tuples(st.just("replace"), st.integers(0, 999)),
    ),
    min_size=1,
    max_size=6,
)


def changed(bank, step):
    if step[0] == "remove":
        return bank.without([row for row in step[1] if row < len(bank)])
    if step[0] == "add":
        return bank.joined(made_bank(step[2], step[1], classes=("malignant", "fat")))
    if step[0] == "relabel":
        labels = bank.labels.copy()
        labels[step[1] % len(bank)] = 0
        return replace(bank, labels=labels)
    return made_bank(8, step[1])


@pytest.mark.parametrize("method", WAYS)
@given(seed=st.integers(0, 99), steps=steps, cells=st.sampled_from([1, 50, 4_000_000]))
def test_exemplars_that_come_and_go_leave_what_scoring_from_scratch_gives(
    method, seed, steps, cells
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exemplar_classifier, "_CELLS", cells)
        bank = made_bank(12, seed)
        kept = ExemplarClassifier(TILES, bank, method)
        for step in steps:
            after = changed(bank, step)
            if not len(after):
                continue
            bank = after
            kept.update(bank)
            scratch = ExemplarClassifier(TILES, bank, method)
            assert kept.classes == scratch.classes == bank.classes
            np.testing.assert_allclose(kept.probability(), scratch.probability(), atol=1e-4)


@pytest.mark.parametrize("method", WAYS)
def test_only_what_an_exemplar_touches_is_computed_again(method):
    bank = made_bank(30)
    scoring = ExemplarClassifier(TILES, bank, method)
    before = scoring.probability()
    row = int(np.flatnonzero(bank.labels == 1)[0])
    looked = []

    class Watched(np.ndarray):
        def __matmul__(self, other):
            looked.append((len(self), other.shape[-1] if other.ndim > 1 else 1))
            return np.asarray(self) @ np.asarray(other)

    part = scoring._prototypes or scoring._nearest
    part._tiles = part._tiles.view(Watched)
    scoring.update(bank)
    assert looked == []
    np.testing.assert_array_equal(scoring.probability(), before)
    scoring.update(bank.without([row]))
    products = sum(tiles * others for tiles, others in looked)
    assert 0 < products < len(TILES) * 30 if method == "nearest" else looked == [(60, 1)]


@pytest.mark.parametrize("method", WAYS)
def test_a_class_without_exemplars_gets_nothing(method):
    bank = made_bank(12)
    bank = bank.without(np.flatnonzero(bank.labels == 0))
    found = ExemplarClassifier(TILES, bank, method).probability()
    np.testing.assert_array_equal(found[:, 0], 0)
    np.testing.assert_array_equal(found[:, 1], 1)


@pytest.mark.parametrize("method", WAYS)
def test_an_empty_bank_is_refused_and_what_was_there_stays(method):
    with pytest.raises(BankError, match="no reference tile"):
        ExemplarClassifier(TILES, made_bank(0), method)
    scoring = ExemplarClassifier(TILES, made_bank(5), method)
    before = scoring.probability()
    with pytest.raises(BankError):
        scoring.update(made_bank(0))
    np.testing.assert_array_equal(scoring.probability(), before)


def test_cases_count_alike_in_a_prototype():
    bank = made_bank(5, cases=5)
    bank.labels[:] = 0
    one_case = replace(bank, cases=("a", "a", "a", "a", "b"))
    wanted = bank.embeddings[:4].mean(axis=0) + bank.embeddings[4]
    prototypes = class_prototypes(one_case)
    np.testing.assert_allclose(prototypes[0], wanted / np.linalg.norm(wanted), atol=1e-6)
    assert np.isnan(prototypes[1]).all()


@pytest.mark.parametrize("method", WAYS)
def test_the_temperature_is_the_one_that_left_out_cases_like_best(method):
    clear, mixed = made_bank(120, cases=6, spread=0.2), made_bank(120, cases=6, spread=2.0)
    sure, unsure = fitted_temperature(clear, method), fitted_temperature(mixed, method)
    assert sure < unsure
    losses = {}
    for factor in (0.3, 1.0, 3.0):
        total = 0.0
        for case in sorted(set(mixed.cases)):
            own = np.array([one == case for one in mixed.cases])
            rest, held = mixed.without(np.flatnonzero(own)), mixed.take(np.flatnonzero(own))
            scoring = ExemplarClassifier(held.embeddings, rest, method, unsure * factor)
            right = scoring.probability()[np.arange(len(held)), held.labels]
            weight = 1 / np.bincount(mixed.labels)[held.labels]
            total -= float((weight * np.log(np.maximum(right, 1e-9))).sum())
        losses[factor] = total
    assert min(losses, key=losses.get) == 1.0


@pytest.mark.parametrize("method", WAYS)
def test_a_bank_of_too_few_cases_keeps_the_usual_temperature(method):
    assert fitted_temperature(made_bank(0), method) == TEMPERATURE
    assert fitted_temperature(made_bank(20, cases=1), method) == TEMPERATURE
    one_class = made_bank(20)
    one_class.labels[:] = 0
    assert fitted_temperature(one_class, method) == TEMPERATURE


@pytest.mark.parametrize("method", WAYS)
@given(seed=st.integers(0, 300))
def test_a_temperature_is_found_whatever_the_bank(method, seed):
    rng = np.random.default_rng(seed)
    bank = made_bank(int(rng.integers(2, 20)), seed, cases=int(rng.integers(1, 5)))
    assert 0.01 <= fitted_temperature(bank, method) <= 2.0
