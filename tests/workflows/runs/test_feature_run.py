"""Features that another program extracted are a run of their slide, row by row as in the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import napari_smse as smse
from napari_smse.errors import DataError, ModelError, OutputError
from napari_smse.models.encoders import find_encoder
from napari_smse.models.model_files import read_card
from napari_smse.results.exchange import ResultFolder
from napari_smse.scoring import ScoreStore, is_trained_scale
from napari_smse.slides import Slide, open_slide
from napari_smse.workflows import score_slide
from napari_smse.workflows.report.saved_results import open_results
from napari_smse.workflows.runs.feature_run import is_of_features, open_feature_run
from napari_smse.workflows.runs.stored_runs import find_stored_run, run_of_store
from napari_smse.workflows.scored_slide import Run, ScoredSlide, require_one_model
from support.encoders import TINY, empty_hub, tiny_weights
from support.feature_files import write_features

__all__ = ["empty_hub", "tiny_weights"]  # fixtures

EDGE = 100
CORNERS = [(400, 0), (0, 0), (100, 0), (0, 100), (100, 300)]
FEATURES = np.eye(5, 6, dtype=np.float32) + 0.25


@pytest.fixture
def slide(slide_path: Path) -> Slide:
    return open_slide(slide_path)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_features(tmp_path / "features_some" / "slide.h5", CORNERS, FEATURES, EDGE)


def rows_of(run: Run) -> dict[tuple[int, int], NDArray[np.float32]]:
    """Embeddings of a run's tiles by their corners."""
    table = run.store.tile_table()
    (tiles,) = table.scales
    places = zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)
    return dict(zip(places, table.embeddings, strict=True))


def test_each_tile_has_the_features_of_its_row(slide: Slide, file: Path) -> None:
    run = open_feature_run(file, slide)
    found = rows_of(run)
    assert found.keys() == set(CORNERS)
    lengths = np.linalg.norm(FEATURES, axis=1, keepdims=True)
    for corner, expected in zip(CORNERS, FEATURES / lengths, strict=True):
        np.testing.assert_allclose(found[corner], expected, atol=1e-3)  # stored as float16
    assert is_of_features(run)
    assert (run.card.name, run.card.embedding_dim) == ("some", 6)
    assert not run.card.knows_classes
    assert run.warnings == ("Features were read from slide.h5, and were not computed here.",)
    # How much of a tile is tissue is that of the slide: right of x 900 there is none.
    assert run.plan.scales[0].tissue.min() > 0.9


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 1200), st.integers(0, 1000)), min_size=1, max_size=30, unique=True
    )
)
def test_places_on_no_grid_come_back_as_they_are(
    slide: Slide, corners: list[tuple[int, int]]
) -> None:
    features = np.random.default_rng(0).normal(size=(len(corners), 5))
    with tempfile.TemporaryDirectory() as folder:
        run = open_feature_run(write_features(Path(folder) / "a.h5", corners, features, 90), slide)
        again = run_of_store(slide, ScoreStore.open(run.store.path), run.card, run.model)
    found = rows_of(again)
    assert found.keys() == set(corners)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose([found[one] for one in corners], expected, atol=2e-3)
    # Of two tiles in one cell neither is taken for the other.
    table = again.store.tile_table()
    np.testing.assert_array_equal(table.index_in(again.plan.scales)[0], np.arange(len(corners)))


def test_the_same_file_is_read_once_and_another_content_anew(slide: Slide, file: Path) -> None:
    first = open_feature_run(file, slide)
    finished = first.store.facts["finished"]
    again = open_feature_run(file, slide)
    assert (again.store.path, again.store.facts["finished"]) == (first.store.path, finished)
    write_features(file, CORNERS, FEATURES[::-1], EDGE)
    other = open_feature_run(file, slide)
    assert other.store.path != first.store.path
    assert not np.allclose(rows_of(other)[CORNERS[0]], rows_of(first)[CORNERS[0]])


def test_what_is_damaged_in_the_cache_is_written_anew(slide: Slide, file: Path) -> None:
    first = open_feature_run(file, slide)
    (first.store.path / "zarr.json").write_text("{")
    assert rows_of(open_feature_run(file, slide)).keys() == set(CORNERS)


def test_its_card_is_found_again_and_its_model_is_not(slide: Slide, file: Path) -> None:
    run = open_feature_run(file, slide)
    assert read_card(run.model) == run.card
    with pytest.raises(ModelError, match="some"):
        score_slide.load_cached_model(run.model)


def test_features_by_one_encoder_compare_and_those_by_two_do_not(
    slide: Slide, file: Path, tmp_path: Path
) -> None:
    same = write_features(tmp_path / "features_some" / "b.h5", CORNERS[:3], FEATURES[:3], EDGE)
    other = write_features(tmp_path / "features_more" / "b.h5", CORNERS, FEATURES, EDGE)
    wider = write_features(tmp_path / "features_some" / "c.h5", CORNERS, np.eye(5, 7), EDGE)
    runs = [open_feature_run(one, slide) for one in (file, same, other, wider)]
    one, alike, foreign, longer = (ScoredSlide(slide, run) for run in runs)
    require_one_model([one, alike])
    for unlike in (foreign, longer):
        with pytest.raises(Exception, match="different models"):
            require_one_model([one, unlike])


def test_another_slide_of_that_magnification_is_in_range(slide: Slide, tmp_path: Path) -> None:
    files = [tmp_path / f"features_{name}" / "s.h5" for name in ("some", "uni_v1")]
    runs = [open_feature_run(write_features(one, CORNERS, FEATURES, EDGE), slide) for one in files]
    unknown, uni = (run.card for run in runs)
    assert is_trained_scale(slide.mpp * 1.02, unknown)
    assert not is_trained_scale(slide.mpp * 2, unknown)
    assert uni.mpp_range == find_encoder("uni").mpp_range


def test_an_encoder_that_is_here_is_its_model(
    slide: Slide, tmp_path: Path, tiny_weights: Path
) -> None:
    from napari_smse.models import load_model

    known = load_model("tiny", encoder_weights=tiny_weights)
    features = np.random.default_rng(0).normal(size=(5, TINY.features))
    path = write_features(tmp_path / "features_a-tiny-one" / "s.h5", CORNERS, features, EDGE)
    run = open_feature_run(path, slide)
    assert run.card == known.card
    assert score_slide.load_cached_model(run.model).card == known.card
    # It is offered as no run that was scored here.
    assert find_stored_run(slide, run.card) is None
    narrower = write_features(tmp_path / "features_tiny" / "s.h5", CORNERS, FEATURES, EDGE)
    assert open_feature_run(narrower, slide).card != known.card


def test_a_file_without_tiles_is_refused(slide: Slide, tmp_path: Path) -> None:
    none = write_features(tmp_path / "none.h5", np.empty((0, 2), int), np.empty((0, 4)), EDGE)
    with pytest.raises(DataError, match="holds no tile"):
        open_feature_run(none, slide)


def test_saved_features_are_neither_reported_nor_repeated(
    slide: Slide, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    saved = smse.open_features(file.name, slide).save(tmp_path / "saved")
    with pytest.raises(OutputError, match=f"read from {file}, and no scores to report or repeat"):
        open_results(saved)
    assert ResultFolder.open(saved).table.num_rows == len(CORNERS)


def test_the_card_of_a_run_that_is_forgotten_goes_with_it(slide: Slide, file: Path) -> None:
    run = open_feature_run(file, slide)
    score_slide.forget_old_runs(run.store.path.parent, keep=0)
    assert not list(run.store.path.parent.glob("*.json"))
