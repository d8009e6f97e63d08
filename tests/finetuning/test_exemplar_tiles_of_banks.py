"""What of a bank can be learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_smse.errors import BankError
from napari_smse.finetuning.exemplar_tiles import exemplar_tiles_of
from support.exemplar_banks import MODEL, made_bank
from support.training import mini_model


@pytest.fixture
def model(tmp_path):
    made = mini_model(tmp_path / "models")
    card = made.card.model_copy(update={"weights_sha256": MODEL})
    return SimpleNamespace(network=made.network, card=card, path=made.path)


def test_what_a_model_brings_is_not_what_was_added():
    bank = made_bank(9)
    added = bank.on_slides()
    assert len(added) == 5
    assert all(added.slides)
    assert len(bank.without(np.flatnonzero(bank.slides).tolist()).on_slides()) == 0


def test_tiles_of_an_open_slide_are_that_slides(model):
    bank = made_bank(12, dim=4, appearances=True).on_slides()
    slide = SimpleNamespace(quick_hash="slide 0", name="open", path=Path("x.svs"), mpp=0.25)
    found = exemplar_tiles_of(bank, [slide], model)
    assert [one.class_name for one in found] == [bank.class_name(row) for row in range(len(bank))]
    assert [one.region for one in found] == [bank.region(row) for row in range(len(bank))]
    assert [one.drawn for one in found] == list(bank.drawn)
    assert {str(one.path) for one in found} == {"x.svs", "slide 1", "slide 2"}
    opened = [one for one in found if one.slide == "slide 0"]
    assert {one.slide_mpp for one in opened} == {0.25}
    assert {one.case for one in opened} == {bank.cases[list(bank.slides).index("slide 0")]}
    np.testing.assert_array_equal(np.stack([one.appearance for one in found]), bank.appearances)


def test_a_slide_that_was_renamed_is_one_case(model):
    """A bank of an earlier version, in which the name of a slide is its case."""
    bank = made_bank(12, dim=4).on_slides()
    names = tuple(f"name {row}" for row in range(len(bank)))
    found = exemplar_tiles_of(replace(bank, sources=names, cases=names), [], model)
    assert len({one.slide for one in found}) == len({one.case for one in found}) == 3


def test_a_name_that_an_older_bank_took_for_a_case_is_one_of_its_slides(model):
    bank = made_bank(6, dim=4).on_slides()
    names = tuple(f"S19-1234_{slide[-1]}" for slide in bank.slides)
    found = exemplar_tiles_of(replace(bank, sources=names, cases=names), [], model)
    assert {one.case for one in found} == {"S19-1234"}
    stated = exemplar_tiles_of(replace(bank, sources=names, cases=bank.slides), [], model)
    assert {one.case for one in stated} == set(bank.slides)


def test_logits_are_what_the_class_head_says(model):
    bank = made_bank(4, dim=4).on_slides()
    for one in exemplar_tiles_of(bank, [], model):
        with torch.inference_mode():
            torch.testing.assert_close(one.logits, model.network.class_head(one.embedding))


def test_a_bank_of_another_model_is_refused(model):
    model.card = model.card.model_copy(update={"weights_sha256": "b" * 64})
    with pytest.raises(BankError, match=r"aaaaaaaaaaaa.*mini \(bbbbbbbbbbbb\)"):
        exemplar_tiles_of(made_bank(4, dim=4).on_slides(), [], model)
