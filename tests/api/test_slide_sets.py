"""Several slides together: a map of them, what to label next, doubtful labels, their effect."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

import napari_smse as smse
from napari_smse import errors
from napari_smse.annotations import AnnotationSet
from support.annotated_slides import (
    PINK_BOXES,
    RED_BOXES,
    drawn,
    write_darker_slide,
    write_red_slide,
)


@pytest.fixture(scope="module")
def others(mini, tmp_path_factory):
    """Two more slides, by the tiny network, at the scale of the sample slide's scores."""
    folder = tmp_path_factory.mktemp("others")
    paths = write_red_slide(folder), write_darker_slide(folder)
    return [
        smse.score(smse.open_slide(path), mini, 0.5, out=folder / f"{path.stem}.zarr", device="cpu")
        for path in paths
    ]


def test_a_map_has_a_point_for_each_tile(scored_by_mini, others):
    seen = []
    made = smse.embedding_map([scored_by_mini, *others], progress=seen.append)
    assert len(made.points) == sum(len(one) for one in (scored_by_mini, *others))
    assert [one.slide.name for one in made.slides] == ["sample_slide", "slide", "darker"]
    assert seen
    alone = smse.embedding_map(scored_by_mini)
    again = smse.embedding_map(scored_by_mini, method="pca")
    assert np.array_equal(alone.points, again.points)


def test_maps_of_nothing_by_no_method_or_of_two_models_are_refused(scored, scored_by_mini):
    with pytest.raises(errors.RequestError, match="pca, umap"):
        smse.embedding_map(scored, method="tsne")
    with pytest.raises(errors.QueryError, match="different models"):
        smse.embedding_map([scored, scored_by_mini])
    with pytest.raises(errors.QueryError):
        smse.embedding_map([])


def test_suggested_tiles_are_not_annotated_yet(scored_by_mini, notes):
    found = smse.suggest_tiles([(scored_by_mini, notes)], n=5)
    assert len(found) == 5
    drawn_on = shapely.union_all([one.geometry for one in notes.annotations])
    for one in found:
        region = one.tile.region
        middle = region.x + region.width / 2, region.y + region.height / 2
        assert not shapely.contains_xy(drawn_on, *middle)
        assert 0 <= one.probability <= 1
        assert one.called in scored_by_mini.classes
    assert len(smse.suggest_tiles([(scored_by_mini, None)], n=2)) == 2
    with pytest.raises(errors.QueryError):
        smse.suggest_tiles([], n=5)
    with pytest.raises(errors.QueryError):
        smse.suggest_tiles([(scored_by_mini, notes)], n=0)


def test_labels_that_neighbours_doubt(scored_by_mini, notes):
    found = smse.find_label_issues([(scored_by_mini, notes)])
    assert found.annotated > 20
    assert 0 < len(found.tiles) <= found.doubted <= found.annotated
    assert found.alone == []
    with pytest.raises(errors.QueryError, match="two classes"):
        smse.find_label_issues([(scored_by_mini, AnnotationSet())])


def test_how_far_slides_differ(scored_by_mini, others, notes):
    found = smse.batch_effect([scored_by_mini, *others])
    assert found.slides == 3
    assert not found.by_drawing
    areas = drawn(benign=PINK_BOXES, malignant=RED_BOXES)
    annotated = [(scored_by_mini, notes), *((one, areas) for one in others)]
    again = smse.batch_effect(annotated)
    assert again.by_drawing
    assert again.slides == 3
    assert again.tiles < found.tiles
    with pytest.raises(errors.QueryError, match="at least two slides"):
        smse.batch_effect([scored_by_mini])


def test_scores_that_do_not_know_their_slide_are_refused(scored_by_mini, mini):
    alone = smse.read_scores(scored_by_mini.path, model=mini.path)
    for work in (smse.suggest_tiles, smse.find_label_issues, smse.batch_effect):
        with pytest.raises(errors.SlideError, match="read_scores"):
            work([(alone, None)])
