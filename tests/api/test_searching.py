"""Search on a slide, and in an index of slides."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import box

import napari_smse as smse
from napari_smse import errors

RED = box(3200, 1000, 5400, 2300)


def test_tiles_like_those_of_a_region_come_first(scored_by_mini):
    found = smse.find_similar(scored_by_mini, RED)
    assert len(found.tiles) == len(scored_by_mini)
    assert (found.distances[found.like.rows] == 0).all()
    assert (np.diff(found.nearest) >= 0).all()
    assert len(found.order) + len(found.like) == len(found.tiles)
    first = scored_by_mini.region(int(found.order[0]))
    assert (first.x, first.y) == (
        *(int(side[found.order[0]]) for side in (found.tiles.x, found.tiles.y)),
    )


def test_several_regions_and_what_is_not_meant(scored, slide):
    seen = []
    region = slide.bounds.__class__(3200, 1000, 500, 500)
    found = smse.find_similar(
        scored, [RED, region], unlike=box(700, 1300, 1300, 2800), mpp=1.0, progress=seen.append
    )
    assert np.isinf(found.distances[found.unlike.rows]).all()
    assert (seen[-1].done, seen[-1].total) == (1, 1)
    with pytest.raises(errors.ScaleError, match="several scales"):
        smse.find_similar(scored, RED)
    with pytest.raises(errors.QueryError):
        smse.find_similar(scored, box(0, 0, 5, 5), mpp=1.0)
    with pytest.raises(errors.RegionError):
        smse.find_similar(scored, "tumour", mpp=1.0)
    with pytest.raises(errors.RegionError):
        smse.find_similar(scored, 3, mpp=1.0)


def test_slides_are_added_once_and_found(scored, scored_by_mini, slide, tmp_path):
    index = smse.SlideIndex.open(tmp_path / "index")
    with pytest.raises(errors.IndexFilesError):
        index.search(scored.embeddings(1.0)[:1])
    assert index.add(slide, scored) == "added"
    assert index.add(slide, smse.read_scores(scored.path)) == "already in the index"
    assert len(index) == len(smse.SlideIndex.open(tmp_path / "index")) == 1
    with pytest.raises(errors.IndexFilesError, match="made by the model redness"):
        index.add(slide, scored_by_mini)
    seen = []
    row = int(scored.probability("malignant").argmax())
    answer = index.search(scored.embeddings()[[row]], k=4, progress=seen.append)
    (found,) = answer.slides
    assert found.slide.name == "sample_slide"
    assert [hit.distance for hit in found.hits] == sorted(hit.distance for hit in found.hits)
    assert scored.region(row) in [hit.region for hit in found.hits if hit.distance < 1e-2]
    assert seen[-1].done == seen[-1].total == len(scored)
    elsewhere = index.search(scored.embeddings()[[row]], k=4, without=(slide, scored.region(row)))
    assert all(hit.distance > 0 for hit in elsewhere.slides[0].hits)
    assert scored.region(row) not in [hit.region for hit in elsewhere.slides[0].hits]
    with pytest.raises(errors.QueryError):
        index.search(scored.embeddings()[:0])
    with pytest.raises(errors.QueryError):
        index.search(scored.embeddings()[:1], mpp=0.3)


def test_other_settings_replace_nothing_unasked(scored, redness, slide, tmp_path):
    index = smse.SlideIndex.open(tmp_path / "index")
    index.add(slide, scored)
    other = smse.score(slide, redness, 2.0, out=tmp_path / "a.zarr", device="cpu")
    with pytest.raises(errors.IndexFilesError, match="other settings"):
        index.add(slide, other)
    assert index.add(slide, other, replace=True) == "replaced"
    assert [mpp for mpp, _ in index.slides[0].scales] == [2.0]


def test_what_progress_raises_adds_nothing(scored, slide, tmp_path):
    def stop(_progress):
        raise InterruptedError

    index = smse.SlideIndex.open(tmp_path / "index")
    with pytest.raises(InterruptedError):
        index.add(slide, scored, progress=stop)
    assert not (tmp_path / "index").exists()
