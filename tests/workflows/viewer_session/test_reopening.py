"""A session opened again without a viewer: what is missing or changed is told, the rest opens."""

from __future__ import annotations

import json
import shutil
from contextlib import closing

import numpy as np
import pytest
from shapely.geometry import box

from napari_smse.annotations import Annotation, AnnotationSet, annotations_as_geojson
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.models import model_files
from napari_smse.scoring import ScoreStore
from napari_smse.slides import open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.viewer_session.places import Place, place_of
from napari_smse.workflows.viewer_session.record import write_session
from napari_smse.workflows.viewer_session.reopening import (
    OpenSlide,
    ReopenedSlide,
    reopen_session,
    still_missing,
)
from support.saved_sessions import (
    NAME,
    session_record,
    session_run,
    session_slide,
    store_in,
    stored_run,
)
from support.slides import write_pyramid_tiff

REGION = Annotation("tumour", box(0, 0, 100, 80), "a", {"objectType": "annotation", "name": "T1"})
DRAWN = AnnotationSet((REGION,), {"tumour": (1, 2, 3)})


@pytest.fixture
def case(scored_case, tmp_path, monkeypatch):
    """A copy of the folder that a test may change, with a session of both slides."""
    folder = tmp_path / "case"
    shutil.copytree(scored_case, folder)
    monkeypatch.setattr(score_slide, "runs_folder", lambda: folder / "runs")
    session, drawn = folder / NAME, json.loads(json.dumps(annotations_as_geojson(DRAWN)))
    first = session_slide(folder / "first.tif", session, drawn, run=session_run(folder, session))
    write_session(session, session_record([first, session_slide(folder / "second.tif", session)]))
    return folder


def reopened(path, open_now=None):
    return [
        progress.detail
        for progress in reopen_session(path, open_now or {})
        if isinstance(progress.detail, ReopenedSlide)
    ]


def test_slides_come_with_their_run_and_what_is_drawn(case):
    first, second = reopened(case / NAME)
    assert not first.problems
    assert not second.problems
    assert first.run.store.path == store_in(case)
    assert first.annotations == DRAWN
    np.testing.assert_array_equal(
        first.maps.scores()[0].probability, first.run.store.scale(0).probability
    )
    assert second.run is None
    assert first.is_whole
    assert second.is_whole


def test_a_folder_that_was_moved_with_its_session_opens_without_a_word(case, tmp_path, monkeypatch):
    moved = tmp_path / "elsewhere" / "case"
    moved.parent.mkdir()
    shutil.move(case, moved)
    first, second = reopened(moved / NAME)
    assert (first.problems, second.problems) == ((), ())
    assert first.slide.path == moved / "first.tif"
    assert first.run.store.path == store_in(moved)
    assert first.run.model == str(moved / "mini.safetensors")


def test_a_slide_that_lies_beside_the_session_now_is_found_and_told(case):
    was = place_of(case / "slides" / "second.tif", case / NAME)
    session = json.loads((case / NAME).read_text())
    session["slides"][1]["place"] = was.model_dump()
    (case / NAME).write_text(json.dumps(session))
    first, second = reopened(case / NAME)
    assert not first.problems
    assert second.slide is not None
    (line,) = second.problems
    assert line == f"second: it is not where it was; it was found at {case / 'second.tif'}."


def test_a_slide_that_is_gone_is_one_line_and_the_other_opens(case):
    (case / "first.tif").unlink()
    first, second = reopened(case / NAME)
    assert first.slide is None
    assert not first.is_whole
    (line,) = first.problems
    assert line.startswith(f"first: {case / 'first.tif'} is not there")
    assert second.slide is not None


def test_another_slide_of_another_size_shows_neither_scores_nor_regions(case):
    write_pyramid_tiff(case / "first.tif", np.full((512, 640, 3), 200, np.uint8), mpp=0.5)
    first, _ = reopened(case / NAME)
    (line,) = first.problems
    assert "size was 1,536 x 768 px and is 640 x 512 now" in line
    assert first.slide is not None
    assert (first.run, first.annotations, first.is_whole) == (None, None, False)


def test_changed_content_of_the_same_size_shows_regions_without_scores(case):
    shutil.copy(case / "second.tif", case / "first.tif")
    first, _ = reopened(case / NAME)
    (line,) = first.problems
    assert "regions are shown, its scores are not" in line
    assert (first.run, first.annotations) == (None, DRAWN)


def test_a_slide_that_is_open_is_not_opened_again(case):
    with open_slide(case / "first.tif") as slide:
        run = stored_run(slide, case)
        there = OpenSlide(slide, run.store.path)
        first, _ = reopened(case / NAME, {slide.quick_hash: there})
        assert first.slide is slide
        assert first.was_open
        assert first.run is None  # it is in force already
        busy = OpenSlide(slide, is_scored_now=True)
        first, _ = reopened(case / NAME, {slide.quick_hash: busy})
        assert first.run is None
        assert "being scored" in first.problems[0]


def test_scores_that_are_gone_are_told_unless_the_cache_has_the_same(case, tmp_path):
    kept = shutil.copytree(store_in(case), tmp_path / "kept")
    shutil.rmtree(store_in(case))
    first, _ = reopened(case / NAME)
    (line,) = first.problems
    assert "the scores by mini 1 are gone (nothing lies at" in line
    assert first.annotations == DRAWN
    # Under another name, as after another runtime was measured to be faster.
    shutil.copytree(kept, case / "runs" / "first-another.zarr")
    first, _ = reopened(case / NAME)
    assert first.run.store.path == case / "runs" / "first-another.zarr"


def test_other_scores_in_place_of_those_of_the_session_are_not_shown(case, monkeypatch):
    monkeypatch.setattr(
        ScoreStore, "facts", property(lambda _: {"slide": {"quick_hash": "x"}, "model": {}})
    )
    first, _ = reopened(case / NAME)
    assert first.run is None
    assert "are gone" in first.problems[0]


def test_a_model_that_was_changed_or_is_gone_is_told(case):
    weights = case / "mini.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    first, _ = reopened(case / NAME)
    assert first.run is None
    assert "does not have the SHA-256 of its card" in first.problems[0]
    weights.write_bytes(content)
    card = json.loads((case / "mini.json").read_text())
    card.pop("checksum")
    (case / "mini.json").write_text(json.dumps({**card, "weights_sha256": "0" * 64}))
    first, _ = reopened(case / NAME)
    assert "mini.safetensors is another model now" in first.problems[0]
    weights.unlink()
    (case / "mini.json").unlink()
    first, _ = reopened(case / NAME)
    assert "that model is not there" in first.problems[0]
    assert first.annotations == DRAWN


def test_regions_of_another_version_are_told_and_the_slide_opens(case):
    session = json.loads((case / NAME).read_text())
    session["slides"][0]["annotations"]["napari_smse"] = {"links": 3}
    (case / NAME).write_text(json.dumps(session))
    first, _ = reopened(case / NAME)
    assert first.slide is not None
    assert not first.is_whole
    assert "links and remarks on tiles" in first.problems[0]


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "/", ""])
def test_what_is_no_path_is_one_line(case, path):
    session = json.loads((case / NAME).read_text())
    session["slides"][0]["place"] = {"path": path, "relative": ""}
    (case / NAME).write_text(json.dumps(session))
    first, second = reopened(case / NAME)
    assert first.slide is None
    assert len(first.problems) == 1
    assert second.slide is not None


def test_an_address_that_does_not_answer_is_one_line(case):
    session = json.loads((case / NAME).read_text())
    session["slides"][0]["place"] = Place(path="http://127.0.0.1:9/a.svs").model_dump()
    (case / NAME).write_text(json.dumps(session))
    first, second = reopened(case / NAME)
    assert first.slide is None
    assert "127.0.0.1:9" in first.problems[0]
    assert second.slide is not None


def test_a_session_that_is_cancelled_opens_no_more(case, monkeypatch):
    with closing(reopen_session(case / NAME, {})) as task:
        while not isinstance(next(task).detail, ReopenedSlide):
            pass
        monkeypatch.setattr(model_files, "read_card", None)
    with pytest.raises(StopIteration):
        next(task)


def test_what_is_drawn_goes_before_what_was_saved():
    place = TilePlace("x", 0.5, 0, 0, 64, 64)
    link = PairConstraint(place, place, True, "l")
    saved = AnnotationSet(
        tuple(Annotation("tumour", box(0, 0, side, 80), str(side)) for side in (10, 20, 30)),
        constraints=(link,),
        corrections=(TileCorrection(place, "ignore"), TileCorrection(place, "exemplar")),
        case="P1",
    )
    drawn = AnnotationSet(
        (saved.annotations[0], Annotation("tumour", box(0, 0, 500, 80), "20")),
        corrections=(TileCorrection(place, "class", "stroma"),),
        case="P2",
    )
    missing, edited = still_missing(saved, drawn)
    assert [one.id for one in missing.annotations] == ["30"]
    assert missing.constraints == (link,)
    assert missing.corrections == (TileCorrection(place, "exemplar"),)
    assert (missing.case, edited) == ("", 1)
    missing, edited = still_missing(saved, saved)
    assert (missing.annotations, missing.constraints, missing.corrections) == ((), (), ())
    assert edited == 0
