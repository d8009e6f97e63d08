"""Tiles of which only embeddings are at hand, learnt from beside what is drawn."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from napari_smse.annotations.tile_notes import PairConstraint, TilePlace
from napari_smse.errors import DataError, TrainingError
from napari_smse.finetuning.annotated_tiles import annotated_tiles
from napari_smse.finetuning.exemplar_tiles import ExemplarTile, embedding_outputs
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.metrics.classification import roc_auc
from napari_smse.models import Model, SmseCnn
from napari_smse.progress import run_task
from napari_smse.slides import Region
from support.training import mini_model

CLASSES = ("benign", "malignant")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return mini_model(tmp_path / "models")


def added(model: Model, number: int, name: str = "", seed: int = 0) -> list[ExemplarTile]:
    """Tiles of two classes by turns, apart in the embedding, from four slides."""
    rng = np.random.default_rng(seed)
    points = rng.normal(scale=0.3, size=(number, 4))
    points[np.arange(number), np.arange(number) % 2] += 1
    found = []
    for i, (embedding, logits) in enumerate(embedding_outputs(points, model)):
        slide, place = f"S{i // 2 % 4}", Region(100 * i, 0, 64, 64)
        class_name = name or CLASSES[i % 2]
        found.append(
            ExemplarTile(
                embedding, logits, class_name, 0.5, slide, slide, Path(slide), 0.5, place,
                appearance=np.full(17, i, np.float32) if i % 2 else None,
            )
        )  # fmt: skip
    return found


def finished(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


def test_a_model_learns_from_embeddings_alone(model: Model) -> None:
    tiles = annotated_tiles([], CLASSES, added=added(model, 64))
    recipe = fine_tune_recipe("triplet", "head", steps=300, learning_rate=0.02, tile_px=32)
    tuning = FineTuner(model, tiles.labelled_set, recipe, precomputed=tiles.outputs)
    images = tuning.labelled_set.images
    cases = [{images[i].case for i in part} for part in (tuning.training, tuning.testing)]
    assert not cases[0] & cases[1]
    held = finished(tuning).after.held_out
    assert roc_auc([images[i].label for i in held.images], held.probabilities[:, 1]) > 0.9


def test_none_counts_twice_and_the_first_class_stays(model: Model) -> None:
    first, other = added(model, 6), added(model, 8, "malignant", seed=1)
    tiles = annotated_tiles([], CLASSES, added=[*first, *other, *first])
    labels = [image.label for image in tiles.labelled_set.images]
    assert labels == [0, 1, 0, 1, 0, 1, 1, 1]


def test_looks_that_are_known_come_along(model: Model) -> None:
    tiles = annotated_tiles([], CLASSES, added=added(model, 6))
    appearances = {image.region.x: appearance[0] for image, appearance in tiles.appearances.items()}
    assert appearances == {100: 1, 300: 3, 500: 5}


def test_links_to_held_out_tiles_are_not_learnt(model: Model) -> None:
    tiles = added(model, 64)
    ends = [TilePlace(tile.slide, 0.5, tile.region.x, 0, 64, 64) for tile in tiles]
    links = [PairConstraint(one, other, True) for one, other in itertools.pairwise(ends)]
    found = annotated_tiles([], CLASSES, links, tiles)
    assert found.constraints is not None
    assert len(found.constraints) == len(links)
    tuning = FineTuner(
        model,
        found.labelled_set,
        fine_tune_recipe(steps=2),
        precomputed=found.outputs,
        constraints=found.constraints,
    )
    held = {tuning.labelled_set.images[i].region.x for i in tuning.testing}
    honest = sum(not {link.first.x, link.second.x} & held for link in links)
    assert tuning._constraints is not None
    assert len(tuning._constraints) == honest < len(links)
    assert any("lead to tiles that are held out" in told for told in tuning.warnings)


def test_tiles_of_other_classes_are_left_out(model: Model) -> None:
    with pytest.raises(DataError):
        annotated_tiles([], CLASSES, added=added(model, 6, "ink"))


def test_a_model_of_whole_images_is_refused(model: Model) -> None:
    whole = Model(SmseCnn(), model.card, model.path)
    with pytest.raises(TrainingError, match="no embedding to learn reference tiles from"):
        embedding_outputs(np.eye(4), whole)
