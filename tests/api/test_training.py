"""Labelled images: read, learnt from, and measured on."""

from __future__ import annotations

import json

import pytest

import napari_smse as smse
from napari_smse import errors
from support.datasets import write_picture
from support.training import SMALL


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with a sub-folder of pictures a class."""
    folder = tmp_path_factory.mktemp("images")
    lines = ["path,label,case,um_per_px"]
    for label, name in enumerate(("benign", "malignant")):
        for case in range(6):
            for number in range(2):
                path = folder / name / f"{case}-{number}.png"
                write_picture(path, label, 100 * label + 10 * case + number, (48, 40))
                lines.append(f"{name}/{path.name},{name},{name}-{case},0.5")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.json"
    path.write_text(json.dumps(SMALL.model_dump(mode="json")))
    return str(path)


@pytest.fixture(scope="module")
def data(images):
    return smse.read_dataset(images)


def test_images_are_read_with_their_classes_and_cases(images):
    seen = []
    data = smse.read_dataset(images, progress=seen.append)
    assert data.classes == ("benign", "malignant")
    assert data.count() == ({"benign": 12, "malignant": 12}, {"benign": 6, "malignant": 6})
    assert seen[-1].done == seen[-1].total
    with pytest.raises(errors.DataError, match="is not there"):
        smse.read_dataset(images / "none")


def test_a_model_is_trained_and_measured(data, recipe, tmp_path):
    seen = []
    made = smse.train(
        data, recipe, out=tmp_path / "own", steps=6, device="cpu", progress=seen.append
    )
    assert made.model.path == tmp_path / "own.safetensors"
    assert made.model.card.classes == data.classes
    assert made.summary.estimates["accuracy"].value is not None
    assert made.folder.is_dir()
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    with pytest.raises(errors.OutputError, match="overwrite=True"):
        smse.train(data, recipe, out=tmp_path / "own")
    with pytest.raises(errors.DataError, match="trained on every case"):
        smse.evaluate(made.model, data, device="cpu")


def test_a_training_that_was_stopped_leaves_no_model_and_goes_on(data, recipe, tmp_path):
    def stop(progress):
        if progress.done == 4:
            raise InterruptedError

    out = tmp_path / "own"
    with pytest.raises(InterruptedError):
        smse.train(data, recipe, out=out, steps=6, device="cpu", progress=stop)
    assert not (tmp_path / "own.safetensors").exists()
    seen = []
    made = smse.train(data, recipe, out=out, steps=6, device="cpu", progress=seen.append)
    assert seen[0].done >= 4
    whole = smse.train(data, recipe, out=tmp_path / "whole", steps=6, device="cpu")
    assert made.model.card.weights_sha256 == whole.model.card.weights_sha256


def test_a_model_is_evaluated_on_images_it_has_not_seen(mini, data):
    seen = []
    found = smse.evaluate(mini, data, device="cpu", progress=seen.append)
    assert found.summary.images == 24
    assert 0 <= found.summary.estimates["auc"].value <= 1
    assert seen[0].total == 24


def test_a_recipe_is_cross_validated(data, recipe):
    seen = []
    found = smse.cross_validate(data, recipe, folds=2, steps=2, device="cpu", progress=seen.append)
    assert found.summary.images == 24
    assert len(found.held_out.images) == 24
    assert [(one.done, one.total) for one in seen] == [(1, 2), (2, 2)]


def test_recipes_that_there_are_not_are_refused(data, tmp_path):
    with pytest.raises(errors.TrainingError, match="no recipe"):
        smse.train(data, "none", out=tmp_path / "own")
    with pytest.raises(errors.TrainingError):
        smse.cross_validate(data, "none")
    with pytest.raises(errors.OutputError, match="folder does not exist"):
        smse.train(data, out=tmp_path / "none" / "own")
    with pytest.raises(errors.DeviceError):
        smse.cross_validate(data, device="cuda:99")
