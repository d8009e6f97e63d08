"""Adding scored slides to an index: what became of them, in words, without any viewer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import IndexFilesError
from napari_smse.progress import run_task
from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import open_slide
from napari_smse.workflows.index_slides import (
    NotAdded,
    SlideAdded,
    SlideToAdd,
    WouldReplace,
    add_all,
    add_scored,
    describe_index,
)
from support.models import redness_model
from support.slides import write_pyramid_tiff


@pytest.fixture
def slide(slide_path):
    with open_slide(slide_path) as opened:
        yield opened


@pytest.fixture
def wanted(slide, tmp_path):
    """The slide, scored, on its way into an index that is to be started."""
    (tmp_path / "index").mkdir()
    return scored(slide, tmp_path / "runs", tmp_path / "index")


def scored(slide, runs, folder, **settings):
    model, request = redness_model(), ScoreRequest((0.5,), **settings)
    plan, device = request.plan(slide, model.card), choose_device("cpu", exact=True)
    store = open_run(runs / "scores.zarr", slide, model.card, request, plan, device, overwrite=True)
    list(score(slide, model, plan, store, device))
    return SlideToAdd(folder, slide, store, plan.tile_count)


def add(wanted):
    return add_scored(wanted)


def test_a_slide_is_new_once(wanted):
    said = add(wanted)
    assert said == SlideAdded(wanted, True, wanted.planned, 1)
    assert wanted.key == wanted.slide.quick_hash
    assert add(wanted) == SlideAdded(wanted, False, wanted.planned, 1)


def test_other_settings_are_left_as_they_are_unless_replaced(wanted, slide, tmp_path):
    add(wanted)
    other = scored(slide, tmp_path / "again", wanted.folder, overlap=0.5)
    said = add(other)
    assert isinstance(said, WouldReplace)
    assert "different overlap" in said.text
    assert SlideIndex(wanted.folder).tile_count == wanted.planned
    assert add(replace(other, replace=True)).tiles == other.planned


def test_another_file_at_the_same_path_is_left_as_it_is_unless_replaced(wanted, slide_path):
    add(wanted)
    write_pyramid_tiff(slide_path, np.full((700, 700, 3), (205, 150, 190), np.uint8), mpp=0.25)
    with open_slide(slide_path) as changed:
        other = scored(changed, wanted.store.path.parent / "again", wanted.folder)
        said = add(other)
        assert isinstance(said, WouldReplace)
        assert "slide was another file when it was added to the index “index”" in said.text
        add(replace(other, replace=True))
    (there,) = SlideIndex(wanted.folder).slides
    assert there.quick_hash == other.key


def test_more_tiles_than_now_are_kept_and_told(wanted, slide, tmp_path):
    add(wanted)
    less = scored(slide, tmp_path / "again", wanted.folder)
    less.store.finish(complete=False)
    rows = less.store.scale(0).embedding[:7]
    less.store.write_rows(0, 0, np.full((7, 2), np.nan, np.float32), np.zeros_like(rows))
    said = add(less)
    assert not said.new
    assert said.notice == (
        f"{wanted.planned:,} tiles of it were there already, more than now; they were kept."
    )


def test_a_slide_whose_file_is_gone_is_told_and_may_be_tried_again(wanted):
    Path(wanted.slide.path).unlink()
    said = add(wanted)
    assert isinstance(said, NotAdded)
    assert said.again
    assert "slide.tif cannot be read any more: put it back" in said.text


def test_a_disk_that_does_not_answer_is_told(wanted, monkeypatch):
    def deaf(_folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", deaf)
    told = f"{wanted.folder} cannot be reached (Permission denied). See to its disk."
    assert add(wanted) == NotAdded(told)
    monkeypatch.undo()
    monkeypatch.setattr(Path, "is_file", deaf)
    with pytest.raises(IndexFilesError, match=re.escape(told)):
        describe_index(wanted.folder)


def test_another_model_cannot_be_tried_again(wanted):
    SlideIndex.make(wanted.folder, "b" * 64, "newer")
    said = add(wanted)
    assert said.text.startswith("it is of the model newer, not of redness. Choose that model")
    assert not said.again


def test_one_that_cannot_be_added_stops_no_other(wanted, caplog, tmp_path):
    lost = replace(wanted, folder=tmp_path / "unplugged")
    assert run_task(add_all([lost, wanted])) == 2
    assert "unplugged is not there" in caplog.text
    assert len(SlideIndex(wanted.folder).slides) == 1


def test_what_is_in_an_index_is_said(wanted, tmp_path):
    about = describe_index(wanted.folder)
    assert (about.model, about.gone) == ("", False)
    add(wanted)
    about = describe_index(wanted.folder)
    assert about.text == f"1 slide, {wanted.planned:,} tiles, scored by the model redness."
    assert about.model == redness_model().card.weights_sha256
    about = describe_index(tmp_path / "unplugged")
    assert about.gone
