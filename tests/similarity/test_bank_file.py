"""Exemplar banks on disk."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from napari_smse.checksum import CHECKSUM
from napari_smse.errors import BankError, ModelNotFoundError
from napari_smse.models import read_card
from napari_smse.similarity.bank_file import (
    bank_of,
    bank_of_weights,
    load_bank,
    model_bank_path,
    save_bank,
)
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.tiles.appearance import MEASURES
from support.exemplar_banks import MODEL, made_bank, same_banks, unit


@given(
    number=st.integers(0, 9),
    seed=st.integers(0, 99),
    pictures=st.booleans(),
    appearances=st.booleans(),
)
def test_what_is_saved_is_loaded(tmp_path_factory, number, seed, pictures, appearances):
    bank = made_bank(number, seed, pictures=pictures, appearances=appearances)
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    save_bank(bank, path)
    found = load_bank(path)
    assert same_banks(found, bank)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-6)


@given(name=st.text(max_size=20), licence=st.text(max_size=40))
def test_names_of_any_letters_survive(tmp_path_factory, name, licence):
    bank = ExemplarBank(
        unit([[1, 2]]), np.zeros(1, np.int64), np.ones(1, np.float32), (name,), (name,), (name,),
        MODEL, (name,), licence=licence,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    save_bank(bank, path)
    assert same_banks(load_bank(path), bank)


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
    del told[CHECKSUM]
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
    with pytest.raises(BankError, match=r"mine\.exemplars.*get the model again"):
        bank_of(tmp_path / "mine.safetensors")


def test_only_those_of_the_very_weights_are_a_models(tmp_path):
    weights = tmp_path / "model.v2.safetensors"
    assert bank_of_weights(weights, MODEL) is None
    path = model_bank_path(weights)
    assert path.name == "model.v2.exemplars.safetensors"
    save_bank(made_bank(5), path)
    assert len(bank_of_weights(weights, MODEL)) == 5
    assert bank_of_weights(weights, "b" * 64) is None


def test_a_file_of_embeddings_alone_is_a_bank(tmp_path):
    """As models were written before banks knew of slides, pictures and looks."""
    bank, path = made_bank(5).embeddings_only(), tmp_path / "mine.exemplars.safetensors"
    tensors = {
        "embeddings": bank.embeddings.astype(np.float16),
        "labels": bank.labels,
        "mpps": bank.mpps,
    }
    facts = {name: json.dumps(getattr(bank, name)) for name in ("classes", "cases", "sources")}
    save_file(tensors, path, metadata=facts | {"model": json.dumps(MODEL)})
    assert same_banks(load_bank(path), bank)
    save_bank(bank, path)
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) >= set(tensors)
        assert file.metadata().items() >= (facts | {"model": json.dumps(MODEL)}).items()
