"""Tiles of which only embeddings are at hand, learnt from beside what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mini_training import mini_model
from napari_smse.errors import DataError, TrainingError
from napari_smse.learning.added_tiles import AddedTile, no_annotated_tiles, with_added
from napari_smse.learning.fine_tuning import FineTuned, FineTuning, tuning_recipe
from napari_smse.learning.metrics import auc
from napari_smse.network import Model, SmseCnn
from napari_smse.slides import Region

CLASSES = ("benign", "malignant")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return mini_model(tmp_path / "models")


def added(number: int, slides: int = 4, name: str = "", seed: int = 0) -> list[AddedTile]:
    """Tiles of two classes by turns, apart in the embedding, from some slides."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(number):
        embedding = rng.normal(scale=0.3, size=4)
        embedding[i % 2] += 1
        embedding /= np.linalg.norm(embedding)
        slide = f"S{i // 2 % slides}"
        place = Region(100 * i, 0, 64, 64)
        class_name = name or CLASSES[i % 2]
        found.append(
            AddedTile(embedding.astype(np.float32), class_name, 0.5, slide, Path(slide), 0.5, place)
        )
    return found


def finished(tuning: FineTuning) -> FineTuned:
    running = tuning.run()
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


def test_a_model_learns_from_embeddings_alone(model: Model) -> None:
    tiles = with_added(no_annotated_tiles(CLASSES), added(64), model)
    recipe = tuning_recipe("triplet", "head", steps=300, rate=0.02, tile_px=32)
    tuning = FineTuning(model, tiles.labelled_set, recipe, known=tiles.known)
    cases = [
        {tuning.labelled_set.images[i].case for i in part}
        for part in (tuning.training, tuning.testing)
    ]
    assert not cases[0] & cases[1]
    tuned = finished(tuning)
    held = tuned.after.held_out
    labels = [tiles.labelled_set.images[i].label for i in held.images]
    assert auc(labels, held.probabilities[:, 1]) > 0.9


def test_what_the_model_says_of_them_is_what_its_class_head_says(model: Model) -> None:
    tiles = with_added(no_annotated_tiles(CLASSES), added(4), model)
    for image, judged in tiles.known.items():
        assert image.source == "annotations"
        with torch.inference_mode():
            logits = model.network.class_head(judged.embedding)
        torch.testing.assert_close(judged.logits, logits)
        assert judged.mpps.tolist() == [0.5]


def test_a_tile_that_is_drawn_keeps_its_class_and_none_counts_twice(model: Model) -> None:
    first = with_added(no_annotated_tiles(CLASSES), added(6), model)
    again = with_added(first, added(8, name="malignant", seed=1), model)
    assert len(again.labelled_set.images) == 8
    assert again.labelled_set.images[:6] == first.labelled_set.images
    assert len(with_added(first, added(6) + added(6), model).known) == 6


def test_tiles_of_other_classes_are_left_out(model: Model) -> None:
    tiles = with_added(no_annotated_tiles(CLASSES), added(6, name="ink"), model)
    assert not tiles.known
    with pytest.raises(DataError):
        FineTuning(model, tiles.labelled_set, tuning_recipe(steps=2), known=tiles.known)


def test_a_model_of_whole_images_is_refused(model: Model) -> None:
    whole = Model(SmseCnn(), model.card, model.path)
    with pytest.raises(TrainingError, match="no embedding to learn known tiles from"):
        with_added(no_annotated_tiles(CLASSES), added(2), whole)
