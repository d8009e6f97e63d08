"""What of a bank can be learnt from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from made_banks import CLASSES, MODEL, made_bank
from mini_training import mini_model
from napari_smse.errors import BankError
from napari_smse.learning.annotated_tiles import AnnotatedSlide
from napari_smse.widgets.bank_tiles import added_to, drawn_and_known


@pytest.fixture
def model(tmp_path):
    made = mini_model(tmp_path / "models")
    card = made.card.model_copy(update={"weights_sha256": MODEL})
    return SimpleNamespace(network=made.network, card=card, path=made.path)


def bare(quick_hash, path):
    slide = SimpleNamespace(quick_hash=quick_hash, name="open", path=path, mpp=0.25)
    return AnnotatedSlide(slide, {}, None, None, "open")


def test_what_a_model_brings_is_not_what_was_added():
    bank = made_bank(9)
    added = added_to(bank)
    assert len(added) == 5
    assert all(added.slides)
    assert len(added_to(bank.without(np.flatnonzero(bank.slides).tolist()))) == 0


def test_tiles_of_an_open_slide_are_that_slides(model):
    bank = added_to(made_bank(12, dim=4))
    found = drawn_and_known([bare("slide 0", Path("x.svs"))], CLASSES, (), bank, model)
    images = found.labelled_set.images
    assert len(images) == len(bank)
    assert {str(one.path) for one in images} == {"x.svs", "slide 1", "slide 2"}
    opened = [one for one in images if one.path == Path("x.svs")]
    assert {one.case for one in opened} == {"annotations open"}
    assert {one.mpp for one in opened} == {0.25}
    assert [CLASSES[one.label] for one in images] == [bank.class_name(r) for r in range(len(bank))]


def test_a_bank_of_another_model_is_refused(model):
    model.card = model.card.model_copy(update={"weights_sha256": "b" * 64})
    with pytest.raises(BankError, match=r"aaaaaaaaaaaa.*mini \(bbbbbbbbbbbb\)"):
        drawn_and_known([], CLASSES, (), added_to(made_bank(4, dim=4)), model)
