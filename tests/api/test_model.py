"""A model answers for tiles as it does in a run."""

from __future__ import annotations

import numpy as np
import pytest

import napari_smse as smse
from napari_smse import errors
from napari_smse.api.model import Model
from support.training import mini_model


def test_tiles_get_the_answers_that_a_run_stores(mini, scored_by_mini, slide):
    rows = [0, len(scored_by_mini) - 1]
    tiles = np.stack([slide.read(scored_by_mini.region(row), 0.5) for row in rows])
    assert tiles.shape == (2, 32, 32, 3)
    embeddings = mini.embed(tiles, "cpu")
    assert embeddings.dtype == np.float32
    assert embeddings == pytest.approx(scored_by_mini.embeddings()[rows], abs=2e-3)
    probability = mini.predict(tiles, "cpu")
    assert probability[:, 1] == pytest.approx(
        scored_by_mini.probability("malignant")[rows], abs=1e-3
    )
    assert probability.sum(axis=1) == pytest.approx(1)


def test_no_tiles_get_no_answers(mini):
    none = np.empty((0, 32, 32, 3), np.uint8)
    assert mini.embed(none).shape == (0, 4)
    assert mini.predict(none).shape == (0, 2)


@pytest.mark.parametrize(
    "tiles",
    [
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((1, 32, 32, 4), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
        [[1, 2]],
    ],
)
def test_what_are_no_tiles_is_refused(mini, tiles):
    with pytest.raises(errors.RequestError, match=r"uint8 of the shape \(n, 32, 32, 3\)"):
        mini.embed(tiles)
    with pytest.raises(errors.RequestError):
        mini.predict(tiles)


def test_a_model_is_loaded_by_its_path(tmp_path):
    path = mini_model(tmp_path).path
    model = smse.load_model(path)
    assert isinstance(model, Model)
    assert (model.card.name, model.path) == ("mini", path)
    assert repr(model) == "<Model mini 3: benign, malignant>"
    with pytest.raises(errors.ModelNotFoundError, match="Available"):
        smse.load_model(tmp_path / "none")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(errors.DamagedModelError):
        smse.load_model(path)
