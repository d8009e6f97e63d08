from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import BankError
from napari_smse.models import read_card
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, empty_bank
from napari_smse.slides import Region
from support.exemplar_banks import CLASSES, MODEL, made_bank, same_banks


def test_a_bank_says_what_its_exemplars_are():
    bank = made_bank(6, pictures=True)
    bank.thumbnails[3] = 0
    assert bank.class_name(2) == CLASSES[bank.labels[2]]
    assert bank.region(0) == Region(*bank.places[0].tolist())
    assert bank.region(1) is None
    assert bank.thumbnail(0).shape == (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    assert bank.thumbnail(3) is None
    assert made_bank(6).thumbnail(0) is None


def test_a_bank_of_another_model_is_refused_naming_both():
    bank = made_bank(3)
    bank.require_model(MODEL, "mine")
    with pytest.raises(BankError, match=r"aaaaaaaaaaaa.*mine \(bbbbbbbbbbbb\)"):
        bank.require_model("b" * 64, "mine")
    with pytest.raises(BankError):
        bank.joined(empty_bank(read_card()))


@given(first=st.integers(0, 6), second=st.integers(0, 6), pictures=st.booleans())
def test_joining_keeps_every_exemplar_as_it_was(first, second, pictures):
    one = made_bank(first, 1, pictures=pictures, appearances=pictures)
    other = made_bank(second, 2, classes=("malignant", "fat"))
    both = one.joined(other)
    assert both.classes == ("benign", "malignant", "fat")
    assert len(both) == first + second
    for row in range(first):
        assert both.class_name(row) == one.class_name(row)
    for row in range(second):
        assert both.class_name(first + row) == other.class_name(row)
        assert both.thumbnail(first + row) is None
    assert same_banks(both.take(range(first)), one.joined(other.take([])))


def test_licences_travel_along_once():
    bank = made_bank(2, pictures=True)
    assert bank.joined(bank).licence == bank.licence == "CC BY 4.0"


@given(rows=st.lists(st.integers(0, 6), max_size=9))
def test_removing_keeps_the_others_in_order(rows):
    bank = made_bank(7, pictures=True)
    kept = [row for row in range(7) if row not in rows]
    left = bank.without(rows)
    assert same_banks(left, bank.take(kept))
    assert left.cases == tuple(bank.cases[row] for row in kept)


def test_an_empty_bank_is_of_its_model():
    card = read_card()
    bank = empty_bank(card)
    assert len(bank) == 0
    assert bank.model == card.weights_sha256
    assert bank.embeddings.shape == (0, card.embedding_dim)


def test_a_slide_is_of_one_case_the_one_that_was_stated_last():
    bank = made_bank(12)
    row = bank.slides.index("slide 2")
    restated = replace(bank.take([row]), cases=("its new name",))
    joined = bank.joined(restated)
    named = zip(joined.slides, joined.cases, strict=True)
    assert {slide for slide, case in named if case == "its new name"} == {"slide 2"}
    assert joined.cases.count("its new name") == joined.slides.count("slide 2") > 2
    other = replace(restated, slides=("another slide",))
    assert bank.joined(other).cases[-1] == "its new name"
    own = replace(restated, slides=("",))
    assert bank.joined(own).cases[-1] == "its new name"


def test_exemplars_are_counted_by_class():
    bank = made_bank(30, classes=("benign", "malignant", "fat"))
    counts = bank.counts()
    assert list(counts) == list(bank.classes)
    assert sum(counts.values()) == 30
    assert counts["fat"] == sum(bank.class_name(row) == "fat" for row in range(30))
    assert bank.take([]).counts() == dict.fromkeys(bank.classes, 0)


def test_embeddings_only_tell_nothing_of_slides():
    bank = made_bank(6, pictures=True, appearances=True)
    bare = bank.embeddings_only()
    np.testing.assert_array_equal(bare.embeddings, bank.embeddings)
    assert (bare.cases, bare.sources, bare.model) == (bank.cases, bank.sources, bank.model)
    assert bare.thumbnails is None
    assert bare.licence == ""
    assert not any(bare.slides)
    assert not any(bare.drawn)
    assert np.isnan(bare.appearances).all()
    assert bare.region(0) is None
