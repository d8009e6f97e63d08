import numpy as np
import pytest

from napari_smse.similarity.evidence import Evidence, KnownTile, TileEvidence
from napari_smse.widgets.evidence.messages import (
    tell_bank,
    tell_disagreement,
    tell_unknown,
    tell_unlike,
    tell_vote,
)
from support.exemplar_banks import made_bank


def evidence(*classes, away=0.42):
    near = tuple(KnownTile(n, name, "c", "s", 0.5, away) for n, name in enumerate(classes))
    number = max(1, len(classes))
    shares = {name: classes.count(name) / number for name in ("benign", "malignant")}
    return Evidence(near, shares)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ((), "There is no known tile to compare with."),
        (("malignant",), "The most similar known tile is malignant, 0.42 away."),
        (
            ("malignant",) * 3,
            "All 3 most similar known tiles are malignant; the nearest is 0.42 away.",
        ),
        (
            ("malignant", "benign", "malignant", "malignant", "malignant"),
            "4 of the 5 most similar known tiles are malignant; the nearest is 0.42 away.",
        ),
    ],
)
def test_the_vote_is_a_sentence(classes, told):
    assert tell_vote(evidence(*classes)) == told


def test_a_minority_that_wins_is_explained():
    near = evidence("malignant", "benign", "benign").nearest
    told = tell_vote(Evidence(near, {"benign": 0.4, "malignant": 0.6}))
    assert told.startswith("1 of the 3 most similar known tiles is malignant, and nearer than")


def test_a_class_head_that_says_otherwise_is_named():
    said = {"benign": 0.71, "malignant": 0.29}
    one = TileEvidence(0, 0.5, said, evidence("malignant", "malignant"))
    assert "benign 0.71" in tell_disagreement(one)
    assert tell_disagreement(TileEvidence(0, 0.5, said, evidence("benign"))) == ""
    assert tell_disagreement(TileEvidence(0, 0.5, said, evidence())) == ""


def test_what_is_unlike_anything_is_said():
    assert "unlike" in tell_unlike(1.01)
    assert tell_unlike(1.0) == "This tile looks like tiles that are known."
    assert tell_unlike(None) == tell_unlike(float("nan")) == ""


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.62, "62 % of the tissue"), (0.0, "0 %"), (0.001, "Less than 1 %"), (1.0, "100 %")],
)
def test_the_banner_says_how_much(share, told):
    said = tell_unknown(share)
    assert said.startswith(told)
    assert said.endswith("is unlike anything this model was trained on.")
    assert tell_unknown(share, added=True).endswith("was trained on, or that was added.")


def test_a_bank_is_counted_by_class():
    bank = made_bank(30)
    benign = int(np.sum(bank.labels == 0))
    assert tell_bank(bank) == f"benign {benign}, malignant {30 - benign}"
    assert tell_bank(made_bank(0)) == "no known tile"
