"""Each laboratory is judged by a network that saw none of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet, Source
from napari_smse.training.prediction import Predictor
from research.bundled import kept_predictions, laboratories, unseen_laboratory
from support.training import SMALL, two_sources

NAMES = ("one", "ucsb")


def labelled_set() -> LabelledSet:
    """Twelve images of each class and source, of four cases and two subtypes a class."""
    images = tuple(
        LabelledImage(
            Path(f"{source}-{label}-{number}.png"),
            label,
            f"{source} {label} {number // 3}",
            0.5,
            (0.4, 0.7),
            source,
            source,
            f"{'ab'[number % 2]}{label if source == 'one' else ''}",
        )
        for source in NAMES
        for label in (0, 1)
        for number in range(12)
    )
    return LabelledSet(("benign", "malignant"), images, {name: Source(name) for name in NAMES})


def keeping(learner: Learner, folder: Path) -> kept_predictions.Learner:
    return kept_predictions.keeping_predictions(learner, "knows", folder, Path())


class Learner:
    """Knows the class of every image, but of subtype b0; remembers what it learnt from."""

    def __init__(self) -> None:
        self.learnt: list[set[str]] = []

    def __call__(
        self, data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        assert not len(validation)
        self.learnt.append({image.source for image in data.select(training)})

        def predict(images: Sequence[LabelledImage]) -> Tensor:
            seen = [1.0 if image.subtype == "b0" else float(image.label) for image in images]
            return torch.tensor([[0.0, value + 0.01 * seed] for value in seen])

        return predict


@pytest.fixture
def learner() -> Learner:
    return Learner()


def test_no_laboratory_is_judged_by_what_learnt_from_it(learner: Learner, tmp_path: Path) -> None:
    laboratories.measure(keeping(learner, tmp_path), labelled_set(), NAMES, 2)
    assert learner.learnt == [{"ucsb"}, {"one"}] * 2


def test_what_was_measured_is_not_measured_again(learner: Learner, tmp_path: Path) -> None:
    laboratories.measure(keeping(learner, tmp_path), labelled_set(), NAMES[:1], 1)
    laboratories.measure(keeping(learner, tmp_path), labelled_set(), NAMES, 1)
    assert learner.learnt == [{"ucsb"}, {"one"}]


def test_the_table_says_how_good_it_is_by_subtype(
    learner: Learner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laboratories.measure(keeping(learner, tmp_path), labelled_set(), NAMES, 2)
    laboratories.print_table(tmp_path, labelled_set(), Path())
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    found = {name.removeprefix("| "): auc for name, _, _, auc in rows}
    # Half of the benign images of the first are called as the malignant ones are.
    assert found["one"].startswith("0.750")
    assert found["ucsb"].startswith("1.000")
    # Too few images of each pair for an AUC here.
    assert list(found) == ["one", "ucsb"]


def test_images_of_one_array_are_drawn_together() -> None:
    cases = {image.case for image in laboratories.by_alike(labelled_set()).images}
    assert {case for case in cases if case.startswith("ucsb")} == {"ucsb a", "ucsb b"}
    assert len([case for case in cases if case.startswith("one")]) == 8


def test_recipes_are_compared_in_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before", "after"):
        laboratories.measure(keeping(Learner(), tmp_path / name), labelled_set(), NAMES, 1)
    folders = [tmp_path / "before", tmp_path / "after"]
    laboratories.print_comparison(folders, labelled_set(), Path())
    first = capsys.readouterr().out.splitlines()[2]
    assert "+0.000 (+0.000 to +0.000)" in first


def test_the_same_place_is_found_among_others(tmp_path: Path) -> None:
    data = two_sources(tmp_path)
    network = unseen_laboratory.started(SMALL, 2)
    wide = [replace(image, mpp_range=(0.25, 0.5)) for image in data.images]
    found = unseen_laboratory.same_place(network, wide)
    assert found is not None
    assert found.n == len(wide)
    assert unseen_laboratory.same_place(network, data.images) is None


def test_the_sources_are_those_of_the_data_folder(shared_data: Path) -> None:
    data = laboratories.read_laboratories(shared_data)
    assert list(data.sources) == ["breakhis", "colon", "oral", "ucsb", "lung"]
    assert {image.label for image in data.images if image.source == "ucsb"} == {0, 1}
