import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from napari_smse.errors import BankError, ModelNotFoundError
from napari_smse.models import read_card
from napari_smse.similarity.exemplar_bank import (
    THUMBNAIL_PX,
    ExemplarBank,
    bank_of,
    empty_bank,
    load_bank,
    save_bank,
)
from napari_smse.similarity.ood.appearance import MEASURES
from napari_smse.slides import Region
from support.exemplar_banks import CLASSES, MODEL, made_bank, unit

COLUMNS = ("labels", "mpps", "places", "looks")
FACTS = ("classes", "cases", "sources", "model", "slides", "licence", "drawn")


def same(one, other):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in FACTS:
        assert getattr(one, name) == getattr(other, name)
    assert (one.thumbnails is None) == (other.thumbnails is None)
    if one.thumbnails is not None:
        np.testing.assert_array_equal(one.thumbnails, other.thumbnails)
    # Stored in float16.
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-3)
    return True


@given(
    number=st.integers(0, 9),
    seed=st.integers(0, 99),
    pictures=st.booleans(),
    looks=st.booleans(),
)
def test_what_is_saved_is_loaded(tmp_path_factory, number, seed, pictures, looks):
    bank = made_bank(number, seed, pictures=pictures, looks=looks)
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    save_bank(bank, path)
    found = load_bank(path)
    assert same(found, bank)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-6)


@given(name=st.text(max_size=20), licence=st.text(max_size=40))
def test_names_of_any_letters_survive(tmp_path_factory, name, licence):
    bank = ExemplarBank(
        unit([[1, 2]]), np.zeros(1, np.int64), np.ones(1, np.float32), (name,), (name,), (name,),
        MODEL, (name,), licence=licence,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    save_bank(bank, path)
    assert same(load_bank(path), bank)


def test_a_bank_says_what_its_exemplars_are():
    bank = made_bank(6, pictures=True)
    bank.thumbnails[3] = 0
    assert bank.class_name(2) == CLASSES[bank.labels[2]]
    assert bank.region(0) == Region(*bank.places[0].tolist())
    assert bank.region(1) is None
    assert bank.thumbnail(0).shape == (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    assert bank.thumbnail(3) is None
    assert made_bank(6).thumbnail(0) is None


@given(share=st.floats(0, 0.999))
def test_a_file_that_is_cut_off_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    save_bank(made_bank(5), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BankError, match=r"bank.safetensors holds no exemplars"):
        load_bank(path)


def rewritten(path, tensors=(), facts=()):
    """Save a bank and then again with other tensors and facts; None takes one away."""
    save_bank(made_bank(5, pictures=True), path)
    with safe_open(path, framework="numpy") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = file.metadata()
    held |= dict(tensors)
    told |= dict(facts)
    save_file(
        {name: np.ascontiguousarray(one) for name, one in held.items() if one is not None},
        path,
        metadata={name: one for name, one in told.items() if one is not None},
    )


@pytest.mark.parametrize(
    "tensors",
    [
        {"labels": np.array([0, 1, 0, 1, 2])},
        {"labels": np.array([0, 1, 0, 1, -1])},
        {"labels": np.array([0, 1])},
        {"labels": np.zeros((5, 1), np.int64)},
        {"mpps": np.ones(4, np.float32)},
        {"mpps": np.zeros(5, np.float32)},
        {"mpps": np.full(5, np.nan, np.float32)},
        {"embeddings": np.ones((4, 8), np.float16)},
        {"places": np.zeros((5, 3), np.int32)},
        {"thumbnails": np.zeros((5, 3, 3, 3), np.uint8)},
        {"thumbnails": np.zeros((4, THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)},
        {"looks": np.zeros((4, len(MEASURES)), np.float32)},
        {"looks": np.zeros((5, len(MEASURES) + 1), np.float32)},
    ],
)
def test_columns_that_do_not_fit_together_are_refused(tmp_path, tensors):
    rewritten(tmp_path / "bank.safetensors", tensors)
    with pytest.raises(BankError, match="is damaged"):
        load_bank(tmp_path / "bank.safetensors")


@pytest.mark.parametrize(
    ("tensors", "facts"),
    [
        ({"embeddings": None}, {}),
        ({"embeddings": np.ones(5, np.float16)}, {}),
        ({"embeddings": np.full((5, 8), np.nan, np.float16)}, {}),
        ({}, {"classes": None}),
        ({}, {"classes": "["}),
        ({}, {"cases": "5"}),
    ],
)
def test_a_file_without_exemplars_is_refused(tmp_path, tensors, facts):
    rewritten(tmp_path / "bank.safetensors", tensors, facts)
    with pytest.raises(BankError, match="holds no exemplars"):
        load_bank(tmp_path / "bank.safetensors")


def test_what_is_no_bank_is_refused(tmp_path):
    with pytest.raises(BankError, match="nowhere"):
        load_bank(tmp_path / "nowhere")
    with pytest.raises(BankError):
        load_bank(tmp_path)
    (tmp_path / "text").write_text(json.dumps({"classes": []}))
    with pytest.raises(BankError, match="choose a file that was saved as a bank"):
        load_bank(tmp_path / "text")


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(BankError, match=r"cannot be written"):
        save_bank(made_bank(3), tmp_path / "missing" / "bank.safetensors")
    save_bank(made_bank(3), tmp_path / "bank.safetensors")
    save_bank(made_bank(4), tmp_path / "bank.safetensors")
    assert len(load_bank(tmp_path / "bank.safetensors")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["bank.safetensors"]


def test_a_bank_of_another_model_is_refused_naming_both():
    bank = made_bank(3)
    bank.require_model(MODEL, "mine")
    with pytest.raises(BankError, match=r"aaaaaaaaaaaa.*mine \(bbbbbbbbbbbb\)"):
        bank.require_model("b" * 64, "mine")
    with pytest.raises(BankError):
        bank.joined(empty_bank(read_card()))


@given(first=st.integers(0, 6), second=st.integers(0, 6), pictures=st.booleans())
def test_joining_keeps_every_exemplar_as_it_was(first, second, pictures):
    one = made_bank(first, 1, pictures=pictures, looks=pictures)
    other = made_bank(second, 2, classes=("malignant", "fat"))
    both = one.joined(other)
    assert both.classes == ("benign", "malignant", "fat")
    assert len(both) == first + second
    for row in range(first):
        assert both.class_name(row) == one.class_name(row)
    for row in range(second):
        assert both.class_name(first + row) == other.class_name(row)
        assert both.thumbnail(first + row) is None
    assert same(both.take(range(first)), one.joined(other.take([])))


def test_licences_travel_along_once():
    bank = made_bank(2, pictures=True)
    assert bank.joined(bank).licence == bank.licence == "CC BY 4.0"


@given(rows=st.lists(st.integers(0, 6), max_size=9))
def test_removing_keeps_the_others_in_order(rows):
    bank = made_bank(7, pictures=True)
    kept = [row for row in range(7) if row not in rows]
    left = bank.without(rows)
    assert same(left, bank.take(kept))
    assert left.cases == tuple(bank.cases[row] for row in kept)


def test_the_bundled_model_brings_its_bank():
    card, bank = read_card(), bank_of("bundled")
    bank.require_model(card.weights_sha256, card.name)
    assert len(bank) > 100
    assert set(bank.classes) == set(card.classes)
    assert bank.embeddings.shape[1] == card.embedding_dim
    assert set(bank.slides) == {""}
    assert bank.thumbnails is None


def test_a_model_without_exemplars_has_no_bank(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"")
    assert bank_of(tmp_path / "mine.safetensors") is None
    with pytest.raises(ModelNotFoundError):
        bank_of(tmp_path / "other.safetensors")
    (tmp_path / "mine.exemplars.safetensors").write_bytes(b"nothing")
    with pytest.raises(BankError, match=r"mine\.exemplars"):
        bank_of(tmp_path / "mine.safetensors")


def test_an_empty_bank_is_of_its_model():
    card = read_card()
    bank = empty_bank(card)
    assert len(bank) == 0
    assert bank.model == card.weights_sha256
    assert bank.embeddings.shape == (0, card.embedding_dim)


def test_a_slide_with_another_name_by_now_stays_one_case():
    bank = made_bank(6)
    row = bank.slides.index("slide 2")
    renamed = replace(bank.take([row]), cases=("its new name",))
    assert bank.joined(renamed).cases[-1] == bank.cases[row]
    other = replace(renamed, slides=("another slide",))
    assert bank.joined(other).cases[-1] == "its new name"
    own = replace(renamed, slides=("",))
    assert bank.joined(own).cases[-1] == "its new name"
