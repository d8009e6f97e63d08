"""What tiles that are learnt from look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.datasets.crops import evaluation_tiles
from napari_smse.datasets.pixels import read_pixels
from napari_smse.errors import DataError
from napari_smse.progress import run_task
from napari_smse.similarity.ood.reference import OodReference
from napari_smse.tiles.appearance import MEASURES, appearance_features
from napari_smse.training.ood_reference import (
    TileAppearances,
    fitted_ood_reference,
    folds_of,
    read_tile_appearances,
    sample_images,
)
from support.training import mini_set

K = len(MEASURES)


def cloud(
    seed: int, number: int, cases: int, source: str = "a", mpp: float = 0.5
) -> TileAppearances:
    """Tiles whose measures are normal, with a step of its own for each case."""
    rng = np.random.default_rng(seed)
    case = np.arange(number) % cases
    appearances = rng.normal(size=(number, K)) + 0.3 * rng.normal(size=(cases, K))[case]
    return TileAppearances(
        appearances.astype(np.float32),
        np.full(number, source),
        np.array([f"{source}{one}" for one in case]),
        np.full(number, mpp),
    )


def test_looks_are_those_of_the_tiles_that_images_are_judged_by(tmp_path: Path) -> None:
    images = mini_set(tmp_path).images
    running = read_tile_appearances(images, 32)
    assert next(running).done == 1
    found = run_task(running)
    tiles = [
        (image, tile)
        for image in images
        for tile in evaluation_tiles(read_pixels(image), image, 32)
    ]
    np.testing.assert_array_equal(
        found.appearances, appearance_features(np.stack([t for _, t in tiles]))
    )
    assert found.sources.tolist() == [one.source for one, _ in tiles]
    assert found.cases.tolist() == [one.case for one, _ in tiles]
    assert set(found.mpps.tolist()) == {0.5}


def test_some_images_of_every_kind_are_read_cases_by_turns(tmp_path: Path) -> None:
    images = mini_set(tmp_path, cases=4, images=5).images
    chosen = sample_images(images, max_images=4)
    kinds = {(image.source, image.label) for image in images}
    for source, label in kinds:
        own = [one for one in chosen if (one.source, one.label) == (source, label)]
        assert len(own) == 4
        assert len({one.case for one in own}) == 2
    assert sample_images(images, max_images=99) == list(images)
    assert sample_images(images, max_images=4) == chosen
    tiles = sum(len(evaluation_tiles(read_pixels(image), image, 32)) for image in chosen)
    assert len(run_task(read_tile_appearances(images, 32, max_images=4)).appearances) == tiles


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    images = [replace(image, path=tmp_path / "gone.png") for image in mini_set(tmp_path).images[:1]]
    with pytest.raises(DataError, match=r"gone\.png"):
        list(read_tile_appearances(images, 32))


def test_without_images_there_are_no_looks() -> None:
    assert run_task(read_tile_appearances([])).appearances.shape == (0, K)


def test_limits_are_of_cases_that_were_not_fitted_on() -> None:
    tiles = cloud(1, 200, cases=10)
    (appearance,) = fitted_ood_reference(tiles)
    assert (appearance.source, appearance.mpp) == ("a", 0.5)
    # Of the tiles themselves fewer lie beyond, as these were fitted on.
    assert 0 < np.mean(appearance.distances(tiles.appearances) > appearance.limit) < 0.05


@pytest.mark.parametrize(("number", "cases"), [(80, 5), (200, 1)])
def test_few_tiles_or_one_case_make_no_look(number: int, cases: int) -> None:
    assert list(fitted_ood_reference(cloud(1, number, cases))) == []


@pytest.mark.parametrize("sizes", [(99, 1), (99, 2), (60, 20), (120, 60)])
def test_nothing_is_said_of_a_source_whose_limit_cannot_be_told(sizes: tuple[int, int]) -> None:
    """Fitted on two tiles, a limit would let everything pass."""
    many = cloud(1, sum(sizes), 2)
    cases = np.repeat(["first", "second"], sizes)
    found = list(fitted_ood_reference(replace(many, cases=cases)))
    assert not found


def test_every_source_has_a_look_at_every_scale() -> None:
    parts = [cloud(1, 120, 6), cloud(2, 120, 6, "b"), cloud(3, 120, 6, "b", 0.25)]
    columns = zip(*((p.appearances, p.sources, p.cases, p.mpps) for p in parts), strict=True)
    found = list(
        fitted_ood_reference(TileAppearances(*(np.concatenate(column) for column in columns)))
    )
    assert [(one.source, one.mpp) for one in found] == [("a", 0.5), ("b", 0.25), ("b", 0.5)]


def test_folds_hold_whole_cases_out_each_once() -> None:
    cases = cloud(1, 60, 7).cases
    folds = folds_of(cases)
    assert np.sum(folds, axis=0).tolist() == [1] * 60
    assert all(not set(cases[out]) & set(cases[~out]) for out in folds)


def test_they_can_be_learnt_besides_what_is_known() -> None:
    known = OodReference(model="m", appearances=tuple(fitted_ood_reference(cloud(1, 100, 5))))
    wider = cloud(2, 10, 2, "mine").added_to(known)
    assert [appearance.source for appearance in wider.appearances] == ["a", "mine"]
