import re
from dataclasses import replace

import numpy as np
import pytest

from napari_smse.metrics.estimate import Estimate
from napari_smse.similarity.evidence import Evidence, Neighbour, TileEvidence
from napari_smse.widgets.evidence.messages import (
    describe_disagreement,
    describe_out_of_distribution,
    describe_own,
    describe_sample,
    describe_vote,
)
from napari_smse.workflows.evidence import describe_bank
from support.exemplar_banks import made_bank


def evidence(*classes, away=0.42):
    near = tuple(Neighbour(n, name, "c", "s", 0.5, away) for n, name in enumerate(classes))
    number = max(1, len(classes))
    shares = {name: classes.count(name) / number for name in ("benign", "malignant")}
    return Evidence(near, shares)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ((), "There is no reference tile to compare with."),
        (("malignant",), "The most similar reference tile is malignant, 0.42 away."),
        (
            ("malignant",) * 3,
            "All 3 most similar reference tiles are malignant; the nearest is 0.42 away.",
        ),
        (
            ("malignant", "benign", "malignant", "malignant", "malignant"),
            "4 of the 5 most similar reference tiles are malignant; the nearest is 0.42 away.",
        ),
    ],
)
def test_the_vote_is_a_sentence(classes, told):
    assert describe_vote(evidence(*classes)) == told


def test_a_minority_that_wins_is_explained():
    near = evidence("malignant", "benign", "benign").nearest
    told = describe_vote(Evidence(near, {"benign": 0.4, "malignant": 0.6}))
    assert told.startswith("1 of the 3 most similar reference tiles is malignant, and nearer than")


def test_a_class_head_that_says_otherwise_is_named():
    message = {"benign": 0.71, "malignant": 0.29}
    one = TileEvidence(0, 0.5, message, evidence("malignant", "malignant"))
    assert "benign 0.71" in describe_disagreement(one)
    assert describe_disagreement(TileEvidence(0, 0.5, message, evidence("benign"))) == ""
    assert describe_disagreement(TileEvidence(0, 0.5, message, evidence())) == ""


def test_how_little_five_tiles_tell_is_said():
    told = describe_sample(evidence("malignant", "benign", *["malignant"] * 3))
    assert told.startswith("4 of n = 5, of 1 case: of tiles like these, ")
    low, high = (int(part) for part in re.findall(r"(\d+) %", told)[:2])
    # One case is one independent tile, whatever the number of its tiles.
    assert low < 38
    assert high > 96
    assert describe_sample(evidence()) == ""


def test_a_tile_that_is_a_reference_tile_is_told():
    assert describe_own(evidence("malignant")) == ""
    own = replace(evidence("malignant"), own=("benign",))
    assert "is a reference tile (benign), which was left out" in describe_own(own)


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.62, "62 % of the tissue"), (0.0, "0 %"), (0.001, "Less than 1 %"), (1.0, "100 %")],
)
def test_the_banner_says_how_much_of_how_many(share, told):
    found = Estimate(share, share * 0.9, min(1.0, share + 0.1), n=1412)
    message = describe_out_of_distribution(found, scale="20x")
    assert message.startswith(told)
    assert "is unlike anything this model was trained on (95 % interval " in message
    assert message.endswith("; n = 1,412 tiles at 20x).")
    assert "was trained on, or that was added (" in describe_out_of_distribution(found, added=True)


def test_the_banner_says_that_nothing_was_compared():
    assert describe_out_of_distribution(Estimate(None)).startswith("No tile could be compared")


def test_a_bank_is_counted_by_class():
    bank = made_bank(30)
    benign = int(np.sum(bank.labels == 0))
    assert describe_bank(bank) == f"benign {benign}, malignant {30 - benign}"
    assert describe_bank(made_bank(0)) == "no reference tile"
