"""The frozen control on pictures whose colour tells the class."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import TrainingError
from napari_smse.evaluation.cross_validation import cross_validate
from napari_smse.evaluation.linear_probe import LinearProbe
from support.datasets import image, labelled_set, write_picture


class ColourTrunk(torch.nn.Module):
    """Features are the mean colour; counts the tiles it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles = 0

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.tiles += len(images)
        return images.float().mean(dim=(2, 3))


def pictures(folder: Path, classes: int = 2) -> LabelledSet:
    made = [
        replace(
            image(str(i // 2), i // 2 % classes),
            path=write_picture(folder / f"{i}.png", i // 2 % classes, i),
        )
        for i in range(12 * classes)
    ]
    return labelled_set(made, [f"class {i}" for i in range(classes)])


def test_it_learns_what_the_features_tell(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    data, trunk = pictures(tmp_path), ColourTrunk()
    held_out = cross_validate(LinearProbe(trunk), data, 3)
    assert held_out.logits.shape == (24, 2)
    labels = [data.images[i].label for i in held_out.images]
    assert held_out.logits.argmax(dim=1).tolist() == labels


def test_features_are_computed_once_whatever_the_folds(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    data, trunk, said = pictures(tmp_path), ColourTrunk(), []
    learner = LinearProbe(trunk, on_message=said.append)
    cross_validate(learner, data, 3)
    seen = trunk.tiles
    cross_validate(learner, data, 4, repeats=2)
    assert trunk.tiles == seen
    assert said[-1] == "features of 24 images"


def test_several_classes_get_a_logit_each(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    data = pictures(tmp_path, classes=3)
    predict = LinearProbe(ColourTrunk())(data, range(24), range(24, 30), 0)
    assert predict(data.select([30, 31, 32])).shape == (3, 3)


def test_without_scikit_learn_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    data = pictures(tmp_path)
    with pytest.raises(TrainingError, match=r"napari-smse\[train\]"):
        LinearProbe(ColourTrunk())(data, range(12), (), 0)
